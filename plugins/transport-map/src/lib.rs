//! Where mail goes next, by Postfix's transport(5) tables and a relay host.
//!
//! A table is asked for the address, the address without its extension, the domain, its parents
//! with a leading dot, and `*`. What none of the tables has follows `relayhost` if its class is
//! relay or other; everything else is left to the host. Virtual alias domains have no transport:
//! their addresses exist only as what they stand for.
//!
//! It opens no connection and asks no DNS: it only names the next hop.
//!
//! ```toml
//! [plugin.settings]
//! tables = ["transport"]
//! relayhost = "[relay.example.org]:587"
//! ```

mod entry;
mod next_hop;
mod route;
mod settings;

use facteur_plugin::{Failure, Kept, NextHop, lookup};

use settings::Settings;

static SETTINGS: Kept<Settings> = Kept::new();

fn init() -> Result<(), String> {
    let settings = Settings::read()?;
    for table in &settings.tables {
        lookup::check(table)?;
    }
    SETTINGS.keep(&settings)
}

fn transport() -> Result<NextHop, Failure> {
    route::next_hop(SETTINGS.get())
}

facteur_plugin::export!(init: init, on_transport: transport);

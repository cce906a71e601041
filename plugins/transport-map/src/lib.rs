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

use facteur_plugin::{Answer, Failure, Kept, Recipient, Transaction, Transport, lookup};

use settings::Settings;

static SETTINGS: Kept<Settings> = Kept::new();

struct TransportMap;

impl Transport for TransportMap {
    fn init() -> Result<(), String> {
        let settings = Settings::read()?;
        for table in &settings.tables {
            lookup::check(table)?;
        }
        SETTINGS.keep(settings)
    }

    fn next_hop(_: &Transaction, to: &Recipient) -> Result<Answer, Failure> {
        route::answer(SETTINGS.get(), &to.address(), to.address_class())
    }
}

facteur_plugin::export!(transport: TransportMap);

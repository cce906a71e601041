//! Who really gets it, by Postfix's virtual(5) and aliases(5) tables.
//!
//! Virtual tables apply to every recipient, aliases to recipients of the class `local` only. This
//! plugin takes one step at a time; the host repeats it. An address that no table has is nobody's
//! business here: a mailbox may vouch for it.
//!
//! Commands, files and includes are told by their type, from aliases only; whether they are
//! delivered to is the host's to say. It reads no file and runs nothing.
//!
//! ```toml
//! [plugin.settings]
//! aliases = ["aliases"]
//! virtual = ["virtual"]
//! ```

mod expand;
mod rhs;
mod settings;
mod virtual_map;

use facteur_plugin::{Expansion, Failure, Kept, lookup};

use settings::Settings;

static SETTINGS: Kept<Settings> = Kept::new();

fn init() -> Result<(), String> {
    let settings: Settings = facteur_plugin::settings::read()?;
    for table in settings.aliases.iter().chain(&settings.virtual_) {
        lookup::check(table)?;
    }
    SETTINGS.keep(&settings)
}

fn alias() -> Result<Expansion, Failure> {
    expand::expand(SETTINGS.get())
}

facteur_plugin::export!(init: init, on_alias: alias);

//! Looks each header of a message up in tables of patterns, and does what they say, as Postfix's
//! `header_checks`(5).
//!
//! What a value means is in [`action`], what follows in [`checks`]. A value that isn't understood
//! is a failure, and never a yes: the operator's `on-error` says what the client hears, the log
//! names the value, and nothing is left of what was done about the headers before.
//!
//! It looks at the headers of the message itself, not at those of its parts, and not at the body.
//!
//! ```toml
//! [plugin.settings]
//! tables = ["header-checks"]      # of [tables.header-checks], format = "regexp"
//! [plugin.grants]
//! lookup = ["header-checks"]
//! ```

mod action;
mod checks;

use facteur_plugin::{ContentVerdict, Failure, Kept, lookup, settings};
use serde::{Deserialize, Serialize};

/// `[plugin.settings]`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Asked in order; the first that has an answer for a header counts.
    tables: Vec<String>,
}

static SETTINGS: Kept<Settings> = Kept::new();

fn init() -> Result<(), String> {
    let settings: Settings = settings::read()?;
    for table in &settings.tables {
        lookup::check(table)?;
    }
    SETTINGS.keep(&settings)
}

fn inspect() -> Result<ContentVerdict, Failure> {
    checks::check(&SETTINGS.get().tables)
}

facteur_plugin::export!(init: init, on_content: inspect);

//! Looks each header of a message up in tables of patterns, and does what they say, as Postfix's
//! `header_checks`(5).
//!
//! The plugin walks over the headers and asks; what a value means is in [`action`], what follows
//! for the whole message in [`checks`]. Both know nothing of the host, so that they can be tested
//! natively. A value that isn't understood is a failure, and never a yes: the operator's `on-error`
//! says what the client hears, and the log names the value.
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

use facteur_plugin::{
    Content, Failure, Kept, Message, Session, Transaction, Verdict, log, lookup, settings,
};
use serde::{Deserialize, Serialize};

use checks::{Edit, Effect, Header, check};

/// `[plugin.settings]`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Asked in order; the first that has an answer for a header counts.
    tables: Vec<String>,
}

static SETTINGS: Kept<Settings> = Kept::new();

struct HeaderChecks;

impl Content for HeaderChecks {
    fn init() -> Result<(), String> {
        let settings: Settings = settings::read()?;
        for table in &settings.tables {
            lookup::check(table)?;
        }
        SETTINGS.keep(settings)
    }

    fn inspect(_: &Session, t: &Transaction, m: &Message) -> Result<Verdict, Failure> {
        let tables = &SETTINGS.get().tables;
        let find = |header: &Header| {
            let found = lookup::find_in(tables, std::slice::from_ref(&header.line))?;
            Ok(found.map(|found| found.value))
        };
        let outcome = check(headers(m), find)?;
        for effect in &outcome.effects {
            act(effect, t, m);
        }
        Ok(outcome.verdict)
    }
}

/// All headers, in order. A page of them is in memory at a time.
fn headers(m: &Message) -> impl Iterator<Item = Header> {
    let mut read = 0;
    let pages = std::iter::from_fn(move || {
        let page = m.headers(read);
        read = read.saturating_add(u32::try_from(page.len()).unwrap_or(u32::MAX));
        (!page.is_empty()).then_some(page)
    });
    pages.flatten().map(|(name, value)| Header::new(&name, &value))
}

fn act(effect: &Effect, t: &Transaction, m: &Message) {
    match effect {
        Effect::Info(text) => log::info(text),
        Effect::Warn(text) => log::warn(text),
        Effect::Hold(reason) => t.hold(reason),
        Effect::Redirect(to) => t.redirect(to),
        Effect::Bcc(to) => t.bcc(to),
        Effect::Edit(Edit::Insert { number, name, value }) => m.insert_header(*number, name, value),
        Effect::Edit(Edit::Replace { name, occurrence, value }) => {
            _ = m.replace_header(name, *occurrence, value);
        }
        Effect::Edit(Edit::Remove { name, occurrence }) => {
            _ = m.remove_header(name, Some(*occurrence));
        }
    }
}

facteur_plugin::export!(content: HeaderChecks);

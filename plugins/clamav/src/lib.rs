//! Turns away messages in which clamd finds a virus.
//!
//! The host hands the message to the operator's scanner; not a byte of it enters the plugin. What
//! couldn't be scanned is never let in as if it were clean: while no clamd answers, the operator's
//! `on-error` says what the client hears (by default that it may try again), and for a message that
//! is too large for the scanner there is a setting.
//!
//! ```toml
//! [plugin.settings]
//! scanner = "clamav"          # of [scanners.clamav]
//! infected = "reject"         # or "hold", or "header"
//! too-large = "reject"        # or "accept"
//! [plugin.grants]
//! scanner = ["clamav"]
//! ```

mod decision;

use facteur_plugin::scanner::{self, Error};
use facteur_plugin::{
    Content, Failure, Kept, Message, Session, Transaction, Verdict, log, settings,
};

use decision::{Decision, Settings, decide};

static SETTINGS: Kept<Settings> = Kept::new();

struct Clamav;

impl Content for Clamav {
    fn init() -> Result<(), String> {
        let settings: Settings = settings::read()?;
        scanner::check(&settings.scanner)?;
        SETTINGS.keep(settings)
    }

    fn inspect(_: &Session, t: &Transaction, m: &Message) -> Result<Verdict, Failure> {
        let settings = SETTINGS.get();
        let outcome = match scanner::scan(&settings.scanner, m) {
            Ok(outcome) => Some(outcome),
            Err(Error::TooLarge) => None,
            Err(error) => return Err(Failure::transient(error.explain())),
        };
        match decide(settings, outcome) {
            Decision::Pass => Ok(Verdict::Dunno),
            Decision::Reject(reply) => Ok(Verdict::Reject(reply)),
            Decision::Hold(reason) => {
                log::info(&reason);
                t.hold(&reason);
                Ok(Verdict::Dunno)
            }
            Decision::Mark(value) => {
                // Where the plugins after this one see it.
                m.insert_header(0, decision::HEADER, &value);
                Ok(Verdict::Dunno)
            }
        }
    }
}

facteur_plugin::export!(content: Clamav);

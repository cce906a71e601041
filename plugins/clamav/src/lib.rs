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

use facteur_plugin::{
    ContentVerdict, Error, Failure, Kept, log, message_edit, scanner, settings, transaction,
};

use decision::{Decision, Settings, decide};

static SETTINGS: Kept<Settings> = Kept::new();

fn init() -> Result<(), String> {
    let settings: Settings = settings::read()?;
    scanner::check(&settings.scanner)?;
    SETTINGS.keep(&settings)
}

fn inspect() -> Result<ContentVerdict, Failure> {
    let settings = SETTINGS.get();
    let outcome = match scanner::scan(&settings.scanner) {
        Ok(outcome) => Some(outcome),
        Err(Error::TooLarge) => None,
        Err(error) => return Err(Failure::transient(error.explain())),
    };
    match decide(settings, outcome) {
        Decision::Pass => {}
        Decision::Reject(reply) => return Ok(ContentVerdict::Reject(reply)),
        Decision::Hold(reason) => {
            log::info(&reason);
            transaction::hold(&reason);
        }
        // Where the plugins after this one see it.
        Decision::Mark(value) => message_edit::insert_header(0, decision::HEADER, &value)?,
    }
    Ok(ContentVerdict::NoOpinion)
}

facteur_plugin::export!(init: init, on_content: inspect);

#[cfg(test)]
mod tests {
    use facteur_plugin::scanner::Outcome;
    use facteur_plugin::testing::Host;

    use super::*;

    fn asked(infected: &str, outcome: Result<Outcome, Error>) -> (Host, ContentVerdict) {
        let settings = format!(r#"{{"scanner": "av", "infected": "{infected}"}}"#);
        let host = Host::new().settings(&settings).scanner("av", outcome);
        let verdict = host.run(|| {
            init().unwrap();
            inspect()
        });
        (host, verdict.unwrap())
    }

    #[test]
    fn what_is_found_is_done() {
        let virus = || Ok(Outcome::Infected("Eicar".to_owned()));
        let (_, refused) = asked("reject", virus());
        assert!(matches!(refused, ContentVerdict::Reject(reply) if reply.code == 554));
        let (host, verdict) = asked("hold", virus());
        assert_eq!(
            (verdict, host.did()),
            (ContentVerdict::NoOpinion, vec!["hold virus Eicar found".to_owned()])
        );
        let (host, _) = asked("header", virus());
        assert_eq!(host.did(), ["insert-header 0 X-Virus-Status: Infected (Eicar)"]);
        assert!(matches!(asked("hold", Err(Error::TooLarge)).1, ContentVerdict::Reject(_)));
    }

    #[test]
    fn no_answer_is_never_clean() {
        let down = Error::Unavailable("nobody is there".to_owned());
        let host = Host::new().settings(r#"{"scanner": "av"}"#).scanner("av", Err(down));
        let failure = host.run(|| init().map(|()| inspect())).unwrap().unwrap_err();
        assert!(failure.transient);
        assert!(Host::new().settings(r#"{"scanner": "av"}"#).run(init).is_err());
    }
}

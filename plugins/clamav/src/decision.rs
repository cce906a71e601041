//! What follows from a scan.

use facteur_plugin::Reply;
use facteur_plugin::scanner::Outcome;
use serde::{Deserialize, Serialize};

/// The header that `infected = "header"` puts in, as clamav-milter does.
pub const HEADER: &str = "X-Virus-Status";

/// `[plugin.settings]`.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The name of the scanner.
    pub scanner: String,
    /// What becomes of a message with a virus.
    #[serde(default)]
    infected: Infected,
    /// What becomes of a message that the scanner doesn't take.
    #[serde(default)]
    too_large: TooLarge,
}

#[derive(Serialize, Deserialize, Debug, Default, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Infected {
    #[default]
    Reject,
    Hold,
    Header,
}

#[derive(Serialize, Deserialize, Debug, Default, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum TooLarge {
    #[default]
    Reject,
    Accept,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// The next plugin is asked.
    Pass,
    /// The client hears this.
    Reject(Reply),
    /// It waits for the operator, who reads this.
    Hold(String),
    /// It goes on, with this in its header.
    Mark(String),
}

/// What follows from what the scanner found; none: the message is too large for it.
pub fn decide(settings: &Settings, outcome: Option<Outcome>) -> Decision {
    match (outcome, settings.infected, settings.too_large) {
        (Some(Outcome::Clean), _, _) | (None, _, TooLarge::Accept) => Decision::Pass,
        (None, _, TooLarge::Reject) => Decision::Reject(Reply::new(
            552,
            "5.3.4",
            "message is too large to be scanned for viruses",
        )),
        (Some(Outcome::Infected(name)), Infected::Reject, _) => {
            Decision::Reject(Reply::new(554, "5.7.1", format!("virus {name} found")))
        }
        (Some(Outcome::Infected(name)), Infected::Hold, _) => {
            Decision::Hold(format!("virus {name} found"))
        }
        (Some(Outcome::Infected(name)), Infected::Header, _) => {
            Decision::Mark(format!("Infected ({name})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Result<Settings, String> {
        facteur_plugin::settings::parse(json)
    }

    fn decided(json: &str, outcome: Option<Outcome>) -> Decision {
        decide(&settings(json).expect("the settings are right"), outcome)
    }

    fn virus() -> Outcome {
        Outcome::Infected("Eicar".to_owned())
    }

    #[test]
    fn a_virus_is_named_in_the_refusal() {
        let refused = Decision::Reject(Reply::new(554, "5.7.1", "virus Eicar found"));
        assert_eq!(decided(r#"{"scanner": "av"}"#, Some(virus())), refused);
        assert_eq!(
            decided(r#"{"scanner": "av", "infected": "hold"}"#, Some(virus())),
            Decision::Hold("virus Eicar found".into())
        );
        assert_eq!(
            decided(r#"{"scanner": "av", "infected": "header"}"#, Some(virus())),
            Decision::Mark("Infected (Eicar)".into())
        );
        for infected in ["reject", "hold", "header"] {
            let json = format!(r#"{{"scanner": "av", "infected": "{infected}"}}"#);
            assert_eq!(decided(&json, Some(Outcome::Clean)), Decision::Pass);
        }
    }

    #[test]
    fn what_was_not_scanned_passes_only_where_the_operator_says_so() {
        assert!(
            matches!(decided(r#"{"scanner": "av"}"#, None), Decision::Reject(reply) if reply.code == 552)
        );
        assert_eq!(decided(r#"{"scanner": "av", "too-large": "accept"}"#, None), Decision::Pass);
    }

    #[test]
    fn the_settings_name_their_errors() {
        assert!(settings("{}").unwrap_err().contains("scanner"));
        assert!(
            settings(r#"{"scanner": "av", "infected": "drop"}"#)
                .unwrap_err()
                .contains("\"infected\"")
        );
        assert!(
            settings(r#"{"scanner": "av", "infectd": "hold"}"#).unwrap_err().contains("infectd")
        );
    }
}

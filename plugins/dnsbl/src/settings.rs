//! The settings.

use facteur_plugin::settings::Hook;
use serde::{Deserialize, Serialize};

use crate::list::List;

/// `[plugin.settings]`.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Lists of addresses, asked about the client's.
    #[serde(default)]
    pub client: Vec<List>,
    /// Lists of domains, asked about the client's verified name.
    #[serde(default)]
    pub client_name: Vec<List>,
    /// Lists of domains, asked about what HELO said.
    #[serde(default)]
    pub helo: Vec<List>,
    /// Lists of domains, asked about the sender's.
    #[serde(default)]
    pub sender: Vec<List>,
    /// The sum of weights from which on mail is refused.
    #[serde(default = "one")]
    pub threshold: i32,
    /// What a list that doesn't answer means.
    #[serde(default)]
    pub on_failure: OnFailure,
}

impl Settings {
    /// When the lists are asked: all of them count together, and so when the last of their subjects
    /// is known.
    pub fn hook(&self) -> Hook {
        if !self.sender.is_empty() {
            Hook::OnMail
        } else if !self.helo.is_empty() {
            Hook::OnHelo
        } else {
            Hook::OnConnect
        }
    }
}

fn one() -> i32 {
    1
}

/// What a list that doesn't answer means.
#[derive(Serialize, Deserialize, Debug, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// That it says nothing.
    #[default]
    Ignore,
    /// That mail which it might have stopped comes again later.
    Defer,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<Settings, String> {
        facteur_plugin::settings::parse(json)
    }

    #[test]
    fn an_error_names_the_setting() {
        assert!(of(r#"{"client": ["bl.example"]}"#).is_ok());
        let told = of(r#"{"client": ["bl.example", "bl.example*x"]}"#).unwrap_err();
        assert!(
            told.contains("\"client[1]\"") && told.contains("zone=127.0.0.[2..11]*WEIGHT"),
            "{told}"
        );
        assert!(of(r#"{"clients": []}"#).unwrap_err().contains("unknown field"));
        assert!(of(r#"{"on-failure": "reject"}"#).unwrap_err().contains("on-failure"));
    }
}

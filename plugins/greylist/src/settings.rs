//! The settings.

use facteur_plugin::{MailAddress, Period};
use serde::{Deserialize, Serialize};

/// `[plugin.settings]`. The defaults are Postgrey's.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The name of the store of counters.
    pub store: String,
    /// How long a triplet has to wait when it first comes.
    #[serde(default = "delay")]
    pub delay: Period,
    /// How long it has time to come again; later it is as new.
    #[serde(default = "retry_window")]
    pub retry_window: Period,
    /// How long it is remembered after it last came.
    #[serde(default = "max_age")]
    pub max_age: Period,
    /// After so many triplets that came back a client's network needn't wait any more. 0: it always
    /// does.
    #[serde(default = "auto_allow")]
    pub auto_allow: u64,
    /// What the client hears. `%s` stands for the seconds to wait, `%r` for the recipient's domain.
    #[serde(default = "reply")]
    text: String,
    /// Tables of clients that needn't wait.
    #[serde(default)]
    pub exempt_clients: Vec<String>,
    /// Tables of recipients whose mail needn't wait.
    #[serde(default)]
    pub exempt_recipients: Vec<String>,
}

fn delay() -> Period {
    Period::minutes(5)
}

fn retry_window() -> Period {
    Period::days(2)
}

fn max_age() -> Period {
    Period::days(35)
}

fn auto_allow() -> u64 {
    5
}

fn reply() -> String {
    "Greylisted, please try again in %s seconds".to_owned()
}

impl Settings {
    /// From the host.
    ///
    /// # Errors
    /// A text for the operator that names the setting.
    pub fn read() -> Result<Self, String> {
        facteur_plugin::settings::read().and_then(Self::check)
    }

    fn check(self) -> Result<Self, String> {
        if self.delay >= self.retry_window {
            return Err(format!(
                "setting \"retry-window\": {} is no longer than \"delay\", {}: nobody could come \
                 back in time",
                self.retry_window, self.delay
            ));
        }
        Ok(self)
    }

    /// What the client hears that has to wait for so many milliseconds, in Postfix's words.
    pub fn reply_text(&self, recipient: &MailAddress, left: u64) -> String {
        let why = self
            .text
            .replace("%s", &left.div_ceil(1_000).to_string())
            .replace("%r", &recipient.domain);
        format!("<{recipient}>: Recipient address rejected: {why}")
    }
}

/// The settings of a JSON text.
#[cfg(test)]
pub fn of(json: &str) -> Result<Settings, String> {
    facteur_plugin::settings::parse(json).and_then(Settings::check)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_setting() {
        assert!(of("{}").unwrap_err().contains("store"));
        assert!(of(r#"{"store": "g", "delay": 5}"#).unwrap_err().contains("\"delay\""));
        assert!(of(r#"{"store": "g", "windw": "5d"}"#).unwrap_err().contains("unknown field"));
        assert!(
            of(r#"{"store": "g", "delay": "3d"}"#)
                .unwrap_err()
                .contains("nobody could come back in time")
        );
    }

    #[test]
    fn the_client_hears_how_long() {
        let told =
            of(r#"{"store": "g"}"#).unwrap().reply_text(&MailAddress::new("a", "b.org"), 299_001);
        assert_eq!(
            told,
            "<a@b.org>: Recipient address rejected: Greylisted, please try again in 300 seconds"
        );
        let settings =
            of(r#"{"store": "g", "text": "Greylisted, see https://help.example/%r"}"#).unwrap();
        assert!(
            settings
                .reply_text(&MailAddress::new("a", "b.org"), 1)
                .ends_with("see https://help.example/b.org")
        );
    }
}

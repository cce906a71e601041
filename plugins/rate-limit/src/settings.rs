//! The settings.

use serde::{Deserialize, Serialize};

use crate::rule::Rule;

/// `[plugin.settings]`.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The name of the store of counters.
    pub store: String,
    /// All of them hold.
    pub rules: Vec<Rule>,
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
        if self.rules.is_empty() {
            return Err(
                "setting \"rules\": there is none; add [[plugin.settings.rules]]".to_owned()
            );
        }
        for (number, rule) in self.rules.iter().enumerate() {
            if rule.limit == 0 {
                return Err(format!(
                    "setting \"rules[{number}].limit\": 0 would let nothing in; write 1 or more"
                ));
            }
            if rule.per.0 == 0 {
                return Err(format!(
                    "setting \"rules[{number}].per\": no time at all would limit nothing"
                ));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rules: &str) -> String {
        let json = format!(r#"{{"store": "rates", "rules": [{rules}]}}"#);
        facteur_plugin::settings::parse(&json).and_then(Settings::check).err().unwrap_or_default()
    }

    #[test]
    fn an_error_names_the_setting() {
        assert_eq!(told(r#"{"key": "client", "limit": 1, "per": "1h"}"#), "");
        assert!(told("").contains("[[plugin.settings.rules]]"));
        assert!(
            told(r#"{"key": "client", "limit": 0, "per": "1h"}"#).contains("\"rules[0].limit\"")
        );
        assert!(told(r#"{"key": "client", "limit": 1, "per": "0s"}"#).contains("\"rules[0].per\""));
        assert!(told(r#"{"key": "customer", "limit": 1, "per": "1h"}"#).contains("customer"));
        assert!(
            told(r#"{"key": "client", "limit": 1, "per": "1h", "each": 2}"#)
                .contains("unknown field")
        );
    }
}

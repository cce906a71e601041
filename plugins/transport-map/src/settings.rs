//! The settings, and what is kept of them.

use serde::{Deserialize, Serialize};

use crate::next_hop::NextHops;

/// As the operator writes them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    /// The tables, in order; an earlier key beats an earlier table.
    #[serde(default)]
    tables: Vec<String>,
    /// Where mail for other servers goes that no table names. Brackets: no MX lookup.
    relayhost: Option<String>,
    /// Vouches that no table has an address as a key, so that one answer serves a whole domain.
    /// Addresses are then not looked up.
    #[serde(default)]
    domains_only: bool,
}

/// As they are kept.
#[derive(Serialize, Deserialize, Default)]
pub struct Settings {
    pub tables: Vec<String>,
    pub relayhost: Option<NextHops>,
    pub domains_only: bool,
}

impl Settings {
    /// From the host.
    ///
    /// # Errors
    /// A text for the operator.
    pub fn read() -> Result<Self, String> {
        Self::check(facteur_plugin::settings::read()?)
    }

    fn check(written: Written) -> Result<Self, String> {
        let relayhost = written.relayhost.map(|text| {
            NextHops::parse(&text).map_err(|why| {
                format!("setting \"relayhost\": {why}; write \"[host]:port\" or \"domain\"")
            })
        });
        Ok(Self {
            tables: written.tables,
            relayhost: relayhost.transpose()?,
            domains_only: written.domains_only,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Settings, String> {
        Settings::check(facteur_plugin::settings::parse(json)?)
    }

    #[test]
    fn an_error_names_the_setting() {
        assert!(parse("{}").is_ok());
        assert!(
            parse(r#"{"relayhost": "[relay"}"#).err().unwrap_or_default().contains("relayhost")
        );
        assert!(
            parse(r#"{"relayhosts": "relay"}"#).err().unwrap_or_default().contains("unknown field")
        );
    }
}

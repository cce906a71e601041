//! `[plugin.settings]`, read once, in `init`.
//!
//! Describe them as a type that derives [`serde::Deserialize`], with
//! `#[serde(deny_unknown_fields)]`, so that a misspelt word is told to the operator, and
//! `#[serde(rename_all = "kebab-case")]`, as the rest of the configuration is written.

use serde::de::DeserializeOwned;

/// The settings.
///
/// # Errors
/// A text for the operator that names the setting, to be returned from `init` as it is.
pub fn read<T: DeserializeOwned>() -> Result<T, String> {
    parse(&crate::host::settings::get())
}

/// A hook, as [`skip`] names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the contract's names")]
pub enum Hook {
    OnConnect,
    OnHelo,
    OnMail,
    OnRcpt,
    OnData,
    OnEndOfData,
    OnContent,
    OnAlias,
    OnTransport,
    OnDelivery,
    OnAuthenticate,
}

impl Hook {
    fn name(self) -> &'static str {
        match self {
            Self::OnConnect => "on-connect",
            Self::OnHelo => "on-helo",
            Self::OnMail => "on-mail",
            Self::OnRcpt => "on-rcpt",
            Self::OnData => "on-data",
            Self::OnEndOfData => "on-end-of-data",
            Self::OnContent => "on-content",
            Self::OnAlias => "on-alias",
            Self::OnTransport => "on-transport",
            Self::OnDelivery => "on-delivery",
            Self::OnAuthenticate => "on-authenticate",
        }
    }
}

/// Tells the host not to ask this hook, though it is exported. Only in `init`; elsewhere a trap.
pub fn skip(hook: Hook) {
    crate::host::settings::skip(hook.name());
}

/// The same from a JSON text: for tests.
///
/// # Errors
/// As [`read`].
pub fn parse<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let settings = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let why = error.into_inner().to_string();
        // The place in the JSON text says nothing to an operator, who wrote TOML.
        let why = why.split(" at line ").next().unwrap_or_default();
        if path == "." { format!("settings: {why}") } else { format!("setting \"{path}\": {why}") }
    })?;
    reader.end().map_err(|error| format!("settings: {error}"))?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[derive(serde::Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(default)]
        tables: Vec<String>,
    }

    #[test]
    fn an_error_names_the_setting() {
        assert_eq!(parse::<Settings>("{}").map(|s| s.tables.len()), Ok(0));
        let told = parse::<Settings>(r#"{"tables": ["a", 3]}"#).unwrap_err();
        assert_eq!(told, "setting \"tables[1]\": invalid type: integer `3`, expected a string");
        let told = parse::<Settings>(r#"{"table": []}"#).unwrap_err();
        assert_eq!(told, "setting \"table\": unknown field `table`, expected `tables`");
    }
}

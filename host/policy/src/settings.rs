//! A plugin's own part of the configuration: as JSON, and one by one.

use serde_json::Value;

/// `[plugin.settings]`, read once for a plugin.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    json: String,
    values: Value,
}

/// A setting that is there and is of another type. The text names it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the setting \"{name}\" is {found}, where {wanted} is wanted")]
pub(crate) struct WrongType {
    name: String,
    found: &'static str,
    wanted: &'static str,
}

type Found<T> = Result<Option<T>, WrongType>;

impl Settings {
    /// # Errors
    /// It is no JSON object.
    pub(crate) fn parse(json: String) -> Result<Self, String> {
        let values: Value = serde_json::from_str(&json)
            .map_err(|error| format!("its settings are no JSON: {error}"))?;
        if values.is_object() {
            Ok(Self { json, values })
        } else {
            Err("its settings are no JSON object".into())
        }
    }

    /// All of them.
    pub(crate) fn json(&self) -> &str {
        &self.json
    }

    pub(crate) fn text(&self, name: &str) -> Found<String> {
        self.typed(name, "a text", |value| value.as_str().map(str::to_owned))
    }

    pub(crate) fn number(&self, name: &str) -> Found<i64> {
        self.typed(name, "a whole number", Value::as_i64)
    }

    pub(crate) fn yes_or_no(&self, name: &str) -> Found<bool> {
        self.typed(name, "true or false", Value::as_bool)
    }

    pub(crate) fn texts(&self, name: &str) -> Found<Vec<String>> {
        self.typed(name, "a list of texts", |value| {
            let texts = value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned));
            texts.collect()
        })
    }

    /// The names in a table.
    pub(crate) fn names(&self, name: &str) -> Found<Vec<String>> {
        self.typed(name, "a table", |value| Some(value.as_object()?.keys().cloned().collect()))
    }

    fn typed<T>(
        &self,
        name: &str,
        wanted: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Found<T> {
        let Some(value) = self.find(name).filter(|value| !value.is_null()) else { return Ok(None) };
        let wrong = || WrongType { name: name.to_owned(), found: kind(value), wanted };
        read(value).map(Some).ok_or_else(wrong)
    }

    /// The value of a name; a dot leads into a table.
    fn find(&self, name: &str) -> Option<&Value> {
        if name.is_empty() {
            return Some(&self.values);
        }
        name.split('.').try_fold(&self.values, |table, name| table.get(name))
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_by_their_type() {
        let json = r#"{"tables": ["a", "b"], "client": {"limit": 3, "reply": "no"}, "log": true,
            "share": 0.5}"#;
        let settings = Settings::parse(json.into()).unwrap();
        assert_eq!(settings.texts("tables"), Ok(Some(vec!["a".into(), "b".into()])));
        assert_eq!(settings.number("client.limit"), Ok(Some(3)));
        assert_eq!(settings.text("client.reply"), Ok(Some("no".into())));
        assert_eq!(settings.yes_or_no("log"), Ok(Some(true)));
        assert_eq!(settings.names("client"), Ok(Some(vec!["limit".into(), "reply".into()])));
        assert_eq!(settings.names("").unwrap().unwrap().len(), 4);
        for absent in ["x", "client.x", "client.limit.x", "tables.x", ".", "client."] {
            assert_eq!(settings.text(absent), Ok(None), "{absent}");
        }
        let wrong = settings.number("share").unwrap_err().to_string();
        assert_eq!(wrong, "the setting \"share\" is a number, where a whole number is wanted");
        assert!(settings.text("tables").is_err() && settings.texts("client").is_err());
        assert!(Settings::parse("[]".into()).is_err() && Settings::parse("{".into()).is_err());
    }
}

//! The settings; kept as they are.

use serde::{Deserialize, Serialize};

/// `[plugin.settings]`.
#[derive(Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Tables of the format `aliases`, in order; an earlier key beats an earlier table.
    pub aliases: Vec<String>,
    /// Tables as virtual(5).
    #[serde(rename = "virtual")]
    pub virtual_: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn the_settings_are_read() {
        let settings: Settings =
            facteur_plugin::settings::parse(r#"{"aliases": ["a"], "virtual": ["b", "c"]}"#)
                .unwrap();
        assert_eq!((settings.aliases.len(), settings.virtual_.len()), (1, 2));
        assert!(facteur_plugin::settings::parse::<Settings>("{}").is_ok());
        let told = facteur_plugin::settings::parse::<Settings>(r#"{"virtuals": []}"#)
            .err()
            .unwrap_or_default();
        assert!(told.contains("virtuals"), "{told}");
    }
}

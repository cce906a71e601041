//! What `init` made of the settings, for every later sandbox.

use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// State that [`init`](crate::Restriction::init) keeps and every other call gets back.
///
/// A transaction runs in a fresh instance: the first [`get`](Kept::get) in it decodes what was kept
/// (a flat binary form, a microsecond for some dozens of strings), later ones are free. At most
/// 65,536 bytes.
///
/// ```
/// # use facteur_plugin::Kept;
/// static SETTINGS: Kept<Vec<String>> = Kept::new();
/// ```
pub struct Kept<T>(OnceLock<T>);

impl<T: Serialize + DeserializeOwned> Kept<T> {
    /// Nothing yet. For a `static`.
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Keeps this. Only in `init`; elsewhere it is a trap. One plugin has one such state: the last
    /// call stands.
    ///
    /// # Errors
    /// A text for the operator: the state is too large.
    pub fn keep(&self, state: T) -> Result<(), String> {
        let bytes = postcard::to_allocvec(&state)
            .map_err(|error| format!("the settings can't be kept: {error}"))?;
        if bytes.len() > KEPT_LIMIT {
            return Err(format!(
                "the settings make {} bytes of state; at most {KEPT_LIMIT} can be kept",
                bytes.len()
            ));
        }
        crate::host::settings::keep(&bytes);
        // A second hook's init in the same sandbox keeps the same.
        let _ = self.0.set(state);
        Ok(())
    }

    /// What was kept.
    ///
    /// # Panics
    /// If `init` kept nothing, or something else: the plugin is wrong.
    pub fn get(&self) -> &T {
        self.0.get_or_init(|| match postcard::from_bytes(&crate::host::settings::kept()) {
            Ok(state) => state,
            Err(error) => panic!("init kept no such state: {error}"),
        })
    }
}

impl<T: Serialize + DeserializeOwned> Default for Kept<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// What the contract's `settings.keep` takes.
const KEPT_LIMIT: usize = 65_536;

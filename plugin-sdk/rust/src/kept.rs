//! What `init` made of the settings, for every later sandbox.

use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// State that `init` keeps and every other call gets back.
///
/// A transaction runs in a fresh instance: the first [`get`](Kept::get) in it decodes what was kept
/// (a flat binary form, a microsecond for some dozens of strings), later ones are free. At most
/// 65,536 bytes. Natively it belongs to the [made-up host](crate::testing::Host) that is asked.
///
/// ```
/// # use facteur_plugin::Kept;
/// static SETTINGS: Kept<Vec<String>> = Kept::new();
/// ```
pub struct Kept<T> {
    /// Natively unused: each test has its own settings.
    #[cfg_attr(not(target_arch = "wasm32"), expect(dead_code))]
    decoded: OnceLock<T>,
}

impl<T: Serialize + DeserializeOwned> Kept<T> {
    /// Nothing yet. For a `static`.
    pub const fn new() -> Self {
        Self { decoded: OnceLock::new() }
    }

    /// Keeps this. Only in `init`; elsewhere it is a trap. One plugin has one such state: the last
    /// call stands.
    ///
    /// # Errors
    /// A text for the operator: the state is too large.
    pub fn keep(&self, state: &T) -> Result<(), String> {
        let bytes = postcard::to_allocvec(state)
            .map_err(|error| format!("the settings can't be kept: {error}"))?;
        if bytes.len() > KEPT_LIMIT {
            return Err(format!(
                "the settings make {} bytes of state; at most {KEPT_LIMIT} can be kept",
                bytes.len()
            ));
        }
        crate::host::settings::keep(&bytes);
        Ok(())
    }

    /// What was kept.
    ///
    /// # Panics
    /// If `init` kept nothing, or something else: the plugin is wrong.
    pub fn get(&self) -> &T {
        #[cfg(target_arch = "wasm32")]
        return self.decoded.get_or_init(Self::decode);
        // A test ends soon, and each may have other settings.
        #[cfg(not(target_arch = "wasm32"))]
        Box::leak(Box::new(Self::decode()))
    }

    fn decode() -> T {
        match postcard::from_bytes(&crate::host::settings::kept()) {
            Ok(state) => state,
            Err(error) => panic!("init kept no such state: {error}"),
        }
    }
}

impl<T: Serialize + DeserializeOwned> Default for Kept<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// What the contract's `settings.keep` takes.
const KEPT_LIMIT: usize = 65_536;

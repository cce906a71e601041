//! The operator's log: lines appear under the plugin's name and the message's queue id.
//!
//! At most 1,024 bytes of a line are kept, and 100 lines for one call of a hook.

use crate::bindings::facteur::policy::log::Level;
use crate::host::log::write;

/// For whoever looks for a fault.
pub fn debug(text: impl AsRef<str>) {
    write(Level::Debug, text.as_ref());
}

/// What happened.
pub fn info(text: impl AsRef<str>) {
    write(Level::Info, text.as_ref());
}

/// What the operator should look at some day.
pub fn warn(text: impl AsRef<str>) {
    write(Level::Warn, text.as_ref());
}

/// What the operator must mend.
pub fn error(text: impl AsRef<str>) {
    write(Level::Error, text.as_ref());
}

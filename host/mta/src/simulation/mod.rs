//! Sessions that are played to policy rather than held with a client: one that the operator makes
//! up (`facteur try`), or one that was recorded from the wire and is played again to other plugins
//! (`facteur record`, `facteur replay`).
//!
//! A simulation asks the same plugins the same questions in the same order as
//! [`crate::receive::session`] does, and leaves no trace: no mail is stored, no counter moves. What
//! isn't policy's (the syntax of commands, sizes, the disk) isn't simulated, but for the hop count.

mod content;
mod dialogue;
mod play;
mod record;
mod redact;
mod replay;
#[cfg(test)]
mod tests;

pub use content::{Extent, Part};
pub use dialogue::{Dialogue, What};
pub use play::{outcome, simulate};
pub use record::{Recorded, Recorder, Recording, Wanted};
pub use redact::Redaction;
pub use replay::{Summary, replay};

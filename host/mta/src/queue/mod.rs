//! The queue: tries what is due, when it is due, and records what came of it.
//!
//! One task owns the scheduler; loads and attempts run beside it and report back, so that nothing
//! here needs a lock. Nothing leaves the queue but through the store: an outcome is committed
//! before the scheduler forgets the recipient, and a crash at any moment only means that what was
//! under way is tried again.

mod agenda;
mod attempt;
mod backoff;
mod batch;
mod clock;
mod destination;
mod disposition;
mod door;
mod driver;
pub(crate) mod entry;
mod parts;
mod places;
mod redirect;
mod scheduler;
mod tell;
mod untold;

pub use backoff::Backoff;
pub use door::Queue;
pub use driver::start;
pub use parts::Parts;
pub use scheduler::Limits;

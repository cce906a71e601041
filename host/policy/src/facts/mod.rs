//! What plugins can see: the facts of a session, of an envelope, of a recipient in the queue.
//!
//! Facts are shared between the sandboxes of a transaction and guarded by short locks that are
//! never held across an await. Who writes: the host writes facts; plugins write tags and actions,
//! within limits.

mod consignment;
mod envelope;
mod session;
mod tls;

pub use consignment::Consignment;
pub use envelope::Actions;
pub(crate) use envelope::{Accepted, EnvelopeFacts, RecipientFacts};
pub(crate) use session::Hello;
pub use session::SessionFacts;
pub use tls::{ClientCertificate, TlsFacts};

//! Fields that mail of this machine's own programs lacks and a message must have: `Message-ID:`,
//! `Date:`, `From:`.
//!
//! As Postfix adds them (`local_header_rewrite_clients = permit_inet_interfaces`). Mail of others
//! stays as it came, that of trusted networks too: a signature that says "there is no such field"
//! would break.

use bytes::{Bytes, BytesMut};
use facteur_policy::header_line;
use facteur_smtp::{Address, Missing, Reply};
use facteur_spool::{MessageId, SpoolError};

/// What is missing, as lines. `sender` is the envelope's.
///
/// # Errors
/// The reply for the client: there is no random number for an id.
pub fn fields(missing: Missing, sender: Option<&Address>, hostname: &str) -> Result<Bytes, Reply> {
    let mut lines = BytesMut::new();
    let mut put = |name: &str, value: &str| {
        lines.extend_from_slice(&header_line(&format!("{}{name}", missing.prefix), value));
    };
    if missing.message_id {
        let id = MessageId::random().map_err(|error| SpoolError::from(error).reply())?;
        put("Message-ID", &format!("<{id}@{hostname}>"));
    }
    if missing.date {
        let now = jiff::Zoned::now();
        // It fails beyond the year 9999 alone.
        put("Date", &jiff::fmt::rfc2822::to_string(&now).unwrap_or_default());
    }
    if missing.from {
        match sender {
            Some(sender) => put("From", &sender.wire()),
            None => put("From", &format!("Mail Delivery System <MAILER-DAEMON@{hostname}>")),
        }
    }
    Ok(lines.freeze())
}

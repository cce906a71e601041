//! What delivery knows of the configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use facteur_policy::Dns;

use super::logins::Logins;
use super::security::DeliveryTls;
use crate::config::SmtpClient;
use crate::tables::Mailboxes;

/// What delivery knows of the configuration.
#[derive(Clone)]
pub struct Settings {
    /// This host's name: in the file names of Maildirs, and to see that mail loops.
    pub hostname: String,
    /// Where this program listens: a next hop that is one of these is ourselves.
    pub listening: Vec<SocketAddr>,
    /// `[smtp]`.
    pub smtp: SmtpClient,
    /// `[delivery.tls]`.
    pub tls: DeliveryTls,
    /// Who we are to servers that relay for us.
    pub logins: Logins,
    /// Whether we log in without TLS, too.
    pub logins_in_the_clear: bool,
    /// How old a message is that goes in the clear once TLS has failed, where it may.
    pub plain_after: Duration,
    /// Where mailboxes are and whose.
    pub mailboxes: Arc<Mailboxes>,
    /// The DNS.
    pub names: Arc<dyn Dns>,
    /// How long all lookups of one attempt may take together.
    pub lookups: Duration,
}

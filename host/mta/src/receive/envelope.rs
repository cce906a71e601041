//! The transaction under way in a session: what was said of it, and its content so far.

use bytes::Bytes;
use facteur_policy::Transaction;
use facteur_smtp::{
    HeaderSection, HeadersError, MailParameters, Passed, RcptParameters, Reply, ReversePath,
};
use facteur_spool::BodyWriter;

use super::missing;

/// The transaction under way.
pub(super) struct Envelope {
    pub policy: Transaction,
    pub sender: ReversePath,
    pub parameters: MailParameters,
    /// Of each accepted RCPT.
    pub recipients: Vec<RcptParameters>,
    pub headers: HeaderSection,
    pub body: Option<BodyWriter>,
    /// Why the body can't be kept; said at its end.
    pub failed: Option<Reply>,
}

impl Envelope {
    pub(super) fn new(
        policy: Transaction,
        sender: ReversePath,
        parameters: MailParameters,
    ) -> Self {
        Self {
            policy,
            sender,
            parameters,
            recipients: Vec::new(),
            headers: HeaderSection::default(),
            body: None,
            failed: None,
        }
    }

    /// Keeps the next content. `completes` says for which host fields that are missing are added.
    pub(super) async fn keep(
        &mut self,
        passed: Result<Passed, HeadersError>,
        completes: Option<&str>,
    ) {
        let Some(body) = &mut self.body else { return };
        let written = async {
            let Passed { head, missing, rest } = passed.map_err(HeadersError::reply)?;
            let added = match missing.zip(completes) {
                None => Bytes::new(),
                Some((missing, hostname)) => {
                    missing::fields(missing, self.sender.as_ref(), hostname)?
                }
            };
            for bytes in [head, added, rest] {
                if !bytes.is_empty() {
                    body.write(bytes).await.map_err(|error| error.reply())?;
                }
            }
            Ok(())
        };
        if let Err(reply) = written.await {
            // The rest is read and thrown away, so that the session stays in step.
            self.body = None;
            self.failed = Some(reply);
        }
    }
}

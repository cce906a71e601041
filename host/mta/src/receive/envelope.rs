//! The transaction under way in a session: what was said of it, and its content so far; and how
//! much memory that takes.

use bytes::Bytes;
use facteur_policy::Transaction;
use facteur_smtp::{
    HeaderSection, HeadersError, MailParameters, Passed, Path, RcptParameters, Reply, ReversePath,
};
use facteur_spool::BodyWriter;

use super::missing;

/// What a recipient takes beside its text, in octets: what is known and was decided of it.
const RECIPIENT: usize = 1024;
/// How often its text is kept at most: as it came, completed, in the trace.
const TEXTS: usize = 4;
/// What a header takes beside its text where it stands in an index, in octets.
const FIELD: usize = 80;
/// How often the headers are in memory at most while a message is looked at: as they are read, in
/// an index, as a plugin wants them.
const COPIES: usize = 4;

/// The transaction under way.
pub(super) struct Envelope {
    pub policy: Transaction,
    pub sender: ReversePath,
    pub parameters: MailParameters,
    /// Of each accepted RCPT.
    pub recipients: Vec<RcptParameters>,
    /// What they take of memory.
    addressed: usize,
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
            addressed: 0,
            headers: HeaderSection::default(),
            body: None,
            failed: None,
        }
    }

    /// Octets of memory that it takes while its client sends.
    pub(super) fn memory(&self) -> usize {
        self.addressed + self.body.as_ref().map_or(0, BodyWriter::memory)
    }

    /// The same while its message is looked at.
    pub(super) fn memory_at_end(&self) -> usize {
        self.addressed + self.headers.size() * COPIES + self.headers.fields() * FIELD
    }

    /// A recipient was accepted, which takes so much memory.
    pub(super) fn accepted(&mut self, parameters: RcptParameters, memory: usize) {
        self.addressed += memory;
        self.recipients.push(parameters);
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
            self.fail(reply);
        }
    }

    /// The body can't be kept. The rest is read and thrown away, so that the session stays in step.
    pub(super) fn fail(&mut self, reply: Reply) {
        self.body = None;
        self.failed = Some(reply);
    }
}

/// What a recipient takes of memory.
pub(super) fn memory_of(path: &Path, parameters: &RcptParameters) -> usize {
    let original = parameters.orcpt.as_ref().map_or(0, String::len);
    RECIPIENT + path.address.as_unquoted().len() * TEXTS + original
}

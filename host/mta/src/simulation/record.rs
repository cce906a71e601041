//! Writes sessions down while they are held: what the client said, what was decided, and what the
//! host answered to plugins.
//!
//! A recording belongs to the operator's request: it ends with it, and leaves nothing on the
//! server. Who records never makes a session wait: one that the reader is too slow for is left out,
//! and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use facteur_policy::{Services, SessionFacts, Tape, Taped};
use facteur_spool::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::content::Extent;
use super::dialogue::{Dialogue, Said, What};

/// What one session may say in a recording: a client that goes on for ever is left out.
const SAID: usize = 10_000;
/// Sessions that wait for the reader.
const WAITING: usize = 256;

/// A session with all that is needed to play it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// What was said.
    #[serde(flatten)]
    pub dialogue: Dialogue,
    /// Whether the client was in a trusted network.
    pub trusted: bool,
    /// What plugins asked of the host.
    pub tape: Tape,
}

/// What an operator wants recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// How much of each message.
    pub content: Extent,
    /// Sessions of a hundred.
    pub share: u8,
}

/// Hands sessions to whoever records.
#[derive(Default)]
pub struct Recorder {
    /// So that a session costs nothing where nobody records.
    on: AtomicBool,
    sessions: AtomicU64,
    to: Mutex<Option<(Wanted, mpsc::Sender<Recorded>)>>,
    /// Sessions of this recording that the reader was too slow for, or that said too much.
    left_out: AtomicU64,
}

/// A recording under way; it ends when this is dropped.
pub struct Reader<'a> {
    recorder: &'a Recorder,
    /// The sessions, as they end.
    pub sessions: mpsc::Receiver<Recorded>,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.recorder.on.store(false, Ordering::Relaxed);
        *self.recorder.to.lock() = None;
        let left_out = self.recorder.left_out.load(Ordering::Relaxed);
        tracing::info!(left_out, "sessions are no longer recorded");
    }
}

impl Recorder {
    /// Begins to record. None: somebody else does.
    pub fn start(&self, wanted: Wanted) -> Option<Reader<'_>> {
        let mut to = self.to.lock();
        if to.is_some() {
            return None;
        }
        let (sender, sessions) = mpsc::channel(WAITING);
        *to = Some((wanted, sender));
        self.left_out.store(0, Ordering::Relaxed);
        self.on.store(true, Ordering::Relaxed);
        Some(Reader { recorder: self, sessions })
    }

    /// Whether this session is recorded: then its plugins are to be lent what comes back.
    pub fn begin(
        &self,
        facts: &SessionFacts,
        services: impl FnOnce() -> Arc<Services>,
    ) -> Option<Box<Recording>> {
        if !self.on.load(Ordering::Relaxed) {
            return None;
        }
        let (wanted, to) = self.to.lock().clone()?;
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        // Evenly: of every hundred sessions the first so many.
        if number % 100 >= u64::from(wanted.share) {
            return None;
        }
        let dialogue = Dialogue {
            session: facts.id.clone(),
            time: Timestamp::now().0,
            listener: facts.listener.clone(),
            client: facts.client,
            login: None,
            said: Vec::new(),
        };
        Some(Box::new(Recording {
            dialogue,
            trusted: facts.trusted,
            kept: wanted.content,
            tape: Arc::new(Taped::recording(services())),
            to,
        }))
    }

    /// The session is over.
    pub fn end(&self, recording: Recording) {
        let Recording { dialogue, trusted, tape, to, .. } = recording;
        let whole = dialogue.said.len() < SAID;
        let session =
            tape.take().filter(|_| whole).map(|tape| Recorded { dialogue, trusted, tape });
        if session.is_none_or(|session| to.try_send(session).is_err()) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A session that is being recorded.
pub struct Recording {
    dialogue: Dialogue,
    trusted: bool,
    kept: Extent,
    tape: Arc<Taped>,
    to: mpsc::Sender<Recorded>,
}

impl Recording {
    /// What the session's plugins are lent.
    pub fn services(&self) -> Arc<Services> {
        Arc::new(Services::of(&self.tape))
    }

    /// How much of each message.
    pub fn kept(&self) -> Extent {
        self.kept
    }

    /// The client said this, and that was decided.
    pub fn say(&mut self, what: What, verdict: Option<String>) {
        if self.dialogue.said.len() < SAID {
            self.dialogue.said.push(Said { what, verdict });
        }
    }
}

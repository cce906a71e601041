//! The operator's door to the running program: a unix socket that takes one request a connection,
//! as a line of JSON, and answers with lines of JSON.
//!
//! The same requests are answered without the program, on the store itself, when it isn't running:
//! [`answer`] serves both. The socket is for the user who runs facteur alone (0600).

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use facteur_spool::{QueueId, Selection, Spool, SpoolError, Summary};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::accepting::Accepting;
use crate::decisions::{self, Record};
use crate::operate::plugins::{self, PluginEntry};
use crate::operate::serve::{Control, DECISIONS};
use crate::receive::mta::{Mta, told_to_stop};
use crate::rehearsal::{self, Dialogue, Recorded, Wanted};

/// A request is short, but for the message of a rehearsal.
const REQUEST_LIMIT: u64 = 64 << 20;
/// Requests at once; more wait. Each takes a descriptor, and some read a file.
const REQUESTS: usize = 16;
const NO_SERVER: &str = "no server runs with this configuration: `facteur serve` starts one";
/// Messages in one page of a listing.
const PAGE: usize = 500;

/// What an operator may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request")]
pub enum Request {
    /// Every message in the queue.
    List,
    /// One message, with its content.
    Show {
        /// Its queue id.
        id: String,
    },
    /// Make messages due now.
    Flush(Which),
    /// Keep messages until released.
    Hold(Which),
    /// Put held messages back.
    Release(Which),
    /// Remove messages, without a bounce.
    Delete(Which),
    /// Load the configuration anew.
    Reload,
    /// What was decided about a message or in a session, and why.
    Explain {
        /// A queue id, or the name of a session as the log has it.
        id: String,
    },
    /// Play a session to the plugins, without effect.
    Try(Dialogue),
    /// Hand over sessions as they end, until nobody reads them any more.
    Record(Wanted),
    /// The plugins in force.
    Plugins,
}

/// Which messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Which {
    /// A queue id; none means all.
    pub id: Option<String>,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// A message in a listing.
    Message(Entry),
    /// A piece of a message's content.
    Content {
        /// Text as near as it goes: mail is bytes.
        text: String,
    },
    /// How many messages it touched.
    Count {
        /// Messages.
        count: u64,
    },
    /// Something that was decided.
    Decided(Box<Record>),
    /// A session, whole.
    Recorded(Box<Recorded>),
    /// A plugin in force.
    Plugin(Box<PluginEntry>),
    /// It was done.
    Done,
    /// It wasn't.
    Failed {
        /// Why, a line each.
        errors: Vec<String>,
    },
}

/// A message in the queue, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Queue id.
    pub id: String,
    /// Milliseconds since 1970.
    pub received_at: u64,
    /// Octets.
    pub size: u64,
    /// Empty is the null sender.
    pub sender: String,
    /// Why it is held or corrupt.
    pub reason: Option<String>,
    /// Its recipients: the first thousand.
    pub recipients: Vec<EntryRecipient>,
    /// How many there are.
    pub recipient_count: u64,
}

/// A recipient of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRecipient {
    /// Where it goes.
    pub address: String,
    /// queued, hold, quarantine, corrupt.
    pub state: String,
    /// Milliseconds since 1970.
    pub next_try: u64,
    /// How often it was deferred.
    pub attempts: u32,
    /// Why it is still here.
    pub last_reply: Option<String>,
    /// Who said so.
    pub remote: Option<String>,
}

impl From<Summary> for Entry {
    fn from(summary: Summary) -> Self {
        let recipient = |one: facteur_spool::SummaryRecipient| EntryRecipient {
            address: one.address,
            state: one.state,
            next_try: one.next_try.0,
            attempts: one.attempts,
            last_reply: one.last_reply,
            remote: one.remote,
        };
        Self {
            id: summary.queue_id.to_string(),
            received_at: summary.received_at.0,
            size: summary.size,
            sender: summary.sender,
            reason: summary.reason,
            recipients: summary.recipients.into_iter().map(recipient).collect(),
            recipient_count: summary.recipient_count,
        }
    }
}

/// Takes the answers to a request, one after the other.
pub trait Sink {
    /// One line of the answer. An error ends the request.
    fn put(&mut self, answer: Answer) -> impl Future<Output = io::Result<()>> + Send;
}

/// Answers a request: on the store alone, or with the running program.
///
/// # Errors
/// Those of the sink.
pub async fn answer(
    spool: &Spool,
    running: Option<(&Mta, &Control)>,
    request: Request,
    sink: &mut impl Sink,
) -> io::Result<()> {
    let result = match request {
        Request::List => return list(spool, sink).await,
        Request::Show { id } => return show(spool, &id, sink).await,
        Request::Plugins => {
            let Some((mta, _)) = running else { return sink.put(failed(NO_SERVER)).await };
            let entries = plugins::entries(&mta.lives.load());
            for entry in entries {
                sink.put(Answer::Plugin(Box::new(entry))).await?;
            }
            return Ok(());
        }
        Request::Reload => {
            let Some((_, control)) = running else {
                return sink.put(failed(NO_SERVER)).await;
            };
            let answer = match control.reload().await {
                Ok(()) => Answer::Done,
                Err(errors) => Answer::Failed { errors },
            };
            return sink.put(answer).await;
        }
        Request::Explain { id } => {
            if let Some((mta, _)) = running {
                mta.decisions.flush().await;
            }
            return explain(spool, id, sink).await;
        }
        Request::Try(dialogue) => {
            let Some((mta, _)) = running else { return sink.put(failed(NO_SERVER)).await };
            let answer = match rehearsal::rehearse(&mta.lives.load_full(), dialogue).await {
                Ok(record) => Answer::Decided(Box::new(record)),
                Err(reason) => failed(&reason),
            };
            return sink.put(answer).await;
        }
        Request::Record(wanted) => {
            let Some((mta, _)) = running else { return sink.put(failed(NO_SERVER)).await };
            return record(mta, wanted, sink).await;
        }
        Request::Flush(which) => change(spool, running, which, Change::Flush).await,
        Request::Hold(which) => change(spool, running, which, Change::Hold).await,
        Request::Release(which) => change(spool, running, which, Change::Release).await,
        Request::Delete(which) => change(spool, running, which, Change::Delete).await,
    };
    sink.put(result.unwrap_or_else(|reason| failed(&reason))).await
}

fn failed(reason: &(impl ToString + ?Sized)) -> Answer {
    Answer::Failed { errors: vec![reason.to_string()] }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Flush,
    Hold,
    Release,
    Delete,
}

async fn change(
    spool: &Spool,
    running: Option<(&Mta, &Control)>,
    which: Which,
    change: Change,
) -> Result<Answer, String> {
    let message = which.id.as_deref().map(parse).transpose()?;
    let selection = message.map_or(Selection::All, Selection::Message);
    let done: Result<u64, SpoolError> = match change {
        Change::Flush => spool.flush(selection).await,
        Change::Hold => spool.hold(selection, "held by the operator").await,
        Change::Release => spool.release(selection).await,
        Change::Delete => spool.delete(selection).await,
    };
    let count = done.map_err(|error| error.to_string())?;
    if let (0, Some(message)) = (count, message) {
        // What is due already can't be made so, and is there all the same.
        let there = change == Change::Flush
            && spool.load(message, None).await.is_ok_and(|found| found.is_some());
        if !there {
            return Err(format!("there is no message {message} that this applies to"));
        }
    }
    if let Some((mta, _)) = running {
        match change {
            Change::Flush | Change::Release => mta.queue.rescan().await,
            Change::Hold | Change::Delete => mta.queue.withdraw(message).await,
        }
    }
    Ok(Answer::Count { count })
}

fn parse(id: &str) -> Result<QueueId, String> {
    id.parse().map_err(|error| format!("{id}: {error}"))
}

async fn list(spool: &Spool, sink: &mut impl Sink) -> io::Result<()> {
    let mut after = None;
    loop {
        let page = match spool.list(after, PAGE).await {
            Ok(page) => page,
            Err(error) => return sink.put(failed(&error)).await,
        };
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.queue_id);
        for summary in page {
            sink.put(Answer::Message(summary.into())).await?;
        }
    }
}

async fn show(spool: &Spool, id: &str, sink: &mut impl Sink) -> io::Result<()> {
    let queue_id = match parse(id) {
        Ok(queue_id) => queue_id,
        Err(error) => return sink.put(failed(&error)).await,
    };
    let after = queue_id.number().checked_sub(1).and_then(QueueId::new);
    let page = match spool.list(after, 1).await {
        Ok(page) => page,
        Err(error) => return sink.put(failed(&error)).await,
    };
    let Some(summary) = page.into_iter().next().filter(|summary| summary.queue_id == queue_id)
    else {
        return sink.put(failed(&format!("there is no message {id}"))).await;
    };
    sink.put(Answer::Message(summary.into())).await?;
    match spool.load(queue_id, None).await {
        Ok(Some(message)) => {
            sink.put(Answer::Content {
                text: String::from_utf8_lossy(&message.header).into_owned(),
            })
            .await?;
            let mut reader = message.body.open().await?;
            while let Some(chunk) = reader.next().await? {
                sink.put(Answer::Content { text: String::from_utf8_lossy(&chunk).into_owned() })
                    .await?;
            }
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(error) => sink.put(failed(&error)).await,
    }
}

/// Until the sink fails, which it does when whoever asked is gone, or the program stops.
async fn record(mta: &Mta, wanted: Wanted, sink: &mut impl Sink) -> io::Result<()> {
    let Some(mut reader) = mta.recorder.start(wanted) else {
        return sink
            .put(failed("sessions are being recorded already: one recording at a time"))
            .await;
    };
    tracing::info!(?wanted, "sessions are being recorded");
    // Now the first session may come.
    sink.put(Answer::Done).await?;
    let mut stopping = mta.stopping.clone();
    loop {
        let session = tokio::select! {
            session = reader.sessions.recv() => session,
            () = told_to_stop(&mut stopping) => None,
        };
        let Some(session) = session else { return Ok(()) };
        sink.put(Answer::Recorded(Box::new(session))).await?;
    }
}

async fn explain(spool: &Spool, id: String, sink: &mut impl Sink) -> io::Result<()> {
    let folder = spool.folder().join(DECISIONS);
    let name = id.clone();
    let found = tokio::task::spawn_blocking(move || decisions::find(&folder, &name))
        .await
        .map_err(io::Error::other)?;
    match found {
        Ok(records) if records.is_empty() => {
            let text = format!(
                "nothing is known of {id}: it is no queue id or session of this server, or too \
                 long ago"
            );
            sink.put(failed(&text)).await
        }
        Ok(records) => {
            for record in records {
                sink.put(Answer::Decided(Box::new(record))).await?;
            }
            Ok(())
        }
        Err(error) => sink.put(failed(&format!("what was decided can't be read: {error}"))).await,
    }
}

/// The listening socket.
pub struct Door(UnixListener);

impl Door {
    /// Makes the socket, in place of one that a crash left.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self(listener))
    }

    /// Answers until the program stops.
    pub async fn run(self, mta: Arc<Mta>, control: Control) {
        let mut stopping = mta.stopping.clone();
        let mut accepting = Accepting::new("admin");
        let places = Arc::new(Semaphore::new(REQUESTS));
        loop {
            let accept = async {
                // It is never closed, so that there always is one.
                let place = places.clone().acquire_owned().await;
                (place, self.0.accept().await)
            };
            let (place, accepted) = tokio::select! {
                accepted = accept => accepted,
                () = told_to_stop(&mut stopping) => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (mta, control) = (mta.clone(), control.clone());
                    tokio::spawn(async move {
                        if let Err(error) = serve(stream, &mta, &control).await {
                            tracing::debug!(%error, "an operator's request ended early");
                        }
                        drop(place);
                    });
                }
                Err(error) => accepting.failed(&error).await,
            }
        }
    }
}

async fn serve(stream: UnixStream, mta: &Mta, control: &Control) -> io::Result<()> {
    let (read, write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(REQUEST_LIMIT));
    read.read_line(&mut line).await?;
    let mut sink = Lines(write);
    match serde_json::from_str(&line) {
        // It has no end of its own but that nobody reads any more.
        Ok(request @ Request::Record(_)) => tokio::select! {
            ended = answer(&mta.spool, Some((mta, control)), request, &mut sink) => ended?,
            _ = read.read_u8() => return Ok(()),
        },
        Ok(request) => answer(&mta.spool, Some((mta, control)), request, &mut sink).await?,
        Err(error) => sink.put(failed(&format!("not a request: {error}"))).await?,
    }
    sink.0.shutdown().await
}

struct Lines<W>(W);

impl<W: tokio::io::AsyncWrite + Unpin + Send> Sink for Lines<W> {
    async fn put(&mut self, answer: Answer) -> io::Result<()> {
        let mut line = serde_json::to_vec(&answer).map_err(io::Error::other)?;
        line.push(b'\n');
        self.0.write_all(&line).await
    }
}

/// Asks the running program; false if there is none.
///
/// # Errors
/// The connection's, the sink's, or an answer that isn't one.
pub async fn ask(path: &Path, request: &Request, sink: &mut impl Sink) -> io::Result<bool> {
    let stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(request).map_err(io::Error::other)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        sink.put(serde_json::from_str(&line).map_err(io::Error::other)?).await?;
    }
    Ok(true)
}

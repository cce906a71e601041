//! What plugins asked of the host and what it answered, kept or played again.
//!
//! While recording, the answers come from the real services and are written down; while playing,
//! they come from what was written, with no network and no disk. A question that isn't on the tape
//! is answered with "can't be told", and noted: what follows from it says nothing about the plugin.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use facteur_smtp::{Address, Reply};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    Bucket, Clock, Connect, ConnectError, Count, Counters, Dns, DnsAnswer, DnsError, FileAnswer,
    FileError, FileInfo, Files, Found, Lifetime, Lists, MailExchanger, Mailboxes, ScanError,
    Scanned, Scanners, Services, Step, TableError, Tables, Taken, UnknownStore, Verified, Verify,
};
use crate::message::Content;
use crate::next_hop::SmtpRoute;
use crate::unavailable::Unavailable;

/// The most answers of one session that are kept; a session with more can't be played again, and
/// says so.
const ANSWERS: usize = 20_000;

/// Questions and answers, in the order they were given.
pub type Tape = Vec<(Value, Value)>;

/// Services with a tape.
pub struct Taped(Source);

enum Source {
    Recording { beneath: Arc<Services>, tape: Mutex<Tape> },
    Playing { answers: Mutex<HashMap<String, VecDeque<Value>>>, missing: Mutex<Vec<String>> },
}

impl Taped {
    /// Writes down what these services answer.
    pub fn recording(beneath: Arc<Services>) -> Self {
        Self(Source::Recording { beneath, tape: Mutex::default() })
    }

    /// Answers from a tape alone.
    pub fn playing(tape: Tape) -> Self {
        let mut answers: HashMap<String, VecDeque<Value>> = HashMap::new();
        for (question, answer) in tape {
            answers.entry(question.to_string()).or_default().push_back(answer);
        }
        Self(Source::Playing { answers: Mutex::new(answers), missing: Mutex::default() })
    }

    /// What was written down since the last time; none: there was too much of it.
    pub fn take(&self) -> Option<Tape> {
        match &self.0 {
            Source::Recording { tape, .. } => {
                Some(std::mem::take(&mut *tape.lock())).filter(|it| it.len() < ANSWERS)
            }
            Source::Playing { .. } => Some(Tape::new()),
        }
    }

    /// The questions that the tape had no answer to.
    pub fn missing(&self) -> Vec<String> {
        match &self.0 {
            Source::Recording { .. } => Vec::new(),
            Source::Playing { missing, .. } => std::mem::take(&mut *missing.lock()),
        }
    }

    fn write(tape: &Mutex<Tape>, question: Value, answer: &impl Serialize) {
        let mut tape = tape.lock();
        // What can't be written is missing when it is played: nothing that is lent is such.
        if let (true, Ok(answer)) = (tape.len() < ANSWERS, serde_json::to_value(answer)) {
            tape.push((question, answer));
        }
    }

    /// The next answer to this question; the last one again when there are no more.
    fn play<T: DeserializeOwned>(
        answers: &Mutex<HashMap<String, VecDeque<Value>>>,
        missing: &Mutex<Vec<String>>,
        question: &Value,
    ) -> Option<T> {
        let question = question.to_string();
        let answer = {
            let mut answers = answers.lock();
            let kept = answers.get_mut(&question);
            kept.and_then(
                |kept| if kept.len() > 1 { kept.pop_front() } else { kept.front().cloned() },
            )
        };
        let answer = answer.and_then(|answer| serde_json::from_value(answer).ok());
        if answer.is_none() {
            missing.lock().push(question);
        }
        answer
    }

    async fn ask<'a, T: Serialize + DeserializeOwned>(
        &'a self,
        question: Value,
        ask: impl FnOnce(&'a Services) -> BoxFuture<'a, T>,
        absent: impl FnOnce() -> T,
    ) -> T {
        match &self.0 {
            Source::Recording { beneath, tape } => {
                let answer = ask(beneath).await;
                Self::write(tape, question, &answer);
                answer
            }
            Source::Playing { answers, missing } => {
                Self::play(answers, missing, &question).unwrap_or_else(absent)
            }
        }
    }

    /// The same for what is answered at once.
    fn ask_now<T: Serialize + DeserializeOwned>(
        &self,
        question: Value,
        ask: impl FnOnce(&Services) -> T,
        absent: impl FnOnce() -> T,
    ) -> T {
        match &self.0 {
            Source::Recording { beneath, tape } => {
                let answer = ask(beneath);
                Self::write(tape, question, &answer);
                answer
            }
            Source::Playing { answers, missing } => {
                Self::play(answers, missing, &question).unwrap_or_else(absent)
            }
        }
    }

    /// Whether something has this name. What is asked about while playing was there.
    fn is(&self, there: impl FnOnce(&Services) -> bool) -> bool {
        match &self.0 {
            Source::Recording { beneath, .. } => there(beneath),
            Source::Playing { .. } => true,
        }
    }
}

const ABSENT: &str = "the recording has no answer to this";

impl Tables for Taped {
    fn find<'a>(
        &'a self,
        table: &'a str,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Found>, TableError>> {
        let absent = || Err(TableError::Unavailable(ABSENT.into()));
        if keys.is_empty() && matches!(self.0, Source::Playing { .. }) {
            // Whether the table is there, which an `init` asks.
            return Box::pin(std::future::ready(Ok(None)));
        }
        Box::pin(self.ask(
            json!(["find", table, keys]),
            move |beneath| beneath.tables.find(table, keys),
            absent,
        ))
    }

    fn generation(&self) -> u64 {
        match &self.0 {
            Source::Recording { beneath, .. } => beneath.tables.generation(),
            Source::Playing { .. } => 0,
        }
    }
}

impl Clock for Taped {
    fn now(&self) -> u64 {
        self.ask_now(json!(["now"]), |it| it.clock.now(), || 0)
    }
}

impl Dns for Taped {
    fn addresses<'a>(&'a self, name: &'a str) -> DnsAnswer<'a, Vec<IpAddr>> {
        Box::pin(self.ask(
            json!(["addresses", name]),
            |it| it.dns.addresses(name),
            || Err(DnsError::Timeout),
        ))
    }

    fn mail_exchangers<'a>(&'a self, name: &'a str) -> DnsAnswer<'a, Vec<MailExchanger>> {
        Box::pin(self.ask(
            json!(["mail-exchangers", name]),
            |it| it.dns.mail_exchangers(name),
            || Err(DnsError::Timeout),
        ))
    }

    fn texts<'a>(&'a self, name: &'a str) -> DnsAnswer<'a, Vec<Vec<u8>>> {
        Box::pin(self.ask(
            json!(["texts", name]),
            |it| it.dns.texts(name),
            || Err(DnsError::Timeout),
        ))
    }

    fn name_servers<'a>(&'a self, name: &'a str) -> DnsAnswer<'a, Vec<String>> {
        Box::pin(self.ask(
            json!(["name-servers", name]),
            |it| it.dns.name_servers(name),
            || Err(DnsError::Timeout),
        ))
    }

    fn names_of(&self, address: IpAddr) -> DnsAnswer<'_, Vec<String>> {
        Box::pin(self.ask(
            json!(["names-of", address]),
            move |it| it.dns.names_of(address),
            || Err(DnsError::Timeout),
        ))
    }
}

impl Mailboxes for Taped {
    fn exists<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, Result<bool, Unavailable>> {
        let question = json!(["mailbox", address.to_string()]);
        Box::pin(self.ask(
            question,
            |it| it.mailboxes.exists(address),
            || Err(Unavailable(ABSENT.into())),
        ))
    }
}

impl Lists for Taped {
    fn lines<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Vec<String>, Unavailable>> {
        Box::pin(self.ask(
            json!(["include", path]),
            |it| it.lists.lines(path),
            || Err(Unavailable(ABSENT.into())),
        ))
    }
}

impl Scanners for Taped {
    fn is_scanner(&self, name: &str) -> bool {
        self.is(|beneath| beneath.scanners.is_scanner(name))
    }

    fn scan<'a>(
        &'a self,
        scanner: &'a str,
        content: Arc<dyn Content>,
    ) -> BoxFuture<'a, Result<Scanned, ScanError>> {
        let absent = || Err(ScanError::Unavailable(ABSENT.into()));
        Box::pin(self.ask(
            json!(["scan", scanner]),
            move |it| it.scanners.scan(scanner, content),
            absent,
        ))
    }
}

impl Counters for Taped {
    fn is_store(&self, name: &str) -> bool {
        self.is(|beneath| beneath.counters.is_store(name))
    }

    fn get(&self, store: &str, key: &str) -> Result<Option<Count>, UnknownStore> {
        self.ask_now(json!(["counter", store, key]), |it| it.counters.get(store, key), || Ok(None))
    }

    fn add(
        &self,
        store: &str,
        key: &str,
        amount: u64,
        lifetime: Lifetime,
    ) -> Result<Count, UnknownStore> {
        let absent = || Err(UnknownStore(store.to_owned()));
        let question = json!(["add", store, key, amount, lifetime]);
        self.ask_now(question, |it| it.counters.add(store, key, amount, lifetime), absent)
    }

    fn take(
        &self,
        store: &str,
        key: &str,
        amount: u32,
        bucket: Bucket,
    ) -> Result<Taken, UnknownStore> {
        let absent = || Err(UnknownStore(store.to_owned()));
        let question = json!(["take", store, key, amount, bucket]);
        self.ask_now(question, |it| it.counters.take(store, key, amount, bucket), absent)
    }

    fn would_take(
        &self,
        store: &str,
        key: &str,
        amount: u32,
        bucket: Bucket,
    ) -> Result<Taken, UnknownStore> {
        let absent = || Err(UnknownStore(store.to_owned()));
        let question = json!(["would-take", store, key, amount, bucket]);
        self.ask_now(question, |it| it.counters.would_take(store, key, amount, bucket), absent)
    }

    fn remove(&self, store: &str, key: &str) -> Result<bool, UnknownStore> {
        self.ask_now(
            json!(["remove", store, key]),
            |it| it.counters.remove(store, key),
            || Ok(false),
        )
    }
}

impl Files for Taped {
    fn is_folder(&self, name: &str) -> bool {
        self.is(|beneath| beneath.files.is_folder(name))
    }

    fn read<'a>(
        &'a self,
        folder: &'a str,
        path: &'a str,
        offset: u64,
        length: usize,
    ) -> FileAnswer<'a, Vec<u8>> {
        let question = json!(["read", folder, path, offset, length]);
        Box::pin(self.ask(
            question,
            move |it| it.files.read(folder, path, offset, length),
            absent_file,
        ))
    }

    fn info<'a>(&'a self, folder: &'a str, path: &'a str) -> FileAnswer<'a, FileInfo> {
        Box::pin(self.ask(
            json!(["info", folder, path]),
            |it| it.files.info(folder, path),
            absent_file,
        ))
    }

    fn list<'a>(
        &'a self,
        folder: &'a str,
        path: &'a str,
        after: Option<&'a str>,
    ) -> FileAnswer<'a, Vec<String>> {
        let question = json!(["list", folder, path, after]);
        Box::pin(self.ask(question, move |it| it.files.list(folder, path, after), absent_file))
    }

    fn write<'a>(&'a self, folder: &'a str, path: &'a str, content: Vec<u8>) -> FileAnswer<'a, ()> {
        let question = json!(["write", folder, path, content.len()]);
        Box::pin(self.ask(question, move |it| it.files.write(folder, path, content), absent_file))
    }

    fn remove<'a>(&'a self, folder: &'a str, path: &'a str) -> FileAnswer<'a, ()> {
        Box::pin(self.ask(
            json!(["remove-file", folder, path]),
            |it| it.files.remove(folder, path),
            absent_file,
        ))
    }
}

fn absent_file<T>() -> Result<T, FileError> {
    Err(FileError::Unavailable(ABSENT.into()))
}

impl Connect for Taped {
    fn is_service(&self, name: &str) -> bool {
        self.is(|beneath| beneath.connect.is_service(name))
    }

    fn exchange<'a>(
        &'a self,
        service: &'a str,
        steps: Vec<Step>,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, ConnectError>> {
        let absent = || Err(ConnectError::Unavailable(ABSENT.into()));
        let question = json!(["exchange", service, steps]);
        Box::pin(self.ask(question, move |it| it.connect.exchange(service, steps), absent))
    }
}

/// [`Verified`] as it is written.
#[derive(Serialize, serde::Deserialize)]
enum Written {
    Deliverable,
    Undeliverable(u16, Option<String>, String),
    Unknown(String),
}

impl Verify for Taped {
    fn callout<'a>(
        &'a self,
        address: &'a Address,
        route: &'a SmtpRoute,
    ) -> BoxFuture<'a, Verified> {
        let question = json!(["callout", address.to_string(), route.to_string()]);
        Box::pin(async move {
            let ask = |it: &'a Services| -> BoxFuture<'a, Written> {
                Box::pin(async move {
                    match it.verify.callout(address, route).await {
                        Verified::Deliverable => Written::Deliverable,
                        Verified::Undeliverable(reply) => Written::Undeliverable(
                            reply.code,
                            reply.enhanced.map(|it| it.to_string()),
                            reply.text,
                        ),
                        Verified::Unknown(why) => Written::Unknown(why),
                    }
                })
            };
            match self.ask(question, ask, || Written::Unknown(ABSENT.into())).await {
                Written::Deliverable => Verified::Deliverable,
                Written::Undeliverable(code, enhanced, text) => {
                    let enhanced = enhanced.and_then(|status| status.parse().ok());
                    Verified::Undeliverable(Reply { code, enhanced, text })
                }
                Written::Unknown(why) => Verified::Unknown(why),
            }
        })
    }
}

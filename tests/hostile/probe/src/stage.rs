//! A stage's words, one after the other, to the first that is a verdict.

use facteur_plugin::counters::{self, Bucket, Taken};
use facteur_plugin::{
    Failure, MailAddress, Reply, Verdict, lookup, message, recipient, session, transaction,
};

use crate::deed::{self, MEGABYTES};
use crate::echo;
use crate::edit;
use crate::lent;
use crate::memory::remember;

/// When it is asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    Connect,
    Helo,
    Mail,
    Rcpt,
    Data,
    EndOfData,
    Content,
}

impl Asked {
    fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Helo => "helo",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::EndOfData => "end-of-data",
            Self::Content => "content",
        }
    }

    /// Whether there is an envelope.
    pub fn transaction(self) -> bool {
        self >= Self::Mail || transaction::exists()
    }

    /// Whether it is about a recipient.
    pub fn recipient(self) -> bool {
        self == Self::Rcpt
    }

    /// Whether there is a message.
    pub fn message(self) -> bool {
        self >= Self::EndOfData
    }
}

/// The verdict of these words.
pub fn answer(words: &[String], asked: Asked) -> Result<Verdict, Failure> {
    for word in words {
        let (name, text) = word.split_once(':').unwrap_or((word, ""));
        match verdict(name, text, asked)? {
            Word::Verdict(verdict) => return Ok(verdict),
            Word::Passed => {}
            Word::NoVerdict if deed::commit(name) => {}
            Word::NoVerdict => act(name, text, asked)?,
        }
    }
    Ok(Verdict::NoOpinion)
}

/// What a word came to.
enum Word {
    Verdict(Verdict),
    /// A condition that isn't met.
    Passed,
    NoVerdict,
}

fn reject(status: &str, text: impl Into<String>) -> Verdict {
    Verdict::Reject(Reply::new(550, status, text))
}

fn verdict(name: &str, text: &str, asked: Asked) -> Result<Word, Failure> {
    let stage = asked.word();
    let sender = || if asked.transaction() { transaction::sender() } else { None };
    let later = |text: &str| Reply::new(450, "4.7.1", text);
    Ok(Word::Verdict(match name {
        // The words after it are for these recipients, or senders, alone.
        "for" if !asked.recipient() || recipient::address().local == text => {
            return Ok(Word::Passed);
        }
        "from" if sender().is_some_and(|from| from.local == text) => return Ok(Word::Passed),
        "no-opinion" | "for" | "from" => Verdict::NoOpinion,
        "accept" => Verdict::Accept,
        "allow-relay" => Verdict::AllowRelay,
        "discard" => Verdict::Discard,
        "reject" => reject("5.7.1", format!("rejected at {stage}")),
        "defer" => Verdict::Defer(later(&format!("deferred at {stage}"))),
        "defer-if-permit" => Verdict::DeferIfPermit(later("if permit")),
        "defer-if-reject" => Verdict::DeferIfReject(later("if reject")),
        "disconnect" => {
            Verdict::Disconnect(Reply::new(521, "5.7.1", format!("dropped at {stage}")))
        }
        "fail" => {
            return Err(Failure::transient("the guest can't decide\r\nand says so on two lines"));
        }

        // Only if …
        "reject-if-tagged" if asked.transaction() && transaction::tag("probe").is_some() => {
            reject("5.7.1", "tagged")
        }
        "reject-unlisted" if asked.recipient() && !recipient::listed()? => {
            reject("5.1.1", "not listed")
        }
        "reject-if-tagged" | "reject-unlisted" => return Ok(Word::Passed),
        "reject-subject" => {
            let subjects = if asked.message() { message::header("subject") } else { Vec::new() };
            if !subjects.iter().any(|subject| subject.trim_ascii() == text.as_bytes()) {
                return Ok(Word::Passed);
            }
            reject("5.7.1", format!("the subject is {text}"))
        }
        "rate" => {
            let (store, size) = text.split_once(' ').unwrap_or((text, ""));
            let sender = sender().map(|sender| sender.local).unwrap_or_default();
            let bucket = Bucket { size: size.parse().unwrap_or(0), period: 3_600_000 };
            match counters::take(store, &sender, 1, bucket) {
                Ok(Taken::Yes) => return Ok(Word::Passed),
                _ => Verdict::Defer(later("too many")),
            }
        }
        "remember" => {
            let what =
                if asked.recipient() { recipient::address().local } else { stage.to_owned() };
            match remember(what) {
                Some(before) => reject("5.7.1", format!("remembered {before}")),
                None => return Ok(Word::Passed),
            }
        }

        // What the guest sees, told to the client.
        "echo" => reject("5.7.1", echo::fill(text, asked)),
        "find" => {
            let (table, key) = text.split_once(':').unwrap_or((text, ""));
            reject("5.7.1", format!("{:?}", lookup::find(table, &[key.to_owned()])))
        }

        // The limit is 64.
        "many-keys" => {
            let keys: Vec<String> = (0..=64).map(|number| number.to_string()).collect();
            reject("5.7.1", format!("{:?}", lookup::find("flood", &keys)))
        }
        "lent" => reject("5.7.1", lent::ask(text, asked)),

        // Answers that break the contract, or need the host's care.
        "bad-code" => Verdict::Reject(Reply::new(250, "2.0.0", "fine")),
        "bad-class" => reject("4.7.1", "no, later"),
        "bad-status" => reject("five", "no"),
        "bad-drop" => Verdict::Disconnect(Reply::new(550, "5.7.1", "bye")),
        "lines" => reject("5.7.1", "one\ntwo"),
        "crlf" => reject("5.7.1", "no\r\n250 2.0.0 Ok: queued as FORGED"),
        "kilobytes" => reject("5.7.1", "x".repeat(4_096)),
        "megabytes" => reject("5.7.1", "x".repeat(MEGABYTES)),
        _ => return Ok(Word::NoVerdict),
    }))
}

fn act(name: &str, text: &str, asked: Asked) -> Result<(), Failure> {
    if name == "session-tag" {
        return Ok(session::set_tag("probe", text)?);
    }
    if !asked.transaction() {
        return Err(Failure::permanent(format!("{name} needs a transaction")));
    }
    if asked.message() && edit::commit(name, text)? {
        return Ok(());
    }
    match name {
        "hold" => transaction::hold("probed"),
        "redirect" => transaction::redirect(&address(text))?,
        "bcc" => transaction::bcc(&address(text))?,
        "header" => {
            let (header, value) = text.split_once(':').unwrap_or((text, ""));
            transaction::prepend_header(header, echo::fill(value.trim(), asked))?;
        }
        "delay" => transaction::delay(text.parse().unwrap_or(0)),
        "tag" => transaction::set_tag("probe", text)?,
        "header-crlf" => transaction::prepend_header("X-Bad", "a\r\nX-Forged: b")?,
        "header-name" => transaction::prepend_header("X Bad", "a")?,
        "bad-key" => transaction::set_tag("", "x")?,
        "bad-address" => {
            transaction::redirect(&MailAddress::new("a b\r\nRCPT TO:<c@d.test>", "not a domain"))?;
        }
        // More than there may be.
        "flood-tags" => {
            (0..1_000).try_for_each(|number| transaction::set_tag(&format!("tag{number}"), "x"))?;
        }
        "flood-bcc" => (0..1_000).try_for_each(|number| {
            transaction::bcc(&MailAddress::new(format!("u{number}"), "x.test"))
        })?,
        "flood-headers" => (0..1_000)
            .try_for_each(|number| transaction::prepend_header("X-Many", number.to_string()))?,
        _ => return Err(Failure::permanent(format!("the probe doesn't know {name}"))),
    }
    Ok(())
}

/// `local@domain`, or a bare name.
pub fn address(text: &str) -> MailAddress {
    let (local, domain) = text.rsplit_once('@').unwrap_or((text, ""));
    MailAddress::new(local, domain)
}

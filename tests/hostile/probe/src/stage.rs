//! A stage's words, one after the other, to the first that is a verdict.

use facteur_plugin::counters::{self, Bucket, Taken};
use facteur_plugin::{
    Address, Failure, Message, Recipient, Reply, Session, Transaction, Verdict, lookup,
};

use crate::deed::{self, MEGABYTES};
use crate::echo;
use crate::edit;
use crate::lent;
use crate::memory::remember;

/// One question.
pub struct Asked<'a> {
    pub stage: &'static str,
    pub s: &'a Session,
    pub t: Option<&'a Transaction>,
    pub to: Option<&'a Recipient>,
    pub m: Option<&'a Message>,
}

/// The verdict of these words.
pub fn answer(words: &[String], asked: &Asked<'_>) -> Result<Verdict, Failure> {
    for word in words {
        let (name, text) = word.split_once(':').unwrap_or((word, ""));
        match verdict(name, text, asked)? {
            Word::Verdict(verdict) => return Ok(verdict),
            Word::Passed => {}
            Word::NoVerdict if deed::commit(name) => {}
            Word::NoVerdict => act(name, text, asked)?,
        }
    }
    Ok(Verdict::Dunno)
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

fn verdict(name: &str, text: &str, asked: &Asked<'_>) -> Result<Word, Failure> {
    let stage = asked.stage;
    let later = |text: &str| Reply::new(450, "4.7.1", text);
    Ok(Word::Verdict(match name {
        // The words after it are for these recipients, or senders, alone.
        "for" if asked.to.is_none_or(|to| to.address().local == text) => return Ok(Word::Passed),
        "from" if asked.t.and_then(Transaction::sender).is_some_and(|from| from.local == text) => {
            return Ok(Word::Passed);
        }
        "dunno" | "for" | "from" => Verdict::Dunno,
        "accept" => Verdict::Accept,
        "allow-relay" => Verdict::AllowRelay,
        "discard" => Verdict::Discard,
        "reject" => reject("5.7.1", format!("rejected at {stage}")),
        "defer" => Verdict::Defer(later(&format!("deferred at {stage}"))),
        "defer-if-permit" => Verdict::DeferIfPermit(later("if permit")),
        "defer-if-reject" => Verdict::DeferIfReject(later("if reject")),
        "drop" => Verdict::Drop(Reply::new(521, "5.7.1", format!("dropped at {stage}"))),
        "fail" => {
            return Err(Failure::transient("the guest can't decide\r\nand says so on two lines"));
        }

        // Only if …
        "reject-if-tagged" => match asked.t.and_then(|t| t.tag("probe")) {
            Some(_) => reject("5.7.1", "tagged"),
            None => return Ok(Word::Passed),
        },
        "reject-unlisted" => match asked.to.map(Recipient::listed) {
            Some(Ok(false)) => reject("5.1.1", "not listed"),
            Some(Err(failure)) => return Err(failure),
            Some(Ok(true)) | None => return Ok(Word::Passed),
        },
        "reject-subject" => {
            let subjects = asked.m.map(|m| m.header("subject")).unwrap_or_default();
            if !subjects.iter().any(|subject| subject.trim_ascii() == text.as_bytes()) {
                return Ok(Word::Passed);
            }
            reject("5.7.1", format!("the subject is {text}"))
        }
        "rate" => {
            let (store, size) = text.split_once(' ').unwrap_or((text, ""));
            let sender = asked
                .t
                .and_then(Transaction::sender)
                .map(|sender| sender.local)
                .unwrap_or_default();
            let bucket = Bucket { size: size.parse().unwrap_or(0), period: 3_600_000 };
            match counters::take(store, &sender, 1, bucket) {
                Ok(Taken::Yes) => return Ok(Word::Passed),
                _ => Verdict::Defer(later("too many")),
            }
        }
        "remember" => {
            let what = asked.to.map_or_else(|| stage.to_owned(), |to| to.address().local);
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

        "lent" => reject("5.7.1", lent::ask(text, asked)),

        // Answers that break the contract.
        "bad-code" => Verdict::Reject(Reply::new(250, "2.0.0", "fine")),
        "bad-class" => reject("4.7.1", "no, later"),
        "bad-status" => reject("five", "no"),
        "bad-drop" => Verdict::Drop(Reply::new(550, "5.7.1", "bye")),
        "crlf" => reject("5.7.1", "no\r\n250 2.0.0 Ok: queued as FORGED"),
        "kilobytes" => reject("5.7.1", "x".repeat(4_096)),
        "megabytes" => reject("5.7.1", "x".repeat(MEGABYTES)),
        _ => return Ok(Word::NoVerdict),
    }))
}

fn act(name: &str, text: &str, asked: &Asked<'_>) -> Result<(), Failure> {
    if name == "session-tag" {
        asked.s.set_tag("probe", text);
        return Ok(());
    }
    let Some(t) = asked.t else {
        return Err(Failure::permanent(format!("{name} needs a transaction")));
    };
    if let Some(m) = asked.m
        && edit::commit(name, text, t, m)?
    {
        return Ok(());
    }
    match name {
        "hold" => t.hold("probed"),
        "redirect" => t.redirect(&address(text)),
        "bcc" => t.bcc(&address(text)),
        "header" => {
            let (header, value) = text.split_once(':').unwrap_or((text, ""));
            t.prepend_header(header, value.trim());
        }
        "delay" => t.delay(text.parse().unwrap_or(0)),
        "tag" => t.set_tag("probe", text),
        "header-crlf" => t.prepend_header("X-Bad", "a\r\nX-Forged: b"),
        "bad-address" => t.redirect(&Address::new("a b\r\nRCPT TO:<c@d.test>", "not a domain")),
        // More than there may be.
        "flood-tags" => (0..1_000).for_each(|number| t.set_tag(&format!("tag{number}"), "x")),
        "flood-bcc" => {
            (0..1_000).for_each(|number| t.bcc(&Address::new(format!("u{number}"), "x.test")));
        }
        "flood-headers" => {
            (0..1_000).for_each(|number| t.prepend_header("X-Many", &number.to_string()));
        }
        _ => return Err(Failure::permanent(format!("the probe doesn't know {name}"))),
    }
    Ok(())
}

/// `local@domain`, or a bare name.
pub fn address(text: &str) -> Address {
    let (local, domain) = text.rsplit_once('@').unwrap_or((text, ""));
    Address::new(local, domain)
}

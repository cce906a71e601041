//! A guest that does what its settings say, good or bad: the tests drive chains with it, and attack the host with it.
//!
//! Settings: for each stage a list of words, done in order; the last one that is a verdict is the answer (dunno if there is none).
//! ```toml
//! init = "loop"                                  # also trap, error, large (keeps more than it may)
//! rcpt = ["hold", "header:X-Probe: yes", "reject"]
//! alias = { "a@example.org" = ["b@example.org", "|cmd", ":include:/list"], "loop@example.org" = "loop" }
//! owner = { "a@example.org" = "owner-a" }
//! transport = { "example.org" = "smtp:[next.example.net]:2525", "old.example.org" = "error:550 5.1.2 gone" }
//! ```

use std::hint::black_box;
use std::sync::Mutex;

use facteur_plugin::{
    Address, Alias, Answer, Expansion, Failure, Message, Recipient, Reply, Restriction, Route, Scope, Session, Stages,
    Target, Transaction, Transport, Verdict, bindings::facteur::policy::settings, log, lookup,
};
use serde_json::Value;

struct Probe;

/// What an earlier transaction left, if anything could be left.
static REMEMBERED: Mutex<Option<String>> = Mutex::new(None);

fn read() -> Value {
    serde_json::from_str(&settings::get()).unwrap_or_default()
}

fn words(stage: &str) -> Vec<String> {
    match &read()[stage] {
        Value::String(word) => vec![word.clone()],
        Value::Array(list) => list.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

fn init() -> Result<(), String> {
    for word in words("init") {
        match word.as_str() {
            "error" => return Err("the settings are\nwrong".into()),
            "large" => settings::keep(&vec![0; 65_537]),
            other => misbehave(other),
        }
    }
    Ok(())
}

/// Everything that a plugin must not be able to do harm with.
fn misbehave(word: &str) {
    match word {
        "loop" => loop {
            black_box(0);
        },
        "memory" => {
            let mut eaten: Vec<Vec<u8>> = Vec::new();
            loop {
                eaten.push(black_box(vec![1; 1 << 20]));
            }
        }
        "recurse" => {
            black_box(recurse(1));
        }
        "trap" => std::process::abort(),
        "flood-log" => (0..1_000_000_000_u64).for_each(|_| log::error("flood")),
        "flood-lookup" => (0..1_000_000_000_u64).for_each(|_| {
            let _ = lookup::find("flood", &["key".to_owned()]);
        }),
        _ => {}
    }
}

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if black_box(depth) == u64::MAX { 0 } else { frame[0] + recurse(depth + 1) }
}

fn reply(code: u16, status: &str, text: &str) -> Reply {
    Reply { code, status: Some(status.to_owned()), text: text.to_owned() }
}

fn address(text: &str) -> Address {
    let (local, domain) = text.split_once('@').unwrap_or((text, ""));
    Address { local: local.to_owned(), domain: domain.to_owned() }
}

/// Does the words of a stage.
fn act(
    stage: &str,
    s: &Session,
    t: Option<&Transaction>,
    to: Option<&Recipient>,
    m: Option<&Message>,
) -> Result<Verdict, Failure> {
    let mut verdict = Verdict::Dunno;
    for word in words(stage) {
        let (word, argument) = word.split_once(':').unwrap_or((&word, ""));
        match (word, t) {
            ("dunno", _) => verdict = Verdict::Dunno,
            ("accept", _) => verdict = Verdict::Accept,
            ("allow-relay", _) => verdict = Verdict::AllowRelay,
            ("reject", _) => verdict = Verdict::Reject(reply(550, "5.7.1", &format!("rejected at {stage}"))),
            ("defer", _) => verdict = Verdict::Defer(reply(450, "4.7.1", &format!("deferred at {stage}"))),
            ("defer-if-permit", _) => verdict = Verdict::DeferIfPermit(reply(450, "4.7.1", "if permit")),
            ("defer-if-reject", _) => verdict = Verdict::DeferIfReject(reply(450, "4.7.1", "if reject")),
            ("discard", _) => verdict = Verdict::Discard,
            ("drop", _) => verdict = Verdict::Drop(reply(521, "5.7.1", "dropped")),
            ("fail", _) => return Err(Failure { transient: true, reason: "can't\r\ndecide".into() }),
            // Answers that break the contract.
            ("bad-code", _) => verdict = Verdict::Reject(reply(250, "2.0.0", "come in")),
            ("crlf", _) => verdict = Verdict::Reject(reply(550, "5.7.1", "no\r\n250 2.0.0 Ok")),
            ("megabytes", _) => verdict = Verdict::Reject(reply(550, "5.7.1", &"x".repeat(4 << 20))),
            ("kilobytes", _) => verdict = Verdict::Reject(reply(550, "5.7.1", &"x".repeat(4 << 10))),
            // Actions.
            ("hold", Some(t)) => t.hold("probed"),
            ("bcc", Some(t)) => t.bcc(&address(argument)),
            ("redirect", Some(t)) => t.redirect(&address(argument)),
            ("delay", Some(t)) => t.delay(argument.parse().unwrap_or(0)),
            ("header", Some(t)) => {
                let (name, value) = argument.split_once(": ").unwrap_or((argument, ""));
                t.prepend_header(name, value);
            }
            ("header-crlf", Some(t)) => t.prepend_header("X-Probe", "a\r\nBcc: everyone@example.org"),
            ("tag", Some(t)) => t.set_tag("probe", argument),
            ("reject-if-tagged", Some(t)) if t.tag("probe").is_some() => {
                verdict = Verdict::Reject(reply(550, "5.7.1", "tagged"));
            }
            ("flood-tags", Some(t)) => (0..1000).for_each(|number| t.set_tag(&number.to_string(), "x")),
            ("flood-bcc", Some(t)) => (0..1000).for_each(|number| t.bcc(&address(&format!("{number}@example.org")))),
            // What it sees.
            ("reject-unlisted", _) => {
                if let Some(to) = to
                    && !to.listed()?
                {
                    verdict = Verdict::Reject(reply(550, "5.1.1", "not listed"));
                }
            }
            ("reject-unless-trusted", _) if !s.trusted() => {
                verdict = Verdict::Reject(reply(554, "5.7.1", "not trusted"));
            }
            ("reject-subject", _) => {
                let named = m.map(|m| m.header("subject")).unwrap_or_default();
                if named.iter().any(|value| value == argument.as_bytes()) {
                    verdict = Verdict::Reject(reply(550, "5.7.1", "that subject"));
                }
            }
            ("find", _) => {
                let (table, key) = argument.split_once(':').unwrap_or((argument, ""));
                let text = format!("{:?}", lookup::find(table, &[key.to_owned()]));
                let text: String = text.chars().filter(|c| !c.is_control()).take(500).collect();
                verdict = Verdict::Reject(reply(550, "5.7.1", &text));
            }
            // The leak test: what one transaction left must not be there in the next.
            ("remember", _) => {
                let mut remembered = REMEMBERED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(seen) = &*remembered {
                    verdict = Verdict::Reject(reply(550, "5.7.1", &format!("remembered {seen}")));
                }
                *remembered = to.map(|to| to.address().local);
            }
            (other, _) => misbehave(other),
        }
    }
    Ok(verdict)
}

impl Restriction for Probe {
    fn init() -> Result<Stages, String> {
        init()?;
        let mut stages = Stages::empty();
        for (name, stage) in [
            ("connect", Stages::CONNECT),
            ("helo", Stages::HELO),
            ("mail", Stages::MAIL),
            ("rcpt", Stages::RCPT),
            ("data", Stages::DATA),
            ("end-of-data", Stages::END_OF_DATA),
        ] {
            if !words(name).is_empty() {
                stages = stages | stage;
            }
        }
        Ok(stages)
    }

    fn connect(s: &Session, t: Option<&Transaction>) -> Result<Verdict, Failure> {
        act("connect", s, t, None, None)
    }

    fn helo(s: &Session, t: Option<&Transaction>) -> Result<Verdict, Failure> {
        act("helo", s, t, None, None)
    }

    fn mail(s: &Session, t: &Transaction) -> Result<Verdict, Failure> {
        act("mail", s, Some(t), None, None)
    }

    fn rcpt(s: &Session, t: &Transaction, to: &Recipient) -> Result<Verdict, Failure> {
        act("rcpt", s, Some(t), Some(to), None)
    }

    fn data(s: &Session, t: &Transaction) -> Result<Verdict, Failure> {
        act("data", s, Some(t), None, None)
    }

    fn end_of_data(s: &Session, t: &Transaction, m: &Message) -> Result<Verdict, Failure> {
        act("end-of-data", s, Some(t), None, Some(m))
    }
}

impl Alias for Probe {
    fn init() -> Result<(), String> {
        Ok(())
    }

    fn expand(to: &Recipient) -> Result<Expansion, Failure> {
        let to = to.address();
        let list = match &read()["alias"][format!("{}@{}", to.local, to.domain)] {
            // Two of these from each, for ever.
            Value::Null if to.local.starts_with("grow") => {
                let more = |letter| Target::Address(Address { local: format!("{}{letter}", to.local), ..to.clone() });
                return Ok(Expansion::Targets(vec![more('a'), more('b')]));
            }
            Value::Null => return Ok(Expansion::NoOpinion),
            Value::String(word) => {
                misbehave(word);
                return match word.as_str() {
                    "exists" => Ok(Expansion::Exists),
                    "unknown" => Ok(Expansion::Unknown(Some("moved away".into()))),
                    "fail" => Err(Failure { transient: true, reason: "the table is away".into() }),
                    _ => Ok(Expansion::NoOpinion),
                };
            }
            list => list.as_array().cloned().unwrap_or_default(),
        };
        let target = |value: &Value| {
            let text = value.as_str().unwrap_or_default();
            if let Some(command) = text.strip_prefix('|') {
                Target::Command(vec![command.to_owned()])
            } else if let Some(path) = text.strip_prefix(":include:") {
                Target::Include(path.to_owned())
            } else if text.starts_with('/') {
                Target::File(text.to_owned())
            } else {
                Target::Address(address(text))
            }
        };
        Ok(Expansion::Targets(list.iter().map(target).collect()))
    }

    fn owner(of: Address) -> Result<Option<Address>, Failure> {
        Ok(read()["owner"][format!("{}@{}", of.local, of.domain)].as_str().map(address))
    }
}

impl Transport for Probe {
    fn init() -> Result<(), String> {
        Ok(())
    }

    fn next_hop(_: &Transaction, to: &Recipient) -> Result<Answer, Failure> {
        let to = to.address();
        let settings = read();
        let Some(answer) = settings["transport"][&to.domain].as_str() else { return Ok(Answer::NoOpinion) };
        misbehave(answer);
        let (transport, hop) = answer.split_once(':').unwrap_or((answer, ""));
        if transport == "error" {
            let code = hop.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(550);
            let status = hop.split(' ').nth(1).map(str::to_owned);
            return Ok(Answer::Error((Reply { code, status, text: "gone".into() }, Scope::Domain)));
        }
        let host = hop.trim_start_matches('[').split([']', ':']).next().unwrap_or_default();
        Ok(Answer::Route(Route {
            transport: transport.to_owned(),
            host: (!host.is_empty()).then(|| host.to_owned()),
            port: hop.rsplit(':').next().and_then(|port| port.parse().ok()),
            no_mx: hop.starts_with('['),
            tls: None,
            source: None,
            scope: Scope::Domain,
        }))
    }
}

facteur_plugin::export!(restriction: Probe, alias: Probe, transport: Probe);

//! A guest that misbehaves where and how its settings say, so that the host's tests can show that it takes no harm.
//!
//! ```toml
//! [plugin.settings]
//! at = "rcpt"        # init, connect, helo, mail, rcpt, data, end-of-data, expand, owner, next-hop
//! do = "loop"        # the words of `Deed`
//! ```
//! Everywhere else it has no opinion.

mod deed;

use std::sync::Mutex;

use deed::{Deed, Place, Settings};
use facteur_plugin::{
    Address, Alias, Answer, Expansion, Failure, Kept, Message, Recipient, Reply, Restriction, Route, Scope, Session, Stages,
    Target, Transaction, Transport, Verdict,
};

static SETTINGS: Kept<Settings> = Kept::new();

/// What an earlier call left. A fresh sandbox has nothing.
static SEEN: Mutex<Option<String>> = Mutex::new(None);

struct Hostile;

fn init() -> Result<Settings, String> {
    let settings: Settings = facteur_plugin::settings::read()?;
    if settings.at == Place::Init {
        if settings.deed == Deed::Error {
            return Err("the settings are wrong, says the guest\r\nand this is a second line".to_owned());
        }
        settings.deed.commit();
    }
    SETTINGS.keep(settings.clone())?;
    Ok(settings)
}

/// The verdict at a stage. Some deeds never come back.
fn stage(at: Place, t: Option<&Transaction>) -> Result<Verdict, Failure> {
    let settings = SETTINGS.get();
    if settings.at != at {
        return Ok(Verdict::Dunno);
    }
    let reply = |code: u16, status: &str, text: &str| Ok(Verdict::Reject(Reply::new(code, status, text)));
    match settings.deed {
        Deed::Error => Err(Failure::transient("the guest can't decide\r\nand says so on two lines")),
        Deed::AllowRelay => Ok(Verdict::AllowRelay),
        Deed::BadCode => reply(250, "2.0.0", "fine"),
        Deed::BadClass => reply(550, "4.7.1", "no, later"),
        Deed::BadStatus => reply(550, "five", "no"),
        Deed::BadText => reply(550, "5.7.1", "no\r\n250 2.0.0 Ok: queued as FORGED"),
        Deed::BadDrop => Ok(Verdict::Drop(Reply::new(550, "5.7.1", "bye"))),
        Deed::Megabytes => reply(550, "5.7.1", &"x".repeat(MEGABYTES)),
        Deed::Leak => {
            let mut seen = SEEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let sender = t.and_then(Transaction::sender).map(|sender| sender.to_string());
            match seen.replace(sender.unwrap_or_default()) {
                Some(before) => reply(550, "5.7.1", &format!("leaked: {before}")),
                None => Ok(Verdict::Dunno),
            }
        }
        Deed::BadHeader => {
            if let Some(t) = t {
                t.prepend_header("X-Bad", "a\r\nX-Forged: b");
            }
            Ok(Verdict::Dunno)
        }
        Deed::ManyHeaders => {
            for number in 0..1_000 {
                if let Some(t) = t {
                    t.prepend_header("X-Many", &number.to_string());
                }
            }
            Ok(Verdict::Dunno)
        }
        Deed::BadAddress => {
            if let Some(t) = t {
                t.redirect(&bad_address());
            }
            Ok(Verdict::Dunno)
        }
        deed => {
            deed.commit();
            Ok(Verdict::Dunno)
        }
    }
}

/// More than any answer may have.
const MEGABYTES: usize = 8 << 20;

fn bad_address() -> Address {
    Address::new("a b\r\nRCPT TO:<c@d.example>", "not a domain")
}

impl Restriction for Hostile {
    fn init() -> Result<Stages, String> {
        Ok(match init()?.at {
            Place::Connect => Stages::CONNECT,
            Place::Helo => Stages::HELO,
            Place::Mail => Stages::MAIL,
            Place::Rcpt => Stages::RCPT,
            Place::Data => Stages::DATA,
            Place::EndOfData => Stages::END_OF_DATA,
            _ => Stages::empty(),
        })
    }

    fn connect(_: &Session, t: Option<&Transaction>) -> Result<Verdict, Failure> {
        stage(Place::Connect, t)
    }

    fn helo(_: &Session, t: Option<&Transaction>) -> Result<Verdict, Failure> {
        stage(Place::Helo, t)
    }

    fn mail(_: &Session, t: &Transaction) -> Result<Verdict, Failure> {
        stage(Place::Mail, Some(t))
    }

    fn rcpt(_: &Session, t: &Transaction, _: &Recipient) -> Result<Verdict, Failure> {
        stage(Place::Rcpt, Some(t))
    }

    fn data(_: &Session, t: &Transaction) -> Result<Verdict, Failure> {
        stage(Place::Data, Some(t))
    }

    fn end_of_data(_: &Session, t: &Transaction, _: &Message) -> Result<Verdict, Failure> {
        stage(Place::EndOfData, Some(t))
    }
}

impl Alias for Hostile {
    fn init() -> Result<(), String> {
        init().map(drop)
    }

    fn expand(to: &Recipient) -> Result<Expansion, Failure> {
        let settings = SETTINGS.get();
        // An owner is asked only of what stands for something.
        if settings.at == Place::Owner {
            return Ok(Expansion::Targets(vec![Target::Address(Address::new("other", to.address().domain))]));
        }
        if settings.at != Place::Expand {
            return Ok(Expansion::NoOpinion);
        }
        Ok(match settings.deed {
            Deed::Error => return Err(Failure::transient("the guest can't decide")),
            Deed::BadText => Expansion::Unknown(Some("no\r\n250 2.0.0 Ok".to_owned())),
            Deed::BadAddress => Expansion::Targets(vec![Target::Address(bad_address())]),
            Deed::NoTargets => Expansion::Targets(Vec::new()),
            Deed::ManyTargets => {
                let many = (0..100_000).map(|number| Target::Address(Address::new(format!("u{number}"), "x.example")));
                Expansion::Targets(many.collect())
            }
            // Each step is another address, so that nothing ends it but the host.
            Deed::Endless => {
                let Address { local, domain } = to.address();
                let number: u64 = local.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
                Expansion::Targets(vec![Target::Address(Address::new(format!("again{}", number + 1), domain))])
            }
            Deed::Command => Expansion::Targets(vec![Target::Command(vec!["/bin/sh".to_owned(), "-c".to_owned(), "id".to_owned()])]),
            Deed::File => Expansion::Targets(vec![Target::File("/etc/passwd".to_owned())]),
            Deed::Include => Expansion::Targets(vec![Target::Include("/etc/../etc/shadow".to_owned())]),
            deed => {
                deed.commit();
                Expansion::NoOpinion
            }
        })
    }

    fn owner(_: Address) -> Result<Option<Address>, Failure> {
        let settings = SETTINGS.get();
        if settings.at != Place::Owner {
            return Ok(None);
        }
        match settings.deed {
            Deed::Error => Err(Failure::transient("the guest can't decide")),
            Deed::BadAddress => Ok(Some(bad_address())),
            deed => {
                deed.commit();
                Ok(None)
            }
        }
    }
}

impl Transport for Hostile {
    fn init() -> Result<(), String> {
        init().map(drop)
    }

    fn next_hop(t: &Transaction, _: &Recipient) -> Result<Answer, Failure> {
        let settings = SETTINGS.get();
        if settings.at != Place::NextHop {
            return Ok(Answer::NoOpinion);
        }
        let route = |transport: &str, host: &str| {
            Ok(Answer::Route(Route {
                transport: transport.to_owned(),
                host: Some(host.to_owned()),
                port: None,
                no_mx: false,
                tls: None,
                source: None,
                scope: Scope::Message,
            }))
        };
        match settings.deed {
            Deed::Error => Err(Failure::permanent("the guest can't decide")),
            Deed::BadCode => Ok(Answer::Error((Reply::new(250, "2.0.0", "fine"), Scope::Message))),
            Deed::BadText => Ok(Answer::Error((Reply::new(550, "5.7.1", "no\r\nand more"), Scope::Message))),
            Deed::BadAddress => route("smtp", "a host\r\nQUIT"),
            Deed::Command => route("pipe", "/bin/sh"),
            Deed::Megabytes => route("smtp", &"x".repeat(MEGABYTES)),
            // An action where there is no session to act for.
            Deed::BadHeader => {
                t.hold("in the queue");
                Ok(Answer::NoOpinion)
            }
            deed => {
                deed.commit();
                Ok(Answer::NoOpinion)
            }
        }
    }
}

facteur_plugin::export!(restriction: Hostile, alias: Hostile, transport: Hostile);

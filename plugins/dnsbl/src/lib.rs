//! Refuses clients and senders that DNS lists warn of (RFC 5782), and lets others vouch for them.
//!
//! Each list has a weight; those that list the client, its name, its HELO or the sender's domain
//! are added up, and who comes to the threshold is refused with the reason that the heaviest of
//! them gives. A list that doesn't answer says nothing; `on-failure = "defer"` makes mail wait that
//! it might have stopped. Trusted clients and those who logged in are never looked up.
//!
//! ```toml
//! [[plugin]]
//! name = "dnsbl"
//! component = "builtin:dnsbl"
//! [plugin.settings]
//! threshold = 2
//! client = [
//!     "zen.spamhaus.org=127.0.0.[2..11]*2",
//!     "bl.example.net",
//!     "list.dnswl.org=127.0.[0..255].[1..3]*-2",
//! ]
//! sender = ["dbl.spamhaus.org=127.0.1.[2..99]*2"]
//! [plugin.grants]
//! dns = true
//! ```

mod list;
mod score;
mod settings;
mod subject;

use facteur_plugin::{Failure, Kept, Restriction, Session, Stages, Transaction, Verdict, dns, log};

use score::judge;
use settings::Settings;
use subject::Subject;

static SETTINGS: Kept<Settings> = Kept::new();

struct Dnsbl;

impl Restriction for Dnsbl {
    fn init() -> Result<Stages, String> {
        let settings: Settings = facteur_plugin::settings::read()?;
        dns::check()?;
        // All lists count together, and so they are asked when the last of their subjects is known.
        let stage = if !settings.sender.is_empty() {
            Stages::MAIL
        } else if !settings.helo.is_empty() {
            Stages::HELO
        } else {
            Stages::CONNECT
        };
        SETTINGS.keep(settings)?;
        Ok(stage)
    }

    fn connect(s: &Session, _: Option<&Transaction>) -> Result<Verdict, Failure> {
        Ok(verdict(s, None))
    }

    fn helo(s: &Session, _: Option<&Transaction>) -> Result<Verdict, Failure> {
        Ok(verdict(s, None))
    }

    fn mail(s: &Session, t: &Transaction) -> Result<Verdict, Failure> {
        Ok(verdict(s, Some(t)))
    }
}

fn verdict(s: &Session, t: Option<&Transaction>) -> Verdict {
    if s.trusted() || s.login().is_some() {
        return Verdict::Dunno;
    }
    let settings = SETTINGS.get();
    let mut asked: Vec<(Subject, &[list::List])> =
        vec![(Subject::Client(s.client_address()), &settings.client)];
    // Not even its name is looked up if no list is there to be asked about it.
    if !settings.client_name.is_empty()
        && let Ok(Some(name)) = s.client_name()
    {
        asked.push((Subject::ClientName(name), &settings.client_name));
    }
    if let Some(name) = s.helo() {
        asked.push((Subject::Helo(name), &settings.helo));
    }
    if let Some(sender) = t.and_then(Transaction::sender) {
        asked.push((Subject::Sender(sender), &settings.sender));
    }
    let judged = judge(settings, &asked);
    for line in &judged.log {
        log::info(line);
    }
    judged.verdict
}

facteur_plugin::export!(restriction: Dnsbl);

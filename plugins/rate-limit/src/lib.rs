//! Rate limits: so many messages or recipients in so much time, for each client, sender, recipient
//! or login.
//!
//! Each rule has a bucket of tokens for each key, which refills evenly: a client that was quiet may
//! send `limit` at once, and that many in each `per` after it. Messages are counted at MAIL,
//! recipients at RCPT, as Postfix's anvil(8) does: what is refused later counts all the same, so
//! that trying is limited, too. What is over the limit takes no token: who waits as long as the
//! reply says is let in.
//!
//! ```toml
//! [counters.rates]
//! [[plugin]]
//! name = "rate-limit"
//! component = "builtin:rate-limit"
//! [plugin.settings]
//! store = "rates"
//! rules = [
//!     { key = "client", limit = 100, per = "1h" },
//!     { key = "login", limit = 500, per = "1d", count = "recipients" },
//! ]
//! [plugin.grants]
//! counters = ["rates"]
//! ```

mod rule;
mod settings;

use facteur_plugin::counters::{self, Taken};
use facteur_plugin::{
    Failure, Kept, Recipient, Restriction, Session, Stages, Transaction, Verdict, access, log,
    lookup, network,
};

use rule::{Key, Moment, Rule};
use settings::Settings;

static SETTINGS: Kept<Settings> = Kept::new();

struct RateLimit;

impl Restriction for RateLimit {
    fn init() -> Result<Stages, String> {
        let settings = Settings::read()?;
        counters::check(&settings.store)?;
        for table in settings.rules.iter().flat_map(|rule| &rule.exempt) {
            lookup::check(table)?;
        }
        let mut stages = Stages::empty();
        for rule in &settings.rules {
            stages = stages
                | match rule.moment() {
                    Moment::Mail => Stages::MAIL,
                    Moment::Rcpt => Stages::RCPT,
                };
        }
        SETTINGS.keep(settings)?;
        Ok(stages)
    }

    fn mail(s: &Session, t: &Transaction) -> Result<Verdict, Failure> {
        count(Moment::Mail, s, t, None)
    }

    fn rcpt(s: &Session, t: &Transaction, to: &Recipient) -> Result<Verdict, Failure> {
        count(Moment::Rcpt, s, t, Some(to))
    }
}

/// Counts by each rule of this moment, up to the first whose limit is reached.
fn count(
    moment: Moment,
    s: &Session,
    t: &Transaction,
    to: Option<&Recipient>,
) -> Result<Verdict, Failure> {
    let settings = SETTINGS.get();
    for (number, rule) in
        settings.rules.iter().enumerate().filter(|(_, rule)| rule.moment() == moment)
    {
        let Some(whom) = whom(rule, s, t, to) else { continue };
        if rule.exempt_trusted && s.trusted() || is_exempt(rule, s, t, to, &whom)? {
            continue;
        }
        let key = rule.bucket_key(number, &whom);
        let wait = match counters::take(&settings.store, &key, 1, rule.bucket())? {
            Taken::Yes => continue,
            Taken::Wait(wait) => wait,
            // A limit is at least 1.
            Taken::Never => rule.per.0,
        };
        log::info(format!("{} {whom} is over {}", rule.key.word(), rule.words()));
        return Ok(rule.refusal(&whom, wait));
    }
    Ok(Verdict::Dunno)
}

/// Whose bucket it is; none: the rule is about nobody here.
fn whom(rule: &Rule, s: &Session, t: &Transaction, to: Option<&Recipient>) -> Option<String> {
    match rule.key {
        Key::Client => Some(s.client_address()),
        Key::ClientNetwork => Some(network::of(&s.client_address())),
        Key::Sender => Some(t.sender()?.to_string().to_lowercase()),
        Key::SenderDomain => Some(t.sender()?.domain),
        Key::Recipient => Some(to?.address().to_string().to_lowercase()),
        Key::Login => s.login(),
    }
}

fn is_exempt(
    rule: &Rule,
    s: &Session,
    t: &Transaction,
    to: Option<&Recipient>,
    whom: &str,
) -> Result<bool, Failure> {
    let found = match rule.key {
        Key::Client | Key::ClientNetwork => access::find_client(&rule.exempt, s),
        Key::Sender | Key::SenderDomain => access::find_mail(&rule.exempt, t.sender().as_ref()),
        Key::Recipient => {
            let address = to.map(Recipient::address);
            access::find_mail(&rule.exempt, address.as_ref())
        }
        Key::Login => lookup::find_in(&rule.exempt, &[whom.to_owned()]),
    }?;
    Ok(found.is_some())
}

facteur_plugin::export!(restriction: RateLimit);

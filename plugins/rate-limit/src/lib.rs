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
use facteur_plugin::lookup::{self, Manner};
use facteur_plugin::settings::Hook;
use facteur_plugin::{Failure, Kept, Verdict, log, network, recipient, session, transaction};

use rule::{Key, Moment, Rule};
use settings::Settings;

static SETTINGS: Kept<Settings> = Kept::new();

fn init() -> Result<(), String> {
    let settings = Settings::read()?;
    counters::check(&settings.store)?;
    for table in settings.rules.iter().flat_map(|rule| &rule.exempt) {
        lookup::check(table)?;
    }
    for (moment, hook) in [(Moment::Mail, Hook::OnMail), (Moment::Rcpt, Hook::OnRcpt)] {
        if !settings.rules.iter().any(|rule| rule.moment() == moment) {
            facteur_plugin::settings::skip(hook);
        }
    }
    SETTINGS.keep(&settings)
}

fn mail() -> Result<Verdict, Failure> {
    count(Moment::Mail)
}

fn rcpt() -> Result<Verdict, Failure> {
    count(Moment::Rcpt)
}

/// Counts by each rule of this moment, up to the first whose limit is reached.
fn count(moment: Moment) -> Result<Verdict, Failure> {
    let settings = SETTINGS.get();
    for (number, rule) in
        settings.rules.iter().enumerate().filter(|(_, rule)| rule.moment() == moment)
    {
        let Some(whom) = whom(rule) else { continue };
        if rule.exempt_trusted && session::trusted() || is_exempt(rule, &whom)? {
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
    Ok(Verdict::NoOpinion)
}

/// Whose bucket it is; none: the rule is about nobody here. A rule by recipient is counted at RCPT.
fn whom(rule: &Rule) -> Option<String> {
    match rule.key {
        Key::Client => Some(session::client_address()),
        Key::ClientNetwork => Some(network::of(&session::client_address())),
        Key::Sender => Some(transaction::sender()?.to_string().to_lowercase()),
        Key::SenderDomain => Some(transaction::sender()?.domain),
        Key::Recipient => Some(recipient::address().to_string().to_lowercase()),
        Key::Login => session::login(),
    }
}

fn is_exempt(rule: &Rule, whom: &str) -> Result<bool, Failure> {
    let tables = &rule.exempt;
    Ok(match rule.key {
        Key::Client | Key::ClientNetwork => lookup::find_client(tables)?.is_some(),
        Key::Sender | Key::SenderDomain => lookup::find_sender(tables, Manner::Access)?.is_some(),
        Key::Recipient => lookup::find_recipient(tables, Manner::Access)?.is_some(),
        Key::Login => lookup::find_in(tables, &[whom.to_owned()])?.is_some(),
    })
}

facteur_plugin::export!(init: init, on_mail: mail, on_rcpt: rcpt);

#[cfg(test)]
mod tests {
    use facteur_plugin::RecipientClass::Local;
    use facteur_plugin::testing::Host;

    use super::*;

    fn site(rule: &str) -> Host {
        let json = format!(r#"{{"store": "s", "rules": [{{"limit": 1, "per": "1h", {rule}}}]}}"#);
        let host =
            Host::new().settings(&json).store("s").table("friends", &[("friend.example", "")]);
        host.run(init).unwrap();
        host
    }

    fn let_in(host: &Host, hook: fn() -> Result<Verdict, Failure>) -> bool {
        host.run(hook).unwrap() == Verdict::NoOpinion
    }

    #[test]
    fn the_second_of_one_is_too_many() {
        let host = site(r#""key": "sender", "exempt": ["friends"]"#);
        assert_eq!(host.skipped(), ["on-rcpt"]);
        assert!(let_in(&host, mail) && !let_in(&host, mail));
        let host = host.sender("other@example.com");
        assert!(let_in(&host, mail) && !let_in(&host, mail));
        let trusted = host.trusted();
        assert!(let_in(&trusted, mail));
    }

    #[test]
    fn who_is_exempt_isnt_counted() {
        let host = site(r#""key": "sender", "exempt": ["friends"]"#).sender("a@friend.example");
        assert!(let_in(&host, mail) && let_in(&host, mail));
        let bounces = host.sender("");
        assert!(let_in(&bounces, mail) && let_in(&bounces, mail));
    }

    #[test]
    fn recipients_have_buckets_of_their_own() {
        let host = site(r#""key": "recipient""#);
        assert_eq!(host.skipped(), ["on-mail"]);
        assert!(let_in(&host, rcpt) && !let_in(&host, rcpt));
        assert!(let_in(&host.recipient("other@example.org", Local), rcpt));
    }
}

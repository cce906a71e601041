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

use facteur_plugin::settings::{Hook, skip};
use facteur_plugin::{Kept, Verdict, dns, log, session, transaction};

use score::judge;
use settings::Settings;
use subject::Subject;

static SETTINGS: Kept<Settings> = Kept::new();

fn init() -> Result<(), String> {
    let settings: Settings = facteur_plugin::settings::read()?;
    dns::check()?;
    let asked = settings.hook();
    for hook in [Hook::OnConnect, Hook::OnHelo, Hook::OnMail] {
        if hook != asked {
            skip(hook);
        }
    }
    SETTINGS.keep(&settings)
}

/// At any of the three: as much as is known there.
fn ask() -> Verdict {
    if session::trusted() || session::login().is_some() {
        return Verdict::NoOpinion;
    }
    let settings = SETTINGS.get();
    let mut asked: Vec<(Subject, &[list::List])> = Vec::with_capacity(4);
    if !settings.client.is_empty() {
        asked.push((Subject::Client(session::client_address()), &settings.client));
    }
    // Not even its name is looked up if no list is there to be asked about it.
    if !settings.client_name.is_empty()
        && let Ok(Some(name)) = session::client_name()
    {
        asked.push((Subject::ClientName(name), &settings.client_name));
    }
    if !settings.helo.is_empty()
        && let Some(name) = session::helo()
    {
        asked.push((Subject::Helo(name), &settings.helo));
    }
    // With such lists it is asked at MAIL.
    if !settings.sender.is_empty()
        && let Some(sender) = transaction::sender()
    {
        asked.push((Subject::Sender(sender), &settings.sender));
    }
    let judged = judge(settings, &asked);
    for line in &judged.log {
        log::info(line);
    }
    judged.verdict
}

facteur_plugin::export!(init: init, on_connect: ask, on_helo: ask, on_mail: ask);

#[cfg(test)]
mod tests {
    use facteur_plugin::testing::Host;

    use super::*;

    fn asked(settings: &str, host: Host) -> (Vec<String>, Verdict) {
        let host =
            host.settings(settings).addresses("1.2.0.192.bl.test", Ok(vec!["127.0.0.2".into()]));
        let verdict = host.run(|| {
            init().unwrap();
            ask()
        });
        (host.skipped(), verdict)
    }

    #[test]
    fn lists_are_asked_when_the_last_of_their_subjects_is_known() {
        let json = r#"{"client": ["bl.test"]}"#;
        let (skipped, verdict) = asked(json, Host::new().without_transaction());
        assert_eq!(skipped, ["on-helo", "on-mail"]);
        assert!(matches!(verdict, Verdict::Reject(reply) if reply.code == 554));
        let json = r#"{"client": ["bl.test"], "sender": ["domains.test"]}"#;
        assert_eq!(asked(json, Host::new()).0, ["on-connect", "on-helo"]);
    }

    #[test]
    fn friends_are_not_looked_up() {
        for host in [Host::new().trusted(), Host::new().login("bob")] {
            assert_eq!(asked(r#"{"client": ["bl.test"]}"#, host).1, Verdict::NoOpinion);
        }
    }
}

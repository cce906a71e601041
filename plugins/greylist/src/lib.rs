//! Greylisting, by Postgrey's rules: mail from a client, sender and recipient that weren't seen
//! together before is deferred, and let in when it comes again. A mail server comes again; most of
//! what sends junk doesn't.
//!
//! Who came back often enough isn't asked to any more, whatever it sends. Trusted clients and those
//! who logged in never are, nor is mail that will be refused anyway, since nobody vouches for its
//! recipient. The deferral is kept to the end of RCPT: a refusal by any other plugin comes first.
//!
//! ```toml
//! [counters.greylist]
//! durable = true
//! [[plugin]]
//! name = "greylist"
//! component = "builtin:greylist"
//! [plugin.settings]
//! store = "greylist"
//! [plugin.grants]
//! counters = ["greylist"]
//! ```

mod greylist;
mod settings;
mod triplet;

use facteur_plugin::lookup::Manner;
use facteur_plugin::{
    Failure, Kept, Reply, Verdict, counters, log, lookup, network, recipient, session, transaction,
};

use greylist::{Judgement, judge};
use settings::Settings;
use triplet::Triplet;

static SETTINGS: Kept<Settings> = Kept::new();

fn init() -> Result<(), String> {
    let settings = Settings::read()?;
    counters::check(&settings.store)?;
    for table in settings.exempt_clients.iter().chain(&settings.exempt_recipients) {
        lookup::check(table)?;
    }
    SETTINGS.keep(&settings)
}

fn rcpt() -> Result<Verdict, Failure> {
    let settings = SETTINGS.get();
    if is_exempt(settings)? || recipient::listed() != Ok(true) {
        return Ok(Verdict::NoOpinion);
    }
    let triplet = Triplet {
        network: network::of(&session::client_address()),
        sender: transaction::sender(),
        recipient: recipient::address(),
    };
    match judge(settings, &triplet)? {
        Judgement::Known => {}
        Judgement::CameBack { after } => {
            log::info(format!("{triplet} came back after {} s", after / 1_000));
        }
        Judgement::TooEarly { left } => {
            log::info(format!("{triplet} may come back in {} s", left.div_ceil(1_000)));
            let text = settings.reply_text(&triplet.recipient, left);
            return Ok(Verdict::DeferIfPermit(Reply::new(450, "4.2.0", text)));
        }
    }
    Ok(Verdict::NoOpinion)
}

fn is_exempt(settings: &Settings) -> Result<bool, Failure> {
    Ok(session::trusted()
        || session::login().is_some()
        || lookup::find_client(&settings.exempt_clients)?.is_some()
        || lookup::find_recipient(&settings.exempt_recipients, Manner::Access)?.is_some())
}

facteur_plugin::export!(init: init, on_rcpt: rcpt);

#[cfg(test)]
mod tests {
    use facteur_plugin::testing::Host;

    use super::*;

    /// Whether mail that wasn't seen before has to wait.
    fn waits(host: Host) -> bool {
        let settings = r#"{"store": "g", "exempt-clients": ["c"], "exempt-recipients": ["r"]}"#;
        let host = host
            .settings(settings)
            .store("g")
            .table("c", &[("192.0.2", "")])
            .table("r", &[("postmaster@", "")]);
        let verdict = host.run(|| {
            init().unwrap();
            rcpt()
        });
        verdict.unwrap() != Verdict::NoOpinion
    }

    #[test]
    fn strangers_wait_unless_they_are_exempt() {
        use facteur_plugin::RecipientClass::Local;
        let stranger = || Host::new().client("198.51.100.1");
        assert!(waits(stranger()));
        assert!(!waits(stranger().trusted()) && !waits(stranger().login("bob")));
        assert!(!waits(Host::new().client("192.0.2.1")));
        assert!(!waits(stranger().recipient("postmaster@x.org", Local)));
        // It is refused anyway.
        assert!(!waits(stranger().listed(Ok(false))));
        assert!(!waits(stranger().listed(Err(Failure::transient("who knows")))));
    }
}

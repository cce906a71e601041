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

use facteur_plugin::{
    Failure, Kept, Recipient, Reply, Restriction, Session, Stages, Transaction, Verdict, access,
    counters, log, lookup, network,
};

use greylist::{Judgement, judge};
use settings::Settings;
use triplet::Triplet;

static SETTINGS: Kept<Settings> = Kept::new();

struct Greylist;

impl Restriction for Greylist {
    fn init() -> Result<Stages, String> {
        let settings = Settings::read()?;
        counters::check(&settings.store)?;
        for table in settings.exempt_clients.iter().chain(&settings.exempt_recipients) {
            lookup::check(table)?;
        }
        SETTINGS.keep(settings)?;
        Ok(Stages::RCPT)
    }

    fn rcpt(s: &Session, t: &Transaction, to: &Recipient) -> Result<Verdict, Failure> {
        let settings = SETTINGS.get();
        if is_exempt(settings, s, to)? || to.listed() != Ok(true) {
            return Ok(Verdict::Dunno);
        }
        let triplet = Triplet {
            network: network::of(&s.client_address()),
            sender: t.sender(),
            recipient: to.address(),
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
        Ok(Verdict::Dunno)
    }
}

fn is_exempt(settings: &Settings, s: &Session, to: &Recipient) -> Result<bool, Failure> {
    if s.trusted() || s.login().is_some() {
        return Ok(true);
    }
    Ok(access::find_client(&settings.exempt_clients, s)?.is_some()
        || access::find_mail(&settings.exempt_recipients, Some(&to.address()))?.is_some())
}

facteur_plugin::export!(restriction: Greylist);

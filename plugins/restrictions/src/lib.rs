//! Who may send what, by Postfix's restrictions: their names, their order, their replies (those of
//! Postfix 3.7 with its default codes).
//!
//! Each list of the settings is asked at its stage: `client` (connect), `helo`, `sender` (mail),
//! `relay` and then `recipient` (rcpt), `data`, `end-of-data`. One that is asked before RCPT and
//! says something about recipients waits for RCPT, with those after it, and is asked for each
//! recipient. A permit ends its own list only. Whom Postfix would relay for gets `allow-relay`;
//! without the grant `relay`, and where no list says otherwise, the host refuses relaying by
//! itself.
//!
//! A restriction that is not here, a table that is missing or not granted, and a DNS that is not
//! granted are errors of the configuration.
//!
//! ```toml
//! [plugin.settings]
//! sender = ["reject_unknown_sender_domain"]
//! recipient = [
//!     "permit_mynetworks",
//!     "check_client_access table:friends",
//!     "reject_unauth_destination",
//! ]
//! ```

mod access;
mod evaluate;
mod facts;
mod host;
mod hostname;
mod known;
mod restriction;
mod settings;
mod texts;

use facteur_plugin::{
    Failure, Kept, Message, Recipient, Restriction, Session, Stages, Transaction, Verdict, dns,
    lookup,
};

use host::Host;
use settings::Settings;
use texts::What;

static SETTINGS: Kept<Settings> = Kept::new();

struct Restrictions;

impl Restriction for Restrictions {
    fn init() -> Result<Stages, String> {
        let settings = Settings::read()?;
        for (setting, rule) in settings.rules() {
            let name = rule.restriction.name();
            if let Some(table) = rule.restriction.table() {
                lookup::check(table)
                    .map_err(|why| format!("setting \"{setting}\": {name}: {why}"))?;
            }
            if rule.restriction.asks_dns() {
                dns::check()
                    .map_err(|why| format!("setting \"{setting}\": {name} asks the DNS: {why}"))?;
            }
        }
        let stages = settings.stages();
        SETTINGS.keep(settings)?;
        Ok(stages)
    }

    fn connect(s: &Session, t: Option<&Transaction>) -> Result<Verdict, Failure> {
        let settings = SETTINGS.get();
        Ok(evaluate::early(&Host::new(s, t, None), settings, &settings.client, What::Client))
    }

    fn helo(s: &Session, t: Option<&Transaction>) -> Result<Verdict, Failure> {
        let settings = SETTINGS.get();
        Ok(evaluate::early(&Host::new(s, t, None), settings, &settings.helo, What::Helo))
    }

    fn mail(s: &Session, t: &Transaction) -> Result<Verdict, Failure> {
        let settings = SETTINGS.get();
        Ok(evaluate::early(&Host::new(s, Some(t), None), settings, &settings.sender, What::Sender))
    }

    fn rcpt(s: &Session, t: &Transaction, to: &Recipient) -> Result<Verdict, Failure> {
        Ok(evaluate::rcpt(&Host::new(s, Some(t), Some(to)), SETTINGS.get()))
    }

    fn data(s: &Session, t: &Transaction) -> Result<Verdict, Failure> {
        let only = host::only_recipient(t);
        Ok(evaluate::stage(&Host::new(s, Some(t), only.as_ref()), &SETTINGS.get().data, What::Data))
    }

    fn end_of_data(s: &Session, t: &Transaction, _: &Message) -> Result<Verdict, Failure> {
        let only = host::only_recipient(t);
        Ok(evaluate::stage(
            &Host::new(s, Some(t), only.as_ref()),
            &SETTINGS.get().end_of_data,
            What::EndOfData,
        ))
    }
}

facteur_plugin::export!(restriction: Restrictions);

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
mod hostname;
mod known;
mod restriction;
mod settings;
mod subject;
mod texts;

use facteur_plugin::settings::skip;
use facteur_plugin::{Kept, Verdict, dns, lookup};

use settings::Settings;
use subject::Subject;
use texts::What;

static SETTINGS: Kept<Settings> = Kept::new();

fn init() -> Result<(), String> {
    let settings = Settings::read()?;
    for (setting, rule) in settings.rules() {
        let name = rule.restriction.name();
        if let Some(table) = rule.restriction.table() {
            lookup::check(table).map_err(|why| format!("setting \"{setting}\": {name}: {why}"))?;
        }
        if rule.restriction.asks_dns() {
            dns::check()
                .map_err(|why| format!("setting \"{setting}\": {name} asks the DNS: {why}"))?;
        }
    }
    for (setting, table) in settings.tables() {
        lookup::check(table).map_err(|why| format!("setting \"{setting}\": {why}"))?;
    }
    settings.idle().for_each(skip);
    SETTINGS.keep(&settings)
}

fn connect() -> Verdict {
    let settings = SETTINGS.get();
    evaluate::early(settings, &settings.client, What::Client)
}

fn helo() -> Verdict {
    let settings = SETTINGS.get();
    evaluate::early(settings, &settings.helo, What::Helo)
}

fn mail() -> Verdict {
    let settings = SETTINGS.get();
    evaluate::early(settings, &settings.sender, What::Sender)
}

fn rcpt() -> Verdict {
    evaluate::rcpt(SETTINGS.get())
}

fn data() -> Verdict {
    let settings = SETTINGS.get();
    evaluate::stage(settings, Subject::after_rcpt(), &settings.data, What::Data)
}

fn end_of_data() -> Verdict {
    let settings = SETTINGS.get();
    evaluate::stage(settings, Subject::after_rcpt(), &settings.end_of_data, What::EndOfData)
}

facteur_plugin::export!(
    init: init,
    on_connect: connect,
    on_helo: helo,
    on_mail: mail,
    on_rcpt: rcpt,
    on_data: data,
    on_end_of_data: end_of_data,
);

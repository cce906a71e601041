//! The guest of the host's tests: it says, does and breaks what its settings say, at each hook.
//!
//! ```json
//! {
//!   "init": "error",
//!   "rcpt": ["tag:seen", "defer-if-permit"],
//!   "alias": {"all@x.test": ["louen@x.test", "|command", ":include:/list"], "old@x.test": "unknown"},
//!   "owner": {"all@x.test": "owner-all"},
//!   "transport": {"y.test": "smtp:[next.test]:2525"},
//!   "delivery": {"*": "retry-after:1000"},
//!   "authenticate": {"louen": "password:secret"}
//! }
//! ```
//! A stage has one word or several, and so has `content`; the first that is a verdict ends it. The
//! words are in [`stage`], those that edit in [`edit`], those that never come to an answer in
//! [`deed`].

mod after;
mod deed;
mod echo;
mod edit;
mod lent;
mod memory;
mod queue;
mod settings;
mod stage;

use facteur_plugin::bindings::facteur::policy::settings::skip;
use facteur_plugin::{Advice, ContentVerdict, Expansion, Failure, Kept, NextHop, Verdict};

use settings::Settings;
use stage::{Asked, answer};

static SETTINGS: Kept<Settings> = Kept::new();

fn init() -> Result<(), String> {
    let settings = Settings::read()?;
    match settings.init.as_str() {
        "error" => return Err("the settings are\nwrong".to_owned()),
        word => match word.split_once(':') {
            Some(("check", name)) => lent::check(name)?,
            Some(("skip", hook)) => skip(hook),
            _ => _ = deed::commit(word),
        },
    }
    settings.idle().for_each(facteur_plugin::settings::skip);
    SETTINGS.keep(&settings)
}

fn connect() -> Result<Verdict, Failure> {
    answer(&SETTINGS.get().connect, Asked::Connect)
}

fn helo() -> Result<Verdict, Failure> {
    answer(&SETTINGS.get().helo, Asked::Helo)
}

fn mail() -> Result<Verdict, Failure> {
    answer(&SETTINGS.get().mail, Asked::Mail)
}

fn rcpt() -> Result<Verdict, Failure> {
    answer(&SETTINGS.get().rcpt, Asked::Rcpt)
}

fn data() -> Result<Verdict, Failure> {
    answer(&SETTINGS.get().data, Asked::Data)
}

fn end_of_data() -> Result<Verdict, Failure> {
    answer(&SETTINGS.get().end_of_data, Asked::EndOfData)
}

fn content() -> Result<ContentVerdict, Failure> {
    Ok(match answer(&SETTINGS.get().content, Asked::Content)? {
        Verdict::NoOpinion => ContentVerdict::NoOpinion,
        Verdict::Reject(reply) => ContentVerdict::Reject(reply),
        Verdict::Defer(reply) => ContentVerdict::Defer(reply),
        Verdict::Discard => ContentVerdict::Discard,
        Verdict::Disconnect(reply) => ContentVerdict::Disconnect(reply),
        other => panic!("content has no {other:?}"),
    })
}

fn alias() -> Result<Expansion, Failure> {
    queue::expand(SETTINGS.get())
}

fn transport() -> Result<NextHop, Failure> {
    queue::next_hop(SETTINGS.get())
}

fn delivery() -> Result<Advice, Failure> {
    after::advise(SETTINGS.get())
}

fn authenticate() -> Result<Option<String>, Failure> {
    after::verify(SETTINGS.get())
}

facteur_plugin::export!(
    init: init,
    on_connect: connect,
    on_helo: helo,
    on_mail: mail,
    on_rcpt: rcpt,
    on_data: data,
    on_end_of_data: end_of_data,
    on_content: content,
    on_alias: alias,
    on_transport: transport,
    on_delivery: delivery,
    on_authenticate: authenticate,
);

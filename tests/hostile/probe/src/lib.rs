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

use facteur_plugin::{
    Address, Advice, Alias, Answer, Attempt, Authenticate, Content, Credentials, Delivery,
    Expansion, Failure, Kept, Message, Recipient, Restriction, Session, Stages, Transaction,
    Transport, Verdict,
};

use settings::Settings;
use stage::{Asked, answer};

static SETTINGS: Kept<Settings> = Kept::new();

struct Probe;

fn init() -> Result<Stages, String> {
    let settings = Settings::read()?;
    match settings.init.as_str() {
        "error" => return Err("the settings are\nwrong".to_owned()),
        word => match word.strip_prefix("check:") {
            Some(name) => lent::check(name)?,
            None => _ = deed::commit(word),
        },
    }
    let stages = settings.stages();
    SETTINGS.keep(settings)?;
    Ok(stages)
}

impl Restriction for Probe {
    fn init() -> Result<Stages, String> {
        init()
    }

    fn connect(s: &Session, t: Option<&Transaction>) -> Result<Verdict, Failure> {
        answer(&SETTINGS.get().connect, &Asked { stage: "connect", s, t, to: None, m: None })
    }

    fn helo(s: &Session, t: Option<&Transaction>) -> Result<Verdict, Failure> {
        answer(&SETTINGS.get().helo, &Asked { stage: "helo", s, t, to: None, m: None })
    }

    fn mail(s: &Session, t: &Transaction) -> Result<Verdict, Failure> {
        answer(&SETTINGS.get().mail, &Asked { stage: "mail", s, t: Some(t), to: None, m: None })
    }

    fn rcpt(s: &Session, t: &Transaction, to: &Recipient) -> Result<Verdict, Failure> {
        answer(&SETTINGS.get().rcpt, &Asked { stage: "rcpt", s, t: Some(t), to: Some(to), m: None })
    }

    fn data(s: &Session, t: &Transaction) -> Result<Verdict, Failure> {
        answer(&SETTINGS.get().data, &Asked { stage: "data", s, t: Some(t), to: None, m: None })
    }

    fn end_of_data(s: &Session, t: &Transaction, m: &Message) -> Result<Verdict, Failure> {
        answer(
            &SETTINGS.get().end_of_data,
            &Asked { stage: "end-of-data", s, t: Some(t), to: None, m: Some(m) },
        )
    }
}

impl Content for Probe {
    fn init() -> Result<(), String> {
        init().map(drop)
    }

    fn inspect(s: &Session, t: &Transaction, m: &Message) -> Result<Verdict, Failure> {
        answer(
            &SETTINGS.get().content,
            &Asked { stage: "content", s, t: Some(t), to: None, m: Some(m) },
        )
    }
}

impl Alias for Probe {
    fn init() -> Result<(), String> {
        init().map(drop)
    }

    fn expand(to: &Recipient) -> Result<Expansion, Failure> {
        queue::expand(SETTINGS.get(), to)
    }

    fn owner(of: Address) -> Result<Option<Address>, Failure> {
        queue::owner(SETTINGS.get(), &of)
    }
}

impl Transport for Probe {
    fn init() -> Result<(), String> {
        init().map(drop)
    }

    fn next_hop(t: &Transaction, to: &Recipient) -> Result<Answer, Failure> {
        queue::next_hop(SETTINGS.get(), t, to)
    }
}

impl Authenticate for Probe {
    fn init() -> Result<(), String> {
        init().map(drop)
    }

    fn verify(_: &Session, c: Credentials) -> Result<Option<String>, Failure> {
        after::verify(SETTINGS.get(), c)
    }
}

impl Delivery for Probe {
    fn init() -> Result<(), String> {
        init().map(drop)
    }

    fn after(t: &Transaction, to: &Recipient, a: Attempt) -> Result<Advice, Failure> {
        after::advise(SETTINGS.get(), t, to, &a)
    }
}

facteur_plugin::export!(
    restriction: Probe, content: Probe, alias: Probe, transport: Probe, authenticate: Probe, delivery: Probe
);

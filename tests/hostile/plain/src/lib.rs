//! The guest of the benches: it looks at the recipient and has no opinion, as most plugins about
//! most mail.

use facteur_plugin::{
    Failure, Recipient, Reply, Restriction, Session, Stages, Transaction, Verdict,
};

struct Plain;

impl Restriction for Plain {
    fn init() -> Result<Stages, String> {
        Ok(Stages::RCPT)
    }

    fn rcpt(_: &Session, _: &Transaction, to: &Recipient) -> Result<Verdict, Failure> {
        if to.address().local.contains("13") {
            return Ok(Verdict::Reject(Reply::new(550, "5.7.1", "that brings bad luck")));
        }
        Ok(Verdict::Dunno)
    }
}

facteur_plugin::export!(restriction: Plain);

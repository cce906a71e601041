//! Refuses recipients with a 13 in their name.
//!
//! The hook takes from the session, the envelope and the recipient what the rule needs, and hands
//! it to plain functions. Those are tested below. A function that asks the host (tables, the DNS,
//! counters) is tested within a made-up one: `facteur_plugin::testing`.

use facteur_plugin::{
    Failure, Recipient, Reply, Restriction, Session, Stages, Transaction, Verdict,
};

struct NoThirteen;

impl Restriction for NoThirteen {
    fn init() -> Result<Stages, String> {
        Ok(Stages::RCPT)
    }

    fn rcpt(_: &Session, _: &Transaction, to: &Recipient) -> Result<Verdict, Failure> {
        if is_unlucky(&to.address().local) {
            return Ok(Verdict::Reject(Reply::new(550, "5.7.1", "that brings bad luck")));
        }
        Ok(Verdict::Dunno)
    }
}

fn is_unlucky(name: &str) -> bool {
    name.contains("13")
}

facteur_plugin::export!(restriction: NoThirteen);

#[cfg(test)]
mod tests {
    use super::is_unlucky;

    #[test]
    fn thirteen_is_unlucky_wherever_it_stands() {
        assert!(is_unlucky("13") && is_unlucky("bob13") && is_unlucky("2013"));
        assert!(!is_unlucky("bob") && !is_unlucky("1.3"));
    }
}

//! Refuses recipients with a 13 in their name.
//!
//! The hook decides with plain functions. Those can be tested below; what asks the host (addresses,
//! settings, tables, the DNS) can't, since there is no host in a test.

use facteur_plugin::{Failure, Recipient, Reply, Restriction, Session, Stages, Transaction, Verdict};

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

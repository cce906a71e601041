//! Refuses recipients with a 13 in their name.
//!
//! A hook is a function without parameters: what the question is about it asks the host, one fact a
//! function. One that asks what may fail, such as a table, returns `Result<Verdict, Failure>`. A
//! test calls it within a made-up host, `facteur_plugin::testing`.

use facteur_plugin::{Reply, Verdict, recipient};

fn rcpt() -> Verdict {
    if recipient::address().local.contains("13") {
        return Verdict::Reject(Reply::new(550, "5.7.1", "that brings bad luck"));
    }
    Verdict::NoOpinion
}

facteur_plugin::export!(on_rcpt: rcpt);

#[cfg(test)]
mod tests {
    use facteur_plugin::RecipientClass;
    use facteur_plugin::testing::Host;

    use super::*;

    fn refused(address: &str) -> bool {
        let host = Host::new().recipient(address, RecipientClass::Local);
        matches!(host.run(rcpt), Verdict::Reject(_))
    }

    #[test]
    fn thirteen_is_unlucky_wherever_it_stands() {
        assert!(refused("13@example.org") && refused("bob13@example.org"));
        assert!(!refused("bob@example.org") && !refused("bob@13.example"));
    }
}

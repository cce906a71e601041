//! The guest of the benches: it looks at the recipient and has no opinion, as most plugins about
//! most mail.

use facteur_plugin::{Reply, Verdict, recipient};

fn rcpt() -> Verdict {
    if recipient::address().local.contains("13") {
        return Verdict::Reject(Reply::new(550, "5.7.1", "that brings bad luck"));
    }
    Verdict::NoOpinion
}

facteur_plugin::export!(on_rcpt: rcpt);

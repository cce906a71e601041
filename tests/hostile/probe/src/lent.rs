//! What the host lends by name, asked as the words say: `lent:scan av`. The answer is told to the client.

use facteur_plugin::counters::{Bucket, Lifetime};
use facteur_plugin::{counters, scanner, verify};

use crate::stage::{Asked, address};

/// Asks, and shows the answer.
pub fn ask(text: &str, asked: &Asked<'_>) -> String {
    let mut words = text.split(' ');
    let mut next = || words.next().unwrap_or_default();
    match next() {
        "scan" => match asked.m {
            Some(m) => format!("{:?}", scanner::scan(next(), m)),
            None => "there is no message here".to_owned(),
        },
        "get" => format!("{:?}", counters::get(next(), next()).map(|found| found.map(|counter| counter.value))),
        // store key amount milliseconds
        "add" => {
            let (store, key, amount) = (next(), next(), number(next()));
            let keep = Lifetime::FromBeginning(number(next()));
            format!("{:?}", counters::add(store, key, amount, keep).map(|counter| counter.value))
        }
        // store key size milliseconds
        "take" => {
            let (store, key) = (next(), next());
            let size = u32::try_from(number(next())).unwrap_or_default();
            format!("{:?}", counters::take(store, key, 1, Bucket { size, period: number(next()) }))
        }
        "remove" => format!("{:?}", counters::remove(next(), next())),
        "verify" => format!("{:?}", verify::recipient(&address(next()))),
        other => format!("the probe knows nothing lent as {other}"),
    }
}

/// Checks in `init`: `scanner av`.
pub fn check(text: &str) -> Result<(), String> {
    match text.split_once(' ') {
        Some(("scanner", name)) => scanner::check(name),
        Some(("counters", name)) => counters::check(name),
        Some(("verify", _)) => verify::check(),
        _ => Err(format!("the probe can't check {text}")),
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_default()
}

//! What the host lends by name, asked as the words say: `lent:scan av`. The answer is told to the client.

use facteur_plugin::scanner;

use crate::stage::Asked;

/// Asks, and shows the answer.
pub fn ask(text: &str, asked: &Asked<'_>) -> String {
    let mut words = text.split(' ');
    let mut next = || words.next().unwrap_or_default();
    match next() {
        "scan" => match asked.m {
            Some(m) => format!("{:?}", scanner::scan(next(), m)),
            None => "there is no message here".to_owned(),
        },
        other => format!("the probe knows nothing lent as {other}"),
    }
}

/// Checks in `init`: `scanner av`.
pub fn check(text: &str) -> Result<(), String> {
    match text.split_once(' ') {
        Some(("scanner", name)) => scanner::check(name),
        _ => Err(format!("the probe can't check {text}")),
    }
}

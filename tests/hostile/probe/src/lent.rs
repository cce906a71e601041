//! What the host lends by name, asked as the words say: `lent:scan av`. The answer is told to the
//! client.

use facteur_plugin::connect::Ending;
use facteur_plugin::counters::{Bucket, Lifetime};
use facteur_plugin::{connect, counters, dns, files, lookup, scanner, verify};

use crate::stage::{Asked, address};

/// Asks, and shows the answer.
pub fn ask(text: &str, asked: Asked) -> String {
    let mut words = text.split(' ');
    let mut next = || words.next().unwrap_or_default();
    match next() {
        "scan" if asked.message() => format!("{:?}", scanner::scan(next())),
        "scan" => "there is no message here".to_owned(),
        "get" => format!(
            "{:?}",
            counters::get(next(), next()).map(|found| found.map(|counter| counter.value))
        ),
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
        "read" => {
            let (folder, path, offset) = (next(), next(), number(next()));
            let length = u32::try_from(number(next())).unwrap_or(u32::MAX);
            let read = files::read(folder, path, offset, length);
            format!(
                "{:?}",
                read.map(|content| (
                    content.len(),
                    String::from_utf8_lossy(&content[..content.len().min(20)]).into_owned()
                ))
            )
        }
        "info" => {
            format!("{:?}", files::info(next(), next()).map(|info| (info.size, info.is_folder)))
        }
        "list" => format!("{:?}", files::names(next(), next(), None)),
        "write" => format!("{:?}", files::write(next(), next(), next().as_bytes())),
        "unlink" => format!("{:?}", files::remove(next(), next())),
        // service request: up to the end of a line
        "talk" => {
            let (service, request) = (next(), next());
            let answer = connect::ask(
                service,
                format!("{request}\n").as_bytes(),
                Ending::After(b"\n".to_vec()),
            );
            format!("{:?}", answer.map(|answer| String::from_utf8_lossy(&answer).into_owned()))
        }
        // service number: so many steps
        "steps" => {
            let service = next();
            let steps = (0..number(next())).map(|_| connect::Step {
                send: b"x\n".to_vec(),
                until: Ending::After(b"\n".to_vec()),
            });
            format!(
                "{:?}",
                connect::exchange(service, &steps.collect::<Vec<_>>()).map(|answers| answers.len())
            )
        }
        "endless" => format!("{:?}", connect::ask(next(), b"x", Ending::After(Vec::new()))),
        other => format!("the probe knows nothing lent as {other}"),
    }
}

/// Checks in `init`: `scanner av`.
pub fn check(text: &str) -> Result<(), String> {
    match text.split_once(' ') {
        Some(("lookup", name)) => lookup::check(name),
        Some(("dns", _)) => dns::check(),
        Some(("scanner", name)) => scanner::check(name),
        Some(("counters", name)) => counters::check(name),
        Some(("verify", _)) => verify::check(),
        Some(("files", name)) => files::check(name, false),
        Some(("files-write", name)) => files::check(name, true),
        Some(("connect", name)) => connect::check(name),
        _ => Err(format!("the probe can't check {text}")),
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_default()
}

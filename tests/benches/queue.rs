//! A long queue: what it costs in memory, and how long a start on it takes.

use crate::growth::wait_until_deferred;
use crate::report::Row;
use crate::servers::{Facteur, Server};
use crate::source::Source;
use crate::turns::{Series, count};
use crate::world::{DEAD, FLOWING, World};

/// Recipients of each message: so a queue fills in minutes.
const RECIPIENTS: usize = 1_000;
/// The content of each.
const SIZE: usize = 1_024;

/// Runs it.
pub fn run(world: &World) -> Vec<Row> {
    let queued = world.sized(50_000, 1_000_000);
    let mut facteur = Facteur::site(world);
    let idle = facteur.status("VmRSS");
    let load =
        Source { to: DEAD, size: SIZE, recipients: RECIPIENTS, ..Source::usual(FLOWING, true) };
    let filling = load.send(facteur.address(), queued / RECIPIENTS);
    wait_until_deferred(&facteur);
    let (now, most) = (facteur.status("VmRSS"), facteur.status("VmHWM"));
    facteur.server.stop();
    let clean = facteur.restart();
    facteur.processes().cpu_at_rest();
    let after = facteur.status("VmHWM");
    facteur.server.kill();
    let crashed = facteur.restart();

    let what = format!("{queued} recipients queued");
    #[allow(clippy::cast_precision_loss, reason = "KiB are far below 2^52")]
    let mib = |who: &str, kib: u64| Series::once(who, kib as f64 / 1024.0);
    vec![
        Row::new(
            &format!("{what}: memory (RSS)"),
            "MiB",
            vec![
                mib("idle, empty queue", idle),
                mib("idle", now),
                mib("peak since the start", most),
                mib("peak after a start on it", after),
            ],
        ),
        Row::new(
            &format!("{what}: start until ready"),
            "s",
            vec![
                Series::once("after a clean end", clean.as_secs_f64()),
                Series::once("after a crash", crashed.as_secs_f64()),
            ],
        ),
        Row::new(
            "taken and synced",
            "recipients/s",
            vec![Series::once(facteur.name(), count(queued) / filling.as_secs_f64())],
        ),
    ]
}

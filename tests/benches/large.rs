//! Messages of 50 MB by 20 sessions at once, held: how much of what the disk writes, and the peak
//! of the memory.

use crate::accepted::taken;
use crate::disk;
use crate::report::Row;
use crate::servers::{Facteur, Postfix, Server};
use crate::source::Source;
use crate::turns::{Contestant, Series, Turn, by_turns, count};
use crate::world::{HELD, World};

/// Messages of a turn, each in a session of its own.
const MESSAGES: usize = 20;
/// The reference.
const DISK: &str = "write + fdatasync";

/// Runs it.
pub fn run(world: &World) -> Vec<Row> {
    let facteur = Facteur::site(world);
    let postfix = Postfix::site(world);
    let size = world.sized(10, 50) * 1_000_000;
    let octets = MESSAGES * size;
    let load = Source { size, ..Source::usual(HELD, true) };
    let megabytes = |rate: f64| rate * count(size) / 1e6;

    // The peak of a turn of small messages, after one that warms up.
    taken(&facteur, Source::usual(HELD, true), 2_000);
    facteur.forget_peak();
    taken(&facteur, Source::usual(HELD, true), 2_000);
    let small = facteur.status("VmHWM");
    facteur.forget_peak();

    let of = |server: &'_ dyn Server| {
        let turn = taken(server, load, MESSAGES);
        Turn { value: megabytes(turn.value), ..turn }
    };
    let mut contestants = [
        Contestant::new(DISK, || Turn {
            value: count(octets) / 1e6 / disk::write(MESSAGES, size).as_secs_f64(),
            cpu: None,
        }),
        Contestant::new(facteur.name(), || of(&facteur)),
        Contestant::new(postfix.name(), || of(&postfix)),
    ];
    let series = by_turns(world.sized(2, 5), &mut contestants);
    let large = facteur.status("VmHWM");
    let what =
        format!("{MESSAGES} messages of {} MB at once, accepted and synced", size / 1_000_000);
    #[allow(clippy::cast_precision_loss, reason = "KiB are far below 2^52")]
    let peaks = [("messages of 4 KiB", small), ("large ones", large)]
        .map(|(who, kib)| Series::once(who, kib as f64 / 1024.0));
    vec![
        Row::new(&what, "MB/s", series).against(&[DISK, "Postfix"]),
        Row::new("peak of facteur's memory (RSS)", "MiB", peaks.into()),
    ]
}

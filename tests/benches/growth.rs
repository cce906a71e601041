//! Whether a rate stays what it is: with a long queue of deferred mail, with 2,000 sessions in
//! place of 20, with 100 plugins loaded in place of three.

use std::time::Duration;

use facteur_tests::within;

use crate::accepted::taken;
use crate::report::Row;
use crate::servers::{Facteur, Policy, Server};
use crate::source::Source;
use crate::through::gone;
use crate::turns::{Contestant, Turn, by_turns};
use crate::world::{DEAD, FLOWING, HELD, World};

/// The reference.
const PLAIN: &str = "20 sessions, 3 plugins";
/// Sessions of the wide load.
const SESSIONS: usize = 2_000;
/// Plugins beside the site's three.
const PLUGINS: usize = 97;
/// How long it may take until everything was tried once.
const TRIED: Duration = Duration::from_mins(10);

/// Runs it.
pub fn run(world: &World) -> Vec<Row> {
    let plain = Facteur::start(world, "plain", "203.0.113.6:25", Policy::Site);
    vec![sessions_and_plugins(world, &plain), queue(world, &plain)]
}

fn sessions_and_plugins(world: &World, plain: &Facteur) -> Row {
    let laden = Facteur::start(world, "laden", "203.0.113.8:25", Policy::Beside(PLUGINS));
    let ceiling = world.ceiling();
    // Addresses that don't come to an end before a wide load has sent enough on each connection.
    let load = Source { to: DEAD, ..Source::usual(HELD, true) };
    let wide = Source { sessions: SESSIONS, ..load };
    let enough = SESSIONS * world.sized(2, 20);
    let to_ceiling =
        |load: Source, messages| Turn::rate(messages, load.send(ceiling.address(), messages));
    let mut contestants = [
        Contestant::paced(world, PLAIN, |messages| taken(plain, load, messages)),
        Contestant::paced(world, "100 plugins loaded", |messages| taken(&laden, load, messages)),
        Contestant::new("2,000 sessions", || taken(plain, wide, enough)),
        // What the load generator itself loses.
        Contestant::new("ceiling, 20 sessions", || to_ceiling(load, enough)),
        Contestant::new("ceiling, 2,000 sessions", || to_ceiling(wide, enough)),
    ];
    let series = by_turns(world.rounds(), &mut contestants);
    Row::new("accepted and synced, kept", "messages/s", series)
        .against(&[PLAIN, "ceiling, 20 sessions"])
}

fn queue(world: &World, plain: &Facteur) -> Row {
    let queued = world.sized(5_000, 100_000);
    let full = Facteur::start(world, "full", "203.0.113.7:25", Policy::Site);
    let load = Source::usual(FLOWING, true);
    Source { to: DEAD, size: 1024, ..load }.send(full.address(), queued);
    wait_until_deferred(&full);
    let hop = world.next_hop();
    let mut contestants = [
        Contestant::paced(world, "empty queue", |messages| gone(plain, &hop, load, messages)),
        Contestant::paced(world, "long queue", |messages| gone(&full, &hop, load, messages)),
    ];
    let series = by_turns(world.rounds(), &mut contestants);
    Row::new(&format!("in and out, kept; the long queue: {queued} deferred"), "messages/s", series)
        .against(&["empty queue"])
}

/// Waits until every recipient was tried.
pub fn wait_until_deferred(server: &Facteur) {
    within(TRIED, "all to be deferred", || {
        server.processes().cpu_at_rest();
        let all = server.server.queued();
        all.iter().all(|entry| entry.recipients.iter().all(|one| one.attempts >= 1)).then_some(())
    });
}

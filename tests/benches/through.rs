//! Messages that come in, are decided about, queued, and go out to smtp-sink. What counts is what
//! arrives there.

use std::time::Instant;

use crate::report::Row;
use crate::servers::{self, Server};
use crate::sink::Sink;
use crate::source::Source;
use crate::turns::{Contestant, Turn, by_turns};
use crate::world::{FLOWING, World};

/// Runs it.
pub fn run(world: &World) -> Vec<Row> {
    let ceiling = world.ceiling();
    let hop = world.next_hop();
    let servers = servers::all(world);
    [("kept", true), ("each", false)]
        .map(|(what, kept)| {
            let load = Source::usual(FLOWING, kept);
            let to_ceiling =
                |messages| Turn::rate(messages, load.send(ceiling.address(), messages));
            let mut contestants = vec![Contestant::paced(world, "ceiling", to_ceiling)];
            let hop = &hop;
            contestants.extend(servers.iter().map(|server| {
                Contestant::paced(world, server.name(), move |messages| {
                    gone(&**server, hop, load, messages)
                })
            }));
            let series = by_turns(world.rounds(), &mut contestants);
            Row::new(&format!("in and out, {what}"), "messages/s", series)
                .against(&["Postfix", "ceiling"])
        })
        .into()
}

/// One turn: so many messages, until the last is at the next hop.
pub fn gone(server: &dyn Server, hop: &Sink, load: Source, messages: usize) -> Turn {
    let before = hop.count();
    Turn::of(messages, server.processes(), || {
        let started = Instant::now();
        load.send(server.address(), messages);
        hop.wait(before + messages) - started
    })
}

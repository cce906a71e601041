//! Messages that are taken and synced. Delivery is held on every server by the same entry of an
//! access table, so that nothing else is measured. The ceiling stores nothing and decides nothing;
//! the floor stores and syncs, and decides nothing.

use crate::report::Row;
use crate::servers::{self, Server};
use crate::source::Source;
use crate::turns::{Contestant, Turn, by_turns};
use crate::world::{HELD, World};

/// Runs it.
pub fn run(world: &World) -> Vec<Row> {
    let ceiling = world.ceiling();
    let floor = world.floor();
    let servers = servers::all(world);
    [("kept", true), ("each", false)]
        .map(|(what, kept)| {
            let load = Source::usual(HELD, kept);
            let to_ceiling =
                |messages| Turn::rate(messages, load.send(ceiling.address(), messages));
            let to_floor = |messages| {
                Turn::of(messages, floor.processes(), || load.send(floor.address(), messages))
            };
            let mut contestants = vec![
                Contestant::paced(world, "ceiling", to_ceiling),
                Contestant::paced(world, "floor", to_floor),
            ];
            contestants.extend(servers.iter().map(|server| {
                Contestant::paced(world, server.name(), move |messages| {
                    taken(&**server, load, messages)
                })
            }));
            let series = by_turns(world.rounds(), &mut contestants);
            Row::new(&format!("accepted and synced, {what}"), "messages/s", series)
                .against(&["Postfix", "ceiling", "floor"])
        })
        .into()
}

/// One turn: so many messages. They must then be in the queue, and are removed from it.
pub fn taken(server: &dyn Server, load: Source, messages: usize) -> Turn {
    let turn = Turn::of(messages, server.processes(), || load.send(server.address(), messages));
    assert_eq!(server.clear(), messages, "what {} took isn't all in its queue", server.name());
    turn
}

//! What plugins cost: the same mail with none, with the site's three, with a chain of four, all in fresh sandboxes for each
//! transaction. Nothing can be held where there is no plugin, so the next hop is one that never says a word.

use std::net::TcpListener;

use crate::accepted::taken;
use crate::report::Row;
use crate::servers::{Facteur, Policy, Server};
use crate::source::Source;
use crate::turns::{Contestant, by_turns};
use crate::world::{FLOWING, SILENT, World};

/// Where the silent next hop would be.
const HOP: &str = "192.0.2.99:25";
const CONTESTANTS: [(&str, &str, Policy); 3] = [
    ("no plugin", "203.0.113.6:25", Policy::None),
    ("the site's three plugins", "203.0.113.7:25", Policy::Site),
    ("four plugins", "203.0.113.8:25", Policy::Four),
];

/// Runs it.
pub fn run(world: &World) -> Vec<Row> {
    // The kernel takes connections for it; it never does.
    let _hop = TcpListener::bind(HOP).expect("an address of the machine");
    let servers = CONTESTANTS.map(|(name, address, policy)| Facteur::start(world, name, address, policy));
    let load = Source { to: SILENT, ..Source::usual(FLOWING, true) };
    let mut contestants: Vec<_> = servers
        .iter()
        .map(|server| Contestant::paced(world, server.name(), move |messages| taken(server, load, messages)))
        .collect();
    let series = by_turns(world.rounds(), &mut contestants);
    vec![Row::new("accepted and synced, kept", "messages/s", series).against(&[CONTESTANTS[0].0])]
}

//! What plugins cost: the same mail with none, with the site's three, with a chain of four, all in
//! fresh sandboxes for each transaction; and what milters that let everything pass cost Postfix.
//! Nothing can be held where there is no plugin, so facteur's next hop is one that never says a
//! word.

use std::net::TcpListener;

use crate::accepted::taken;
use crate::report::Row;
use crate::servers::{Facteur, Policy, Postfix, Server, milter};
use crate::source::Source;
use crate::turns::{Contestant, Series, by_turns};
use crate::world::{FLOWING, HELD, SILENT, World};

/// Where the silent next hop would be.
const HOP: &str = "192.0.2.99:25";
const CONTESTANTS: [(&str, &str, Policy); 3] = [
    ("no plugin", "203.0.113.6:25", Policy::None),
    ("the site's three plugins", "203.0.113.7:25", Policy::Site),
    ("four plugins", "203.0.113.8:25", Policy::Four),
];

/// Where the milters are: the first alone, or all of them.
const MILTERS: [&str; 3] = ["127.0.0.1:8891", "127.0.0.1:8892", "127.0.0.1:8893"];
const FILTERED: [(&str, &str, &[&str]); 3] = [
    ("Postfix", "203.0.113.9:25", &[]),
    ("one no-op milter", "203.0.113.10:25", &[MILTERS[0]]),
    ("three no-op milters", "203.0.113.11:25", &MILTERS),
];

/// Runs it.
pub fn run(world: &World) -> Vec<Row> {
    // The kernel takes connections for it; it never does.
    let _hop = TcpListener::bind(HOP).expect("an address of the machine");
    let servers =
        CONTESTANTS.map(|(name, address, policy)| Facteur::start(world, name, address, policy));
    let ours = rates(world, &servers, Source { to: SILENT, ..Source::usual(FLOWING, true) });
    drop(servers);
    MILTERS.into_iter().for_each(milter::serve);
    let servers =
        FILTERED.map(|(name, address, milters)| Postfix::start(world, name, address, milters));
    let theirs = rates(world, &servers, Source::usual(HELD, true));
    vec![
        Row::new("accepted and synced, kept", "messages/s", ours).against(&[CONTESTANTS[0].0]),
        Row::new("the same, Postfix and milters", "messages/s", theirs).against(&[FILTERED[0].0]),
    ]
}

fn rates(world: &World, servers: &[impl Server], load: Source) -> Vec<Series> {
    let mut contestants: Vec<_> = servers
        .iter()
        .map(|server| {
            Contestant::paced(world, server.name(), move |messages| taken(server, load, messages))
        })
        .collect();
    by_turns(world.rounds(), &mut contestants)
}

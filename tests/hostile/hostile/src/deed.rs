//! What the guest does, and where.

use std::hint::black_box;

use facteur_plugin::{dns, log, lookup};
use serde::{Deserialize, Serialize};

/// `[plugin.settings]`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub at: Place,
    #[serde(rename = "do")]
    pub deed: Deed,
}

/// Where it is done.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    Init,
    Connect,
    Helo,
    Mail,
    Rcpt,
    Data,
    EndOfData,
    Expand,
    Owner,
    NextHop,
}

/// What is done. Those from `error` on are answers, and mean something only where there is such an answer.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Never comes back.
    Loop,
    /// Takes memory until there is none.
    Memory,
    /// Calls itself until the stack ends.
    Recurse,
    /// A trap.
    Trap,
    /// A panic, with a text.
    Panic,
    /// Writes to the log for ever.
    FloodLog,
    /// Asks the table "flood" for ever.
    FloodLookup,
    /// Asks the DNS for ever, each time for another name.
    FloodDns,
    /// Hands the host a log line of megabytes.
    HugeLog,
    /// Asks a table more keys than it may.
    ManyKeys,
    /// Keeps state; outside of `init` that's not allowed.
    Keep,
    /// Keeps more state than it may.
    HugeKeep,

    /// Can't decide; in `init`, refuses the settings.
    Error,
    /// Allows relaying.
    AllowRelay,
    /// A refusal with code 250.
    BadCode,
    /// A code and a status of two classes.
    BadClass,
    /// A status that isn't one.
    BadStatus,
    /// A text with a line end and a forged reply.
    BadText,
    /// A disconnection with code 550.
    BadDrop,
    /// A text of megabytes.
    Megabytes,
    /// Refuses if an earlier call left something in memory.
    Leak,
    /// A header with a line end; in the queue, an action.
    BadHeader,
    /// More headers than there may be.
    ManyHeaders,
    /// An address, or a next hop, that isn't one.
    BadAddress,
    /// Stands for nobody.
    NoTargets,
    /// Stands for too many.
    ManyTargets,
    /// Stands for another address, each time.
    Endless,
    /// Stands for a command; as a route, a transport that runs one.
    Command,
    /// Stands for a file.
    File,
    /// Stands for a list that it has no right to.
    Include,
}

impl Deed {
    /// Does what is no answer.
    pub fn commit(self) {
        match self {
            Self::Loop => forever(|_| ()),
            Self::Memory => forever(|_| {
                black_box(Vec::<u8>::leak(vec![1; 1 << 20]));
            }),
            Self::Recurse => {
                black_box(recurse(0));
            }
            Self::Trap => trap(),
            Self::Panic => panic!("the guest panics"),
            Self::FloodLog => forever(|number| log::info(format!("flood {number}"))),
            Self::FloodLookup => forever(|number| {
                black_box(lookup::find("flood", &[format!("key{number}")]).is_ok());
            }),
            Self::FloodDns => forever(|number| {
                black_box(dns::addresses(&format!("flood{number}.example")).is_ok());
            }),
            Self::HugeLog => log::info("x".repeat(8 << 20)),
            Self::ManyKeys => {
                let keys: Vec<String> = (0..=lookup::KEYS_LIMIT).map(|number| number.to_string()).collect();
                black_box(lookup::find("flood", &keys).is_ok());
            }
            Self::Keep => facteur_plugin::bindings::facteur::policy::settings::keep(b"other"),
            Self::HugeKeep => facteur_plugin::bindings::facteur::policy::settings::keep(&vec![0; 70_000]),
            _ => {}
        }
    }
}

/// The compiler may not see that nothing comes of it.
fn forever(mut step: impl FnMut(u64)) {
    let mut number = 0;
    while black_box(true) {
        step(black_box(number));
        number += 1;
    }
}

/// Each call needs its frame, so that it can't be made a loop.
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(black_box(depth + 1)).wrapping_add(black_box(frame)[0])
}

/// `unreachable`, where there is such an instruction.
fn trap() {
    #[cfg(target_arch = "wasm32")]
    std::arch::wasm32::unreachable();
}

//! What is no answer: most of it never comes back.

use std::hint::black_box;

use facteur_plugin::bindings::facteur::policy::settings::{keep, skip};
use facteur_plugin::counters::Lifetime;
use facteur_plugin::lookup::Manner;
use facteur_plugin::{
    attempt, counters, credentials, dns, files, log, lookup, message, message_edit, recipient,
    scanner, session, transaction,
};

/// Does it, if the word names one of these. Whether it did, for those that come back.
pub fn commit(word: &str) -> bool {
    match word {
        "loop" => forever(|_| ()),
        "memory" => forever(|_| {
            black_box(Vec::<u8>::leak(vec![1; 1 << 20]));
        }),
        "recurse" => {
            black_box(recurse(0));
        }
        "trap" => trap(),
        "panic" => panic!("the guest panics"),
        "flood-log" => forever(|number| log::info(format!("flood {number}"))),
        "flood-lookup" => forever(|number| {
            black_box(lookup::find("flood", &[format!("key{number}")]).is_ok());
        }),
        "flood-dns" => forever(|number| {
            black_box(dns::addresses(&format!("flood{number}.test")).is_ok());
        }),
        "flood-counters" => forever(|number| {
            black_box(
                counters::add("mine", &format!("key{number}"), 1, Lifetime::FromNow(1_000_000))
                    .is_ok(),
            );
        }),
        "flood-files" => forever(|number| {
            black_box(files::write("seen", &format!("file{number}"), b"x").is_ok());
        }),
        // Hands the host more than it wants to copy, or keeps, or takes at once.
        "huge-log" => log::info("x".repeat(MEGABYTES)),
        "large" => keep(&vec![0; 65_537]),
        "error-lines" => log::error("one\ntwo\n\u{7}three"),
        "large-error" => log::error("x".repeat(MEGABYTES)),
        // Allowed in `init` only.
        "keep" => keep(b"other"),
        "skip" => skip("on-rcpt"),
        word => match word.strip_prefix("call-") {
            Some(function) => return call(function),
            None => return false,
        },
    }
    true
}

/// Calls a function where it may have no sense: `call-recipient.address`. Whether there is such.
fn call(function: &str) -> bool {
    let tables = &["flood".to_owned()];
    match function {
        "session.client-address" => drop(black_box(session::client_address())),
        "session.set-tag" => drop(black_box(session::set_tag("probe", "x"))),
        "transaction.exists" => _ = black_box(transaction::exists()),
        "transaction.sender" => drop(black_box(transaction::sender())),
        "transaction.hold" => transaction::hold("probed"),
        "recipient.address" => drop(black_box(recipient::address())),
        "recipient.listed" => drop(black_box(recipient::listed())),
        "message.size" => _ = black_box(message::size()),
        "message-edit.add-header" => drop(black_box(message_edit::add_header("X-Seen", "yes"))),
        "message-edit.quarantine" => message_edit::quarantine("probed"),
        "attempt.number" => _ = black_box(attempt::number()),
        "credentials.password" => drop(black_box(credentials::password())),
        "scanner.scan" => drop(black_box(scanner::scan("av"))),
        "lookup.find-client" => drop(black_box(lookup::find_client(tables))),
        "lookup.find-sender" => drop(black_box(lookup::find_sender(tables, Manner::Access))),
        "lookup.find-recipient" => drop(black_box(lookup::find_recipient(tables, Manner::Access))),
        _ => return false,
    }
    true
}

/// More than any answer may have.
pub const MEGABYTES: usize = 8 << 20;

/// The compiler may not see that nothing comes of it.
fn forever(mut step: impl FnMut(u64)) {
    let mut number = 0;
    while black_box(true) {
        step(black_box(number));
        number += 1;
    }
}

/// Each call needs its frame, so that it can't be made a loop.
#[expect(unconditional_recursion, reason = "that is what it is for")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(black_box(depth + 1)).wrapping_add(black_box(frame)[0])
}

/// `unreachable`, where there is such an instruction.
fn trap() {
    #[cfg(target_arch = "wasm32")]
    std::arch::wasm32::unreachable();
}

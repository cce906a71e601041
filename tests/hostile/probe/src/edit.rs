//! Edits of the message and the envelope, as a word says: `add-header:X-Seen: yes`.

use facteur_plugin::{Failure, Message, Transaction};

use crate::deed::MEGABYTES;
use crate::stage::address;

/// The largest chunk of a new body.
const CHUNK: usize = 65_536;

/// Does it, if the word names one. Whether it did.
pub fn commit(name: &str, text: &str, t: &Transaction, m: &Message) -> Result<bool, Failure> {
    // `name: value`, `2 name: value`
    let (number, header) =
        match text.split_once(' ').and_then(|(first, rest)| Some((first.parse().ok()?, rest))) {
            Some((number, rest)) => (number, rest),
            None => (0, text),
        };
    let (header, value) =
        header.split_once(':').map_or((header, ""), |(header, value)| (header, value.trim()));
    match name {
        "add-header" => m.add_header(header, value),
        "insert-header" => m.insert_header(number, header, value),
        "replace-header" => must(m.replace_header(header, number, value), text)?,
        "remove-header" => must(m.remove_header(header, Some(number)) == 1, text)?,
        "remove-headers" => must(m.remove_header(text, None) > 0, text)?,
        "body" => m.replace_body(text.as_bytes(), true),
        // The body again, with every x as y.
        "map-body" => {
            let mut offset = m.body_offset();
            loop {
                let mut chunk = m.read(offset, u32::MAX);
                offset += chunk.len() as u64;
                let last = offset >= m.size();
                chunk.iter_mut().filter(|byte| **byte == b'x').for_each(|byte| *byte = b'y');
                m.replace_body(&chunk, last);
                if last {
                    break;
                }
            }
        }
        "quarantine" => t.quarantine(text),
        "add-recipient" => t.add_recipient(&address(text)),
        "remove-recipient" => must(t.remove_recipient(&address(text)), text)?,
        "set-sender" => t.set_sender(Some(&address(text))),
        "null-sender" => t.set_sender(None),
        // More than there may be, or what is none.
        "half-body" => m.replace_body(b"half of a bo", false),
        "two-bodies" => (0..2).for_each(|_| m.replace_body(b"one", true)),
        "large-chunk" => m.replace_body(&vec![b'x'; CHUNK + 1], true),
        "endless-body" => {
            let chunk = vec![b'x'; CHUNK];
            (0..MEGABYTES).for_each(|_| m.replace_body(&chunk, false));
        }
        "edit-crlf" => m.add_header("X-Bad", "a\r\nX-Forged: b"),
        "edit-name" => m.insert_header(0, "X Bad", "a"),
        "flood-edits" => (0..2_000).for_each(|_| m.add_header("X-Many", "x")),
        "flood-recipients" => (0..1_000)
            .for_each(|number| t.add_recipient(&address(&format!("u{number}@local.test")))),
        _ => return Ok(false),
    }
    Ok(true)
}

fn must(done: bool, what: &str) -> Result<(), Failure> {
    if done { Ok(()) } else { Err(Failure::permanent(format!("there is no {what}"))) }
}

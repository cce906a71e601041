//! Edits of the message and the envelope, as a word says: `add-header:X-Seen: yes`.

use facteur_plugin::{Failure, message, message_edit};

use crate::deed::MEGABYTES;
use crate::stage::address;

/// The largest chunk of a new body.
const CHUNK: usize = 65_536;

/// Does it, if the word names one. Whether it did.
pub fn commit(name: &str, text: &str) -> Result<bool, Failure> {
    // `name: value`, `2 name: value`
    let (number, header) =
        match text.split_once(' ').and_then(|(first, rest)| Some((first.parse().ok()?, rest))) {
            Some((number, rest)) => (number, rest),
            None => (0, text),
        };
    let (header, value) =
        header.split_once(':').map_or((header, ""), |(header, value)| (header, value.trim()));
    match name {
        "add-header" => message_edit::add_header(header, value)?,
        "insert-header" => message_edit::insert_header(number, header, value)?,
        "replace-header" => must(message_edit::replace_header(header, number, value)?, text)?,
        "remove-header" => must(message_edit::remove_header(header, Some(number))? == 1, text)?,
        "remove-headers" => must(message_edit::remove_header(text, None)? > 0, text)?,
        "body" => message_edit::replace_body(text.as_bytes(), true)?,
        // The body again, with every x as y.
        "map-body" => {
            let mut offset = message::body_offset();
            loop {
                let mut chunk = message::read(offset, u32::MAX)?;
                offset += chunk.len() as u64;
                let last = offset >= message::size();
                chunk.iter_mut().filter(|byte| **byte == b'x').for_each(|byte| *byte = b'y');
                message_edit::replace_body(&chunk, last)?;
                if last {
                    break;
                }
            }
        }
        // A header made of what a stranger wrote.
        "copy-subject" => {
            message_edit::add_header("X-Subject", message::header_text("subject").concat())?;
        }
        "quarantine" => message_edit::quarantine(text),
        "add-recipient" => message_edit::add_recipient(&address(text))?,
        "remove-recipient" => must(message_edit::remove_recipient(&address(text))?, text)?,
        "set-sender" => message_edit::set_sender(Some(&address(text)))?,
        "null-sender" => message_edit::set_sender(None)?,
        // More than there may be, or what is none.
        "half-body" => message_edit::replace_body(b"half of a bo", false)?,
        "two-bodies" => {
            message_edit::replace_body(b"one", true)?;
            message_edit::replace_body(b"one", true)?;
        }
        "large-chunk" => message_edit::replace_body(&vec![b'x'; CHUNK + 1], true)?,
        "endless-body" => {
            let chunk = vec![b'x'; CHUNK];
            (0..MEGABYTES).try_for_each(|_| message_edit::replace_body(&chunk, false))?;
        }
        "edit-crlf" => message_edit::add_header("X-Bad", "a\r\nX-Forged: b")?,
        "edit-name" => message_edit::insert_header(0, "X Bad", "a")?,
        "flood-edits" => (0..2_000).try_for_each(|_| message_edit::add_header("X-Many", "x"))?,
        "flood-recipients" => (0..1_000).try_for_each(|number| {
            message_edit::add_recipient(&address(&format!("u{number}@local.test")))
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn must(done: bool, what: &str) -> Result<(), Failure> {
    if done { Ok(()) } else { Err(Failure::permanent(format!("there is no {what}"))) }
}

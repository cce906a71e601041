//! A header that a plugin gives: its name checked, its value made fit for a message.
//!
//! Names and values are hostile input: nothing that passes here can end the header it is in, or
//! begin another.

use facteur_smtp::is_field_name;

use super::encoded_words;
use super::folding::unfolded;

/// The longest name, in bytes.
const NAME_LIMIT: usize = 64;
/// What is kept of a value, in bytes: longer ones no mail server need take, and far shorter ones
/// are the rule.
const VALUE_LIMIT: usize = 8192;

/// Whether it is the name of a header; the text says what is wrong with it.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if (1..=NAME_LIMIT).contains(&name.len()) && is_field_name(name.as_bytes()) {
        return Ok(());
    }
    let start = &name[..name.floor_char_boundary(NAME_LIMIT)];
    Err(format!(
        "{start:?} is no name of a header (1 to {NAME_LIMIT} printable ASCII bytes but \":\")"
    ))
}

/// A value fit for a message: one line of at most [`VALUE_LIMIT`] bytes, cleaned and, unless the
/// message is SMTPUTF8, ASCII. Whatever the text, it is the value of one header.
pub(crate) fn fit(value: &str, utf8: bool) -> String {
    let value = &value[..value.floor_char_boundary(VALUE_LIMIT)];
    let clean = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => '?',
        c => c,
    };
    let value: String = unfolded(value).chars().map(clean).collect();
    encoded_words::encode(value.trim(), utf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::folding::header_line;

    #[test]
    fn what_could_forge_a_header_is_no_name() {
        for name in ["", "X Bad", "X:", "X\r\nY", "é", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert_eq!(check_name("X-Good"), Ok(()));
    }

    #[test]
    fn any_text_becomes_the_value_of_one_header() {
        for (text, value) in [
            ("any text: even this", "any text: even this"),
            ("a\r\n b\r\n\tc", "a b c"),
            ("a\r\nBcc: evil@x.test\n\nbody\r", "a Bcc: evil@x.test body"),
            ("\0 a\tb\x7f", "? a b?"),
            ("\r\n", ""),
            ("café\r\n  noir", "=?UTF-8?B?Y2Fmw6k=?= noir"),
        ] {
            assert_eq!(fit(text, false), value, "{text:?}");
        }
        assert_eq!(fit("café\r\n  noir", true), "café noir");
        // A long Subject, as it came: folded, or one word without end.
        for subject in ["word ".repeat(3_000), "word\r\n ".repeat(2_000), "x".repeat(20_000)] {
            let line = header_line("X-Subject", &fit(&subject, false));
            let text = String::from_utf8(line).unwrap();
            assert!(text.lines().all(|line| line.len() <= 998), "{text}");
            assert_eq!(text.matches("X-Subject:").count(), 1);
        }
    }
}

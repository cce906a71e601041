//! A header that a plugin gives: checked, and written as a line.
//!
//! Names and values are hostile input: nothing that passes here can end the header it is in, or
//! begin another.

use facteur_smtp::is_field_name;

/// The longest name, in bytes.
const NAME_LIMIT: usize = 64;
/// The longest value, in bytes: longer ones no mail server need take, and far shorter ones are the
/// rule.
const VALUE_LIMIT: usize = 8192;
/// The recommended line length (RFC 5322 section 2.1.1).
const FOLD_AT: usize = 78;

/// Whether name and value may stand in a message; the text says what is wrong with them.
pub(crate) fn check(name: &str, value: &str) -> Result<(), &'static str> {
    if !(1..=NAME_LIMIT).contains(&name.len()) || !is_field_name(name.as_bytes()) {
        return Err("a header name that isn't one");
    }
    if value.len() > VALUE_LIMIT || value.contains(['\0', '\r', '\n']) {
        return Err("a header value that is too long, or has NUL, CR or LF");
    }
    Ok(())
}

/// The header as it stands in a message: folded at spaces, with its CRLF.
pub fn header_line(name: &str, value: &str) -> Vec<u8> {
    let mut line = Vec::with_capacity(name.len() + value.len() + 8);
    line.extend_from_slice(name.as_bytes());
    line.push(b':');
    let mut column = name.len() + 1;
    for word in value.split(' ') {
        if column + 1 + word.len() > FOLD_AT && column > name.len() + 1 && !word.is_empty() {
            line.extend_from_slice(b"\r\n");
            column = 0;
        }
        line.push(b' ');
        line.extend_from_slice(word.as_bytes());
        column += 1 + word.len();
    }
    line.extend_from_slice(b"\r\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_folded_at_spaces() {
        let text = String::from_utf8(header_line("X-Long", &"word ".repeat(40))).unwrap();
        assert!(text.lines().all(|line| line.len() <= FOLD_AT + 5), "{text}");
        assert!(
            text.lines().skip(1).all(|line| line.starts_with(' ') && !line.trim().is_empty()),
            "{text}"
        );
        assert!(text.ends_with("\r\n"));
    }

    #[test]
    fn what_could_forge_a_header_is_none() {
        assert_eq!(check("X-Good", "any text: even this"), Ok(()));
        for (name, value) in
            [("", "x"), ("X Bad", "x"), ("X:", "x"), ("X", "a\r\nB: c"), ("X", "a\nb"), ("X", "\0")]
        {
            assert!(check(name, value).is_err(), "{name:?}: {value:?}");
        }
        assert!(check(&"x".repeat(65), "").is_err() && check("x", &"x".repeat(8193)).is_err());
    }
}

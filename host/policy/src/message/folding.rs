//! A header over several lines (RFC 5322 section 2.2.3): written, and read as one.

use std::borrow::Cow;

/// The recommended line length (RFC 5322 section 2.1.1).
const FOLD_AT: usize = 78;

/// Without its line breaks: each becomes one space with the blanks after it.
pub(super) fn unfolded(value: &str) -> Cow<'_, str> {
    if !value.contains(['\r', '\n']) {
        return Cow::Borrowed(value);
    }
    let lines = value.split(['\r', '\n']).enumerate();
    let blank = [' ', '\t'];
    let parts =
        lines.map(|(number, line)| if number == 0 { line } else { line.trim_start_matches(blank) });
    Cow::Owned(parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "))
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
}

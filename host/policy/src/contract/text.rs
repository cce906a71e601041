//! Texts from plugins, which may hold what strangers wrote: cut at a character, and cleaned. No
//! text traps.

/// The longest text of a reply, and the longest reason of a failure, in bytes.
pub(crate) const TEXT_LIMIT: usize = 512;
/// The longest text for the log, in bytes.
pub(crate) const LOG_TEXT: usize = 1024;
/// The same at `error`: the story of a panic or an exception.
pub(crate) const ERROR_TEXT: usize = 8 * 1024;

/// The beginning of a text, at most so many bytes.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// One line, at most so long: control characters are replaced.
pub(crate) fn line(text: &str, limit: usize) -> String {
    cut(text, limit).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The same with the line breaks that it has, each an LF.
pub(crate) fn lines(text: &str, limit: usize) -> String {
    let mut cleaned = String::with_capacity(text.len().min(limit));
    let mut rest = cut(text, limit).chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' if rest.peek() == Some(&'\n') => {}
            '\n' => cleaned.push('\n'),
            c if c.is_control() => cleaned.push('?'),
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// A text for the log: one line, and not a long one.
pub(crate) fn printable(text: &str) -> String {
    line(text, LOG_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_character_and_cleaned() {
        assert_eq!(cut("ééé", 3), "é");
        assert_eq!(line("a\r\n250 ok\0é", 100), "a??250 ok?é");
        assert_eq!(line(&"x".repeat(600), TEXT_LIMIT).len(), 512);
        assert_eq!(line("\u{85}\u{9b}", 10), "??");
    }

    #[test]
    fn lines_keep_their_breaks() {
        assert_eq!(lines("a\r\nb\nc\rd\te", 100), "a\nb\nc?d?e");
        assert_eq!(lines("ab\r\n", 3), "ab?");
    }
}

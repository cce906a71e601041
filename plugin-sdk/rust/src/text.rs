//! Texts from elsewhere, made fit for a reply, a header or a log line.

/// A text on one line, of at most `limit` bytes: control characters become spaces, what is too much
/// is cut between two characters.
pub fn clean(text: &str, limit: usize) -> String {
    let mut cleaned = String::with_capacity(text.len().min(limit));
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if cleaned.len() + c.len_utf8() > limit {
            break;
        }
        cleaned.push(c);
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn a_text_is_one_line_of_whole_characters() {
        assert_eq!(clean("a\r\nb", 10), "a  b");
        assert_eq!(clean("ééé", 5), "éé");
    }
}

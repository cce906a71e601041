//! Enhanced status codes (RFC 3463) in the texts of tables, as Postfix has them: `5.1.2 this domain
//! has moved`.

/// The enhanced status code that a text begins with, if any, and the text after it.
pub fn split(text: &str) -> (Option<&str>, &str) {
    let text = text.trim_start();
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if is_status(first) { (Some(first), rest.trim_start()) } else { (None, text) }
}

/// The same status in the class of a reply code: `in_class("4.1.8", 550)` is `5.1.8`.
pub fn in_class(status: &str, code: u16) -> String {
    let detail = status.find('.').map_or(".0.0", |dot| &status[dot..]);
    format!("{}{detail}", code / 100)
}

/// `class.subject.detail`: 2, 4 or 5, and two numbers of one to three digits.
fn is_status(text: &str) -> bool {
    let number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut parts = text.split('.');
    matches!(parts.next(), Some("2" | "4" | "5"))
        && parts.next().is_some_and(number)
        && parts.next().is_some_and(number)
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::{in_class, split};

    #[test]
    fn a_status_is_told_from_text() {
        assert_eq!(split("5.1.2 this domain has moved"), (Some("5.1.2"), "this domain has moved"));
        assert_eq!(split("5.1.2"), (Some("5.1.2"), ""));
        assert_eq!(split("5.1 text"), (None, "5.1 text"));
        assert_eq!(split("192.0.2.1 text"), (None, "192.0.2.1 text"));
        assert_eq!(split(""), (None, ""));
        assert_eq!(in_class("4.1.8", 550), "5.1.8");
    }
}

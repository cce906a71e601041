//! What a plugin hands over is hostile input until it has passed here: addresses, replies, texts.

use facteur_smtp::{Address, EnhancedStatus, Reply, status};

use super::bindings::facteur::policy::types;

/// The longest reply text, in bytes.
pub(crate) const TEXT_LIMIT: usize = 512;
/// The longest log text, in bytes.
pub(crate) const LOG_TEXT: usize = 1024;

/// An answer that breaks the contract; the text says how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(pub String);

/// An address from a plugin, parsed and written anew. A bare name stays bare.
pub(crate) fn checked_address(raw: &types::Address) -> Result<Address, Broken> {
    let made = if raw.domain.is_empty() {
        Address::bare(&raw.local)
    } else {
        Address::new(&raw.local, &raw.domain)
    };
    made.map_err(|error| Broken(format!("an address that isn't one: {error}")))
}

/// A reply whose code lies in `codes`, whose enhanced code is of the same class, and whose text is
/// fit to be sent.
pub(crate) fn check_reply(
    raw: types::Reply,
    codes: std::ops::RangeInclusive<u16>,
) -> Result<Reply, Broken> {
    if !codes.contains(&raw.code) {
        return Err(Broken(format!(
            "reply code {} (expected {} to {})",
            raw.code,
            codes.start(),
            codes.end()
        )));
    }
    check_text(&raw.text, TEXT_LIMIT)?;
    let Some(status) = raw.status else {
        return Ok(Reply::new(raw.code, status::NOT_AUTHORIZED, raw.text));
    };
    let status: EnhancedStatus =
        status.parse().map_err(|_| Broken("an enhanced status code that isn't one".to_owned()))?;
    if u16::from(status.class) != raw.code / 100 {
        return Err(Broken(format!("status {status} with reply code {}", raw.code)));
    }
    Ok(Reply { code: raw.code, enhanced: Some(status), text: raw.text })
}

/// Printable, one line, not too long.
pub(crate) fn check_text(text: &str, limit: usize) -> Result<(), Broken> {
    if text.len() > limit {
        return Err(Broken(format!("a text of {} bytes (at most {limit})", text.len())));
    }
    if text.chars().any(char::is_control) {
        return Err(Broken("a text with control characters".to_owned()));
    }
    Ok(())
}

/// A guest's text for the log: one line, and not a long one.
pub(crate) fn printable(text: &str) -> String {
    let mut end = text.len().min(LOG_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_status_is_the_general_one() {
        let raw = types::Reply { code: 450, status: None, text: "later".into() };
        assert_eq!(check_reply(raw, 400..=499).unwrap().to_string(), "450 4.7.1 later");
    }
}

//! What a plugin hands over is hostile input until it has passed here: addresses and replies.

use facteur_smtp::{Address, EnhancedStatus, Reply, status};

use super::bindings::facteur::policy::types;
use super::text::{TEXT_LIMIT, line, lines};

/// An answer that breaks the contract; the text says how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(pub String);

/// An address from a plugin, parsed and written anew. A bare name stays bare.
pub(crate) fn checked_address(raw: &types::MailAddress) -> Result<Address, Broken> {
    let made = if raw.domain.is_empty() {
        Address::bare(&raw.local)
    } else {
        Address::new(&raw.local, &raw.domain)
    };
    made.map_err(|error| Broken(format!("an address that isn't one: {error}")))
}

/// The same where it is handed to a function, which says so.
pub(crate) fn address_or_error(raw: &types::MailAddress) -> Result<Address, types::Error> {
    checked_address(raw).map_err(|broken| types::Error::Invalid(broken.0))
}

impl From<&Address> for types::MailAddress {
    fn from(address: &Address) -> Self {
        Self { local: address.local().to_owned(), domain: address.domain().to_owned() }
    }
}

/// A reply whose code lies in `codes`, and whose enhanced code is of the same class. Its text is
/// cut and cleaned.
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
    let text = lines(&raw.text, TEXT_LIMIT);
    let Some(status) = raw.status else {
        return Ok(Reply::new(raw.code, status::NOT_AUTHORIZED, text));
    };
    let parsed: EnhancedStatus = status.parse().map_err(|_| {
        Broken(format!("{:?} is no enhanced status code, such as \"5.7.1\"", line(&status, 32)))
    })?;
    if u16::from(parsed.class) != raw.code / 100 {
        return Err(Broken(format!("status {parsed} with reply code {}", raw.code)));
    }
    Ok(Reply { code: raw.code, enhanced: Some(parsed), text })
}

impl From<&Reply> for types::Reply {
    fn from(reply: &Reply) -> Self {
        Self {
            code: reply.code,
            status: reply.enhanced.map(|status| status.to_string()),
            text: lines(&reply.text, TEXT_LIMIT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(code: u16, status: Option<&str>, text: &str) -> types::Reply {
        types::Reply { code, status: status.map(Into::into), text: text.into() }
    }

    #[test]
    fn a_missing_status_is_the_general_one() {
        let reply = check_reply(raw(450, None, "later"), 400..=499).unwrap();
        assert_eq!(reply.to_string(), "450 4.7.1 later");
    }

    #[test]
    fn a_text_of_a_stranger_is_cut_and_cleaned() {
        let helo = "x".repeat(600);
        let reply = check_reply(raw(550, None, &format!("{helo}: no")), 500..=599).unwrap();
        assert_eq!(reply.text, helo[..512]);
        let reply = check_reply(raw(550, None, "é\r\n250 ok\0"), 500..=599).unwrap();
        assert_eq!(reply.text, "é\n250 ok?");
        let reply = check_reply(raw(550, None, &"é".repeat(400)), 500..=599).unwrap();
        assert_eq!(reply.text, "é".repeat(256));
    }
}

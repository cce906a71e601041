//! The right-hand side of a transport(5) table: `transport:nexthop`.

use facteur_plugin::{Reply, status};

use crate::next_hop::NextHops;

/// What a table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// `:` — nothing special: as if no table had it.
    Default,
    /// `:nexthop` — the usual transport of its class, but there.
    To(NextHops),
    /// `smtp:` or `relay:`, with a next hop or to the recipient's own domain.
    Smtp(Option<NextHops>),
    /// `maildir:`, `local:`, `virtual:`
    Maildir,
    /// `discard:`
    Discard,
    /// `error:` (5yz) or `retry:` (4yz).
    Error(Reply),
}

/// What Postfix says where `error:` has no text.
const UNDELIVERABLE: &str = "Address is undeliverable";

impl Entry {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, naming it.
    pub fn parse(value: &str) -> Result<Self, String> {
        let value = value.trim();
        let (transport, rest) = value.split_once(':').unwrap_or((value, ""));
        let rest = rest.trim();
        let next_hop = || if rest.is_empty() { Ok(None) } else { NextHops::parse(rest).map(Some) };
        Ok(match transport {
            "" => next_hop()?.map_or(Self::Default, Self::To),
            "smtp" | "relay" => Self::Smtp(next_hop()?),
            "maildir" | "local" | "virtual" => Self::Maildir,
            "discard" => Self::Discard,
            // What a client hears from Postfix at RCPT: its own error agent would say 5.0.0 later.
            "error" => Self::Error(reply(550, "5.1.1", rest)),
            "retry" => Self::Error(reply(450, "4.0.0", rest)),
            other => {
                return Err(format!(
                    "there is no transport \"{other}\" (smtp, relay, maildir, discard, error, \
                     retry)"
                ));
            }
        })
    }
}

fn reply(code: u16, default: &str, text: &str) -> Reply {
    let (status, text) = status::split(text);
    let text = if text.is_empty() { UNDELIVERABLE } else { text };
    Reply::new(code, status::in_class(status.unwrap_or(default), code), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read() {
        let hop = |text: &str| NextHops::parse(text).ok();
        assert_eq!(Entry::parse(":"), Ok(Entry::Default));
        assert_eq!(Entry::parse(":[x.org]"), Ok(Entry::To(hop("[x.org]").unwrap())));
        assert_eq!(Entry::parse("smtp:"), Ok(Entry::Smtp(None)));
        assert_eq!(Entry::parse("smtp"), Ok(Entry::Smtp(None)));
        assert_eq!(Entry::parse("relay:[x.org]:26"), Ok(Entry::Smtp(hop("[x.org]:26"))));
        assert_eq!(Entry::parse("smtp:[::1]:26"), Ok(Entry::Smtp(hop("[::1]:26"))));
        assert_eq!(Entry::parse("local:"), Ok(Entry::Maildir));
        assert_eq!(Entry::parse("discard:because"), Ok(Entry::Discard));
    }

    #[test]
    fn errors_have_their_codes() {
        let error =
            |code, status: &str, text: &str| Ok(Entry::Error(Reply::new(code, status, text)));
        assert_eq!(
            Entry::parse("error:5.1.2 this domain has moved"),
            error(550, "5.1.2", "this domain has moved")
        );
        assert_eq!(Entry::parse("error:gone"), error(550, "5.1.1", "gone"));
        assert_eq!(Entry::parse("error:"), error(550, "5.1.1", UNDELIVERABLE));
        assert_eq!(Entry::parse("error:4.1.2 odd"), error(550, "5.1.2", "odd"));
        assert_eq!(Entry::parse("retry:4.3.0 soon: yes"), error(450, "4.3.0", "soon: yes"));
    }

    #[test]
    fn an_unknown_transport_is_named() {
        assert!(Entry::parse("lmtp:unix:x").unwrap_err().contains("\"lmtp\""));
        assert!(Entry::parse("smtp:[x").unwrap_err().contains("\"[x\""));
    }
}

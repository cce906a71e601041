//! The one form of a domain, and of the keys by which tables know names and addresses.
//!
//! Invariants: inside, a domain is lower-case and each label that has a U-label is one; [`ascii`]
//! gives the form with A-labels back, and [`normal`] of that is the domain again; [`key`] leaves
//! what is in this form as it is. All of it is composed (NFC), as domains are by IDNA. Labels are
//! judged one by one, so that a domain, its parents and what a table says of them always agree.
//! Does not know what a domain means.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use icu_normalizer::ComposingNormalizerBorrowed;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// Octets of a domain as ASCII (RFC 5321 4.5.3.1.2 says 255, RFC 1035 2.3.4 leaves 253 without the
/// root's dot).
pub const MAX_DOMAIN: usize = 253;
/// Octets of one label as ASCII (RFC 1035 2.3.4).
pub const MAX_LABEL: usize = 63;

/// What may not come out of the Unicode mapping of a label: every ASCII character but letters,
/// digits, `-`, `_`, `.`.
const NOT_IN_DOMAINS: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");
/// How an A-label begins (RFC 5890 2.3.2.1).
const PREFIX: &str = "xn--";

/// The one form of a domain or an address literal. None: it is neither.
pub(crate) fn normal(domain: &str) -> Option<Cow<'_, str>> {
    if let Some(literal) = domain.strip_prefix('[') {
        return literal.strip_suffix(']').and_then(normal_literal).map(Cow::Owned);
    }
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if domain.is_ascii() {
        return is_host_name(domain).then(|| domain_key(domain));
    }
    let mut unicode = String::with_capacity(domain.len());
    // The dots of UTS #46, section 4.
    for (number, label) in domain.split(['.', '。', '．', '｡']).enumerate() {
        if number > 0 {
            unicode.push('.');
        }
        if label.is_ascii() {
            unicode.push_str(&domain_key(label));
        } else {
            unicode.push_str(&to_unicode(label)?);
        }
    }
    let unicode = unicode.strip_suffix('.').unwrap_or(&unicode).to_owned();
    let ascii = ascii(&unicode);
    (ascii.is_ascii() && is_host_name(&ascii)).then_some(Cow::Owned(unicode))
}

/// The same domain with A-labels, as the DNS and servers without SMTPUTF8 know it. A label that has
/// no such form, which no domain of an address holds, stays as it is.
pub fn ascii(domain: &str) -> Cow<'_, str> {
    if domain.is_ascii() {
        return Cow::Borrowed(domain);
    }
    Cow::Owned(map_labels(domain, |label| {
        let uts46 = Uts46::new();
        uts46
            .to_ascii(label.as_bytes(), NOT_IN_DOMAINS, Hyphens::Allow, DnsLength::Ignore)
            .unwrap_or(Cow::Borrowed(label))
    }))
}

/// A name or an address (`user@domain`, `domain`, `.parent`, `user`) as it is compared with the
/// keys of tables: lower-case, composed, each A-label of a domain a U-label. A local part is never
/// decoded: `xn--…` there is a name like any other (RFC 6531 3.2). Borrowed where it is so already.
pub fn key(text: &str) -> Cow<'_, str> {
    // Nearly all keys, and each look-up makes one: what other characters need costs these nothing.
    if is_lower_ascii(text) && !text.contains(PREFIX) {
        return Cow::Borrowed(text);
    }
    let (local, domain) = text.split_at(text.rfind('@').map_or(0, |at| at + 1));
    match (local_key(local), domain_key(domain)) {
        (Cow::Borrowed(_), Cow::Borrowed(_)) => Cow::Borrowed(text),
        (local, domain) => Cow::Owned(format!("{local}{domain}")),
    }
}

/// A local part as it is compared: lower-case and composed (NFC). Borrowed where it is so already.
pub fn local_key(local: &str) -> Cow<'_, str> {
    if is_lower_ascii(local) {
        return Cow::Borrowed(local);
    }
    if local.is_ascii() {
        return Cow::Owned(local.to_ascii_lowercase());
    }
    // Without regard to what stands around it: a sigma has one lower case only, as in a domain.
    let lower: String = local.chars().flat_map(char::to_lowercase).collect();
    Cow::Owned(ComposingNormalizerBorrowed::new_nfc().normalize(&lower).into_owned())
}

fn is_lower_ascii(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
}

fn domain_key(domain: &str) -> Cow<'_, str> {
    let lower = local_key(domain);
    match decoded(&lower) {
        Some(decoded) => Cow::Owned(decoded),
        None => lower,
    }
}

/// A [`key`] with A-labels in the domain that it holds or is.
pub fn ascii_key(key: &str) -> Cow<'_, str> {
    match key.rsplit_once('@') {
        _ if key.is_ascii() => Cow::Borrowed(key),
        None => ascii(key),
        Some((local, domain)) => Cow::Owned(format!("{local}@{}", ascii(domain))),
    }
}

/// The text with U-labels, if there is an A-label in it. One that decodes to nothing stays as it
/// is: it is still a name that the DNS can be asked about.
fn decoded(text: &str) -> Option<String> {
    text.contains(PREFIX).then(|| {
        map_labels(text, |label| {
            let unicode = label.starts_with(PREFIX).then(|| to_unicode(label)).flatten();
            unicode.unwrap_or(Cow::Borrowed(label))
        })
    })
}

fn map_labels<'a>(text: &'a str, map: impl Fn(&'a str) -> Cow<'a, str>) -> String {
    let mut mapped = String::with_capacity(text.len() * 2);
    for piece in text.split_inclusive(['.', '@']) {
        let label = piece.strip_suffix(['.', '@']).unwrap_or(piece);
        mapped.push_str(&map(label));
        mapped.push_str(&piece[label.len()..]);
    }
    mapped
}

fn to_unicode(label: &str) -> Option<Cow<'_, str>> {
    let (unicode, valid) =
        Uts46::new().to_unicode(label.as_bytes(), NOT_IN_DOMAINS, Hyphens::Allow);
    valid.is_ok().then_some(unicode)
}

/// A domain in ASCII. As many Internet hosts do, `_` is taken; RFC 5321 has letters, digits and,
/// inside, hyphens. Digits and dots alone are an IP address that lacks its brackets.
fn is_host_name(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let is_numeric = domain.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    domain.len() <= MAX_DOMAIN && !is_numeric && domain.split('.').all(is_label)
}

/// An address literal without its brackets (RFC 5321 4.1.3), in the one form its address has.
fn normal_literal(literal: &str) -> Option<String> {
    if let Ok(address) = literal.parse::<Ipv4Addr>() {
        return Some(format!("[{address}]"));
    }
    let (tag, address) = literal.split_at_checked("IPv6:".len())?;
    let address = address.parse::<Ipv6Addr>().ok().filter(|_| tag.eq_ignore_ascii_case("IPv6:"))?;
    let mut text = String::new();
    write!(text, "[IPv6:{address}]").ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_form_whoever_writes_it() {
        for (written, one) in [
            ("XN--BCHER-KVA.test", "bücher.test"),
            ("BÜCHER.test", "bücher.test"),
            ("bücher.test", "bücher.test"),
            ("U@xn--bcher-kva.test", "u@bücher.test"),
            // A local part is no domain, whatever it looks like.
            ("xn--bcher-kva@xn--bcher-kva.test", "xn--bcher-kva@bücher.test"),
            ("\"a@xn--bcher-kva\"@x.test", "\"a@xn--bcher-kva\"@x.test"),
            // Composed, however it was typed.
            ("CAFE\u{301}@Bu\u{308}cher.test", "café@bücher.test"),
            ("cafe\u{301}", "café"),
            ("@xn--bcher-kva.xn--mnchen-3ya.test", "@bücher.münchen.test"),
            (".xn--bcher-kva.test", ".bücher.test"),
            // One label that decodes to nothing doesn't hide the others.
            ("xn--0.xn--bcher-kva.test", "xn--0.bücher.test"),
            // In a domain a sigma has no form of its own at the end.
            ("ΌΔΟΣ", "όδοσ"),
            ("Plain-key_1@x.test", "plain-key_1@x.test"),
            ("<>", "<>"),
            ("*", "*"),
            ("192.0.2.1", "192.0.2.1"),
            ("", ""),
        ] {
            assert_eq!(key(written), one, "{written}");
            assert_eq!(key(one), one);
        }
        assert!(matches!(key("user+x@example.org"), Cow::Borrowed(_)));
    }

    #[test]
    fn an_a_label_is_never_a_plain_name_in_disguise() {
        for text in ["xn--root-.test", "xn--postmaster-", "xn--", "xn---"] {
            assert_eq!(key(text), text);
        }
    }

    #[test]
    fn the_ascii_form_leads_back() {
        for domain in ["bücher.test", "xn--0.bücher.test", "1host.אב", "日本.jp", "faß.de"] {
            let one = normal(domain).unwrap();
            assert_eq!(one, domain);
            assert!(ascii(&one).is_ascii(), "{domain}");
            assert_eq!(normal(&ascii(&one)).unwrap(), domain);
        }
        assert_eq!(ascii_key("rené@bücher.test"), "rené@xn--bcher-kva.test");
        assert_eq!(ascii_key(".bücher.test"), ".xn--bcher-kva.test");
    }

    #[test]
    fn all_the_dots_of_unicode_part_labels() {
        assert_eq!(normal("bücher。test．org｡").unwrap(), "bücher.test.org");
        assert_eq!(normal("ＢＵ\u{308}ＣＨＥＲ.test").unwrap(), "bücher.test");
    }
}

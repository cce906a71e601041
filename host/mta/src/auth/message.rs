//! What clients say by PLAIN (RFC 4616), OAUTHBEARER (RFC 7628) and XOAUTH2, parted.
//!
//! Invariant: whatever the octets, a message is read or it isn't; nothing of it is shown.

use zeroize::Zeroizing;

/// A name and what proves it.
pub(super) struct Plain {
    /// Whom it wants to act for; empty: itself.
    pub(super) authorization: String,
    pub(super) name: String,
    pub(super) password: Zeroizing<String>,
}

/// PLAIN's only message: three parts, the first of which may be empty.
pub(super) fn plain(message: &[u8]) -> Option<Plain> {
    let mut parts = message.split(|octet| *octet == 0);
    let (authorization, name, password) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some(Plain {
        authorization: text(authorization)?,
        name: text(name)?,
        password: password_of(password)?,
    })
}

/// A password that came alone. One with a NUL is none (RFC 4616 section 2).
pub(super) fn password_of(octets: &[u8]) -> Option<Zeroizing<String>> {
    let there = !octets.is_empty() && !octets.contains(&0);
    text(octets).filter(|_| there).map(Zeroizing::new)
}

pub(super) fn text(octets: &[u8]) -> Option<String> {
    std::str::from_utf8(octets).ok().map(str::to_owned)
}

/// A bearer token.
pub(super) struct Bearer {
    /// Whom it wants to act for; empty: the token says.
    pub(super) authorization: String,
    pub(super) token: Zeroizing<String>,
}

/// OAUTHBEARER's first message: `n,a=user,^Ahost=…^Aport=…^Aauth=Bearer TOKEN^A^A`.
pub(super) fn oauth_bearer(message: &[u8]) -> Option<Bearer> {
    let message = std::str::from_utf8(message).ok()?;
    let (header, pairs) = message.split_once('\x01')?;
    let (flag, authorization) = header.strip_suffix(',')?.split_once(',')?;
    // There is no channel binding in it.
    if !matches!(flag, "n" | "y") {
        return None;
    }
    let authorization = match authorization.strip_prefix("a=") {
        Some(name) => name.replace("=2C", ",").replace("=3D", "="),
        None if authorization.is_empty() => String::new(),
        None => return None,
    };
    Some(Bearer { authorization, token: token(pairs)? })
}

/// XOAUTH2's only message: `user=USER^Aauth=Bearer TOKEN^A^A`.
pub(super) fn xoauth2(message: &[u8]) -> Option<Bearer> {
    let message = std::str::from_utf8(message).ok()?;
    let (user, pairs) = message.split_once('\x01')?;
    Some(Bearer { authorization: user.strip_prefix("user=")?.to_owned(), token: token(pairs)? })
}

/// The token among pairs that end with an empty one.
fn token(pairs: &str) -> Option<Zeroizing<String>> {
    let pairs = pairs.strip_suffix("\x01\x01")?;
    let value = pairs.split('\x01').find_map(|pair| pair.strip_prefix("auth="))?;
    let (scheme, token) = value.split_once(' ')?;
    let right = scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty();
    right.then(|| Zeroizing::new(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_octets_are_a_message_or_none(
            parts in prop::collection::vec(
                prop_oneof![
                    prop::sample::select(vec![
                        "\0", "n,", "n,,", "a=", "\x01", "auth=", "Bearer ", "user=", "=2C",
                        "\u{e9}",
                    ]).prop_map(|text| text.as_bytes().to_vec()),
                    prop::collection::vec(any::<u8>(), 0..4),
                ],
                0..12,
            ),
        ) {
            let message = parts.concat();
            for bearer in [oauth_bearer(&message), xoauth2(&message)].into_iter().flatten() {
                prop_assert!(!bearer.token.is_empty() && !bearer.token.contains('\x01'));
            }
            if let Some(read) = plain(&message) {
                let again = [&read.authorization, "\0", &read.name, "\0", &read.password].concat();
                prop_assert_eq!(again.as_bytes(), &message[..]);
            }
        }
    }

    #[test]
    fn plain_has_three_parts() {
        let read = |message: &[u8]| {
            plain(message).map(|it| (it.authorization, it.name, it.password.to_string()))
        };
        let owned = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(read(b"\0tim\0tanstaaf"), owned("", "tim", "tanstaaf"));
        assert_eq!(read(b"Ursel\0Kurt\0xipj3plmq"), owned("Ursel", "Kurt", "xipj3plmq"));
        for wrong in [
            &b""[..],
            b"\0",
            b"tim\0",
            b"\0tim\0",
            b"tim",
            b"\0tim\0a\0",
            b"\0tim\0a\0b",
            b"\0\xff\0a",
            b"\0tim\0\xff",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn tokens_stand_among_other_things() {
        let oauth = |text: &str| {
            oauth_bearer(text.as_bytes()).map(|it| (it.authorization, it.token.to_string()))
        };
        let read =
            oauth("n,a=user@example.com,\x01host=h\x01port=587\x01auth=Bearer vF9dft4\x01\x01");
        assert_eq!(read, Some(("user@example.com".to_owned(), "vF9dft4".to_owned())));
        assert_eq!(oauth("n,,\x01auth=bearer x\x01\x01"), Some((String::new(), "x".to_owned())));
        let xoauth = |text: &str| {
            xoauth2(text.as_bytes()).map(|it| (it.authorization, it.token.to_string()))
        };
        let read = xoauth("user=u@x.test\x01auth=Bearer ya29\x01\x01");
        assert_eq!(read, Some(("u@x.test".to_owned(), "ya29".to_owned())));
        for wrong in [
            "",
            "\x01",
            "n,,\x01\x01",
            "n,,\x01auth=Bearer \x01\x01",
            "n,,\x01auth=Basic x\x01\x01",
            "p=tls-exporter,,\x01auth=Bearer x\x01\x01",
            "n,,\x01auth=Bearer x\x01",
            "n,,auth=Bearer x",
            "n,user,\x01auth=Bearer x\x01\x01",
            "user=u\x01\x01",
        ] {
            assert_eq!((oauth(wrong), xoauth(wrong)), (None, None), "{wrong:?}");
        }
    }
}

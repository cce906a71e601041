//! Encoded words (RFC 2047): what isn't ASCII in a header of a message that isn't SMTPUTF8.
//!
//! It knows no header of its own: words in addresses and comments are treated as in any text, which
//! is what readers do.

use encoding_rs::Encoding;

use super::folding::unfolded;

/// The longest encoded word (RFC 2047 section 2).
const WORD: usize = 75;
const BEGIN: &str = "=?UTF-8?B?";
const END: &str = "?=";
/// The bytes of text that fit into one word: base64 makes four of three.
const BYTES: usize = (WORD - BEGIN.len() - END.len()) / 4 * 3;
/// The longest word that is left as it is: a line of a message has at most 998 bytes (RFC 5322
/// section 2.1.1).
const PLAIN: usize = 900;

/// The text with everything encoded that a line can't hold as it is: what isn't ASCII, unless
/// `utf8`, and words without end.
pub(super) fn encode(text: &str, utf8: bool) -> String {
    let plain = |word: &str| (utf8 || word.is_ascii()) && word.len() <= PLAIN;
    if text.split(' ').all(plain) {
        return text.to_owned();
    }
    let words: Vec<&str> = text.split(' ').collect();
    let mut coded = vec![false; words.len()];
    // Readers drop the space between two encoded words: what stands before one goes into it.
    let mut follows = false;
    for (word, coded) in words.iter().zip(&mut coded).rev() {
        follows = if word.is_empty() { follows } else { !plain(word) };
        *coded = follows;
    }
    let mut encoded = String::with_capacity(text.len() * 2);
    let mut at = 0;
    for run in coded.chunk_by(|one, next| one == next) {
        if at > 0 {
            encoded.push(' ');
        }
        let text = words[at..at + run.len()].join(" ");
        if coded[at] {
            write(&mut encoded, &text);
        } else {
            encoded.push_str(&text);
        }
        at += run.len();
    }
    encoded
}

/// As many words as it takes, parted at characters.
fn write(encoded: &mut String, mut text: &str) {
    let mut first = true;
    while !text.is_empty() {
        let (part, rest) = text.split_at(text.floor_char_boundary(BYTES));
        if !std::mem::take(&mut first) {
            encoded.push(' ');
        }
        encoded.push_str(BEGIN);
        base64(encoded, part.as_bytes());
        encoded.push_str(END);
        text = rest;
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(encoded: &mut String, bytes: &[u8]) {
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| {
            bits << 8 | usize::from(group.get(at).copied().unwrap_or_default())
        });
        for digit in 0..4 {
            let known = digit <= group.len();
            encoded.push(if known { DIGITS[bits >> (18 - 6 * digit) & 63].into() } else { '=' });
        }
    }
}

/// The text that the bytes of a value mean: unfolded, with its encoded words decoded. What is no
/// text is replaced.
pub(crate) fn decode(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let text = unfolded(text.trim_matches([' ', '\t', '\r', '\n']));
    let mut decoded = String::with_capacity(text.len());
    let mut rest = &*text;
    // What was decoded just before, with nothing but space since: its charset and bytes, since a
    // character may be parted among words.
    let mut run: Option<(&'static Encoding, Vec<u8>)> = None;
    let flush = |decoded: &mut String, run: &mut Option<(&'static Encoding, Vec<u8>)>| {
        if let Some((charset, bytes)) = run.take() {
            decoded.push_str(&charset.decode_without_bom_handling(&bytes).0);
        }
    };
    while let Some(at) = rest.find("=?") {
        let (before, from) = rest.split_at(at);
        let Some((charset, bytes, length)) = word(from) else {
            flush(&mut decoded, &mut run);
            decoded.push_str(before);
            decoded.push_str("=?");
            rest = &from[2..];
            continue;
        };
        let blank = before.bytes().all(|byte| byte == b' ');
        match &mut run {
            Some((same, all)) if blank && *same == charset => all.extend(bytes),
            _ => {
                let follows = run.is_some() && blank;
                flush(&mut decoded, &mut run);
                if !follows {
                    decoded.push_str(before);
                }
                run = Some((charset, bytes));
            }
        }
        rest = &from[length..];
    }
    flush(&mut decoded, &mut run);
    decoded.push_str(rest);
    decoded
}

/// The encoded word at the beginning: its charset, its bytes, and its length.
fn word(text: &str) -> Option<(&'static Encoding, Vec<u8>, usize)> {
    let inner = text.strip_prefix("=?")?;
    let (charset, after) = inner.split_once('?')?;
    let (encoding, after) = after.split_once('?')?;
    let (content, after) = after.split_once(END)?;
    if charset.is_empty() || inner[..inner.len() - after.len()].contains(' ') {
        return None;
    }
    // A language may follow the charset (RFC 2231 section 5).
    let charset = charset.split_once('*').map_or(charset, |(charset, _)| charset);
    let charset = Encoding::for_label(charset.as_bytes())?;
    let bytes = match encoding {
        "B" | "b" => unbase64(content)?,
        "Q" | "q" => unquoted(content)?,
        _ => return None,
    };
    Some((charset, bytes, text.len() - after.len()))
}

fn unbase64(content: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(content.len() / 4 * 3);
    let (mut bits, mut known) = (0_u32, 0);
    for digit in content.trim_end_matches('=').bytes() {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        known += 6;
        if known >= 8 {
            known -= 8;
            bytes.push((bits >> known & 0xff) as u8);
        }
    }
    Some(bytes)
}

fn unquoted(content: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(content.len());
    let mut rest = content.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        bytes.push(match byte {
            b'_' => b' ',
            b'=' => {
                let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok())?;
                rest = &after[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            byte => *byte,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ascii_stays_as_it_is() {
        for text in ["", "a", "a  b ", "=?utf-8?q?x?= is copied"] {
            assert_eq!(encode(text, false), text);
        }
        assert_eq!(encode("né à Brest", true), "né à Brest");
    }

    #[test]
    fn words_are_encoded_and_come_back() {
        assert_eq!(encode("un café", false), "un =?UTF-8?B?Y2Fmw6k=?=");
        for text in [
            "un café",
            "né à Brest",
            "é a é",
            "é  é",
            "  é ",
            "日本語のとても長い件名がここにあってひとつの語に収まりません",
            &"é".repeat(2_000),
            &"x".repeat(5_000),
            &format!("{} end", "é a ".repeat(100)),
        ] {
            let encoded = encode(text, false);
            assert!(encoded.is_ascii());
            for word in encoded.split(' ') {
                assert!(word.len() <= WORD || !word.starts_with("=?"), "{word}");
            }
            assert_eq!(decode(encoded.as_bytes()).trim(), text.trim(), "{encoded}");
        }
    }

    #[test]
    fn words_of_any_charset_are_decoded() {
        for (value, text) in [
            ("=?iso-8859-1?q?caf=E9_noir?=", "café noir"),
            ("=?ISO-8859-15?B?pA==?=", "€"),
            ("=?utf-8?q?a?= =?utf-8?q?b?=\r\n =?utf-8*fr?Q?c?=", "abc"),
            ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
            // A character in two words: wrong, and everywhere.
            ("=?utf-8?b?w6=?= =?utf-8?b?qQ==?=", "é"),
            ("=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
            ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
            ("a\r\n\tb", "a b"),
            (
                "=?unknown?q?x?= =?utf-8?z?x?= =?utf-8?q?=4?= =?",
                "=?unknown?q?x?= =?utf-8?z?x?= =?utf-8?q?=4?= =?",
            ),
            ("=?utf-8?q?a b?=", "=?utf-8?q?a b?="),
            ("(=?utf-8?q?a?=)", "(a)"),
        ] {
            assert_eq!(decode(value.as_bytes()), text, "{value}");
        }
        assert_eq!(decode(b"caf\xe9"), "caf\u{fffd}");
    }
}

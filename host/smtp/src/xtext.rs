//! xtext, the encoding of DSN parameter values (RFC 3461 section 4), and of what XCLIENT says.

use std::fmt::Write as _;

/// Encodes: octets outside `!` to `~`, and `+` and `=`, become `+XX`.
pub(crate) fn encode(text: &str, output: &mut String) {
    for byte in text.bytes() {
        if matches!(byte, b'!'..=b'~') && byte != b'+' && byte != b'=' {
            output.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(output, "+{byte:02X}");
        }
    }
}

/// Decodes; None where the encoding is broken, or what it hides isn't printable UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let decoded = String::from_utf8(octets(text)?).ok();
    decoded.filter(|text| !text.chars().any(char::is_control))
}

/// Decodes, whatever it hides; None where the encoding is broken.
pub(crate) fn octets(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => {
                let (high, low) = (bytes.next()?, bytes.next()?);
                hex(high)? << 4 | hex(low)?
            }
            other => other,
        });
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn encodes_what_a_parameter_cannot_hold() {
        let mut encoded = String::new();
        encode("a+b=c d", &mut encoded);
        assert_eq!(encoded, "a+2Bb+3Dc+20d");
        assert_eq!(decode(&encoded).as_deref(), Some("a+b=c d"));
    }

    #[test]
    fn broken_or_unprintable_is_none() {
        for text in ["+", "+2", "+zz", "+0D+0A", "+FF"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}

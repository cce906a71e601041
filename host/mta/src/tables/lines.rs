//! The lines of Postfix's text formats: logical lines, comments, continuation.
//!
//! A line that begins with white space continues the one before it. Empty lines, and lines whose
//! first visible character is "#", are skipped wherever they stand, also inside a logical line
//! (postmap(1)). Numbers count from 1.

use std::borrow::Cow;

/// Something about a line. Line 0: about the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub line: usize,
    pub reason: String,
}

/// What a parser has to say about a file: faults, which break the table, and warnings, which don't.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    pub faults: Vec<Fault>,
    pub warnings: Vec<Fault>,
}

impl Remarks {
    pub(super) fn fault(&mut self, line: usize, reason: impl Into<String>) {
        self.faults.push(Fault { line, reason: reason.into() });
    }

    pub(super) fn warning(&mut self, line: usize, reason: impl Into<String>) {
        self.warnings.push(Fault { line, reason: reason.into() });
    }
}

/// Calls `each` with the number of the first line and the text of every logical line.
pub(super) fn logical_lines(
    bytes: &[u8],
    remarks: &mut Remarks,
    mut each: impl FnMut(&mut Remarks, usize, &str),
) {
    // An editor's byte order mark is not part of the first key.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut logical: Option<(usize, Cow<'_, str>)> = None;
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        // Comments may be in any encoding: nobody reads them.
        if matches!(line.trim_ascii_start(), [] | [b'#', ..]) {
            continue;
        }
        let Ok(line) = std::str::from_utf8(line.trim_ascii_end()) else {
            remarks.fault(number, "not UTF-8 text: convert the file, for example with iconv");
            continue;
        };
        if line.contains('\0') {
            remarks.fault(number, "a NUL byte: the file is damaged");
            continue;
        }
        if !line.starts_with(|c: char| c.is_ascii_whitespace()) {
            if let Some((number, text)) = logical.replace((number, Cow::Borrowed(line))) {
                each(remarks, number, &text);
            }
        } else if let Some((_, text)) = &mut logical {
            text.to_mut().push_str(line);
        } else {
            remarks.fault(
                number,
                "begins with white space, and there is no line before it that it could continue",
            );
        }
    }
    if let Some((number, text)) = logical {
        each(remarks, number, &text);
    }
}

/// Splits before the first of some characters that is outside double quotes; a backslash takes the
/// next character's meaning away. `Err` where a quotation mark isn't closed.
pub(super) fn split_unquoted(
    text: &str,
    ends: impl Fn(char) -> bool,
) -> Result<(&str, Option<&str>), ()> {
    let mut quoted = false;
    let mut characters = text.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '"' => quoted = !quoted,
            _ if !quoted && ends(character) => {
                return Ok((&text[..position], Some(&text[position..])));
            }
            _ => {}
        }
    }
    if quoted { Err(()) } else { Ok((text, None)) }
}

/// A key as it is compared: in its one form ([`facteur_smtp::key`]), and without the quotes around
/// a local part, since addresses are looked up in their unquoted form.
pub(super) fn key(text: &str) -> Cow<'_, str> {
    if !text.contains('"') {
        return facteur_smtp::key(text);
    }
    let mut unquoted = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {}
            '\\' => unquoted.extend(characters.next()),
            _ => unquoted.push(character),
        }
    }
    Cow::Owned(facteur_smtp::key(&unquoted).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> (Vec<(usize, String)>, Vec<usize>) {
        let mut remarks = Remarks::default();
        let mut lines = Vec::new();
        logical_lines(bytes, &mut remarks, |_, number, text| lines.push((number, text.to_owned())));
        (lines, remarks.faults.iter().map(|fault| fault.line).collect())
    }

    #[test]
    fn white_space_continues_and_comments_are_skipped() {
        let (lines, faults) =
            lines(b"# c\n\na: b,\n\tc,\n# in between\n  # and this\n\n  d  \r\ne: f");
        assert_eq!(lines, [(3, "a: b,\tc,  d".to_owned()), (9, "e: f".to_owned())]);
        assert_eq!(faults, [] as [usize; 0]);
    }

    #[test]
    fn what_is_no_text_is_a_fault_but_in_comments() {
        let (good, faults) = lines(b"  x\n# caf\xE9\ncaf\xE9 b\nn\0 c\nk v\n");
        assert_eq!(good, [(5, "k v".to_owned())]);
        assert_eq!(faults, [1, 3, 4]);
        assert_eq!(lines(b"\xEF\xBB\xBFk v").0, [(1, "k v".to_owned())]);
        assert_eq!(lines(b"").0, []);
    }

    #[test]
    fn quotes_keep_separators_and_leave_keys() {
        let space = |c: char| c.is_whitespace();
        assert_eq!(split_unquoted("\"a b\"@c d", space), Ok(("\"a b\"@c", Some(" d"))));
        assert_eq!(split_unquoted("\"a\\\" b\"@c d", space), Ok(("\"a\\\" b\"@c", Some(" d"))));
        assert_eq!(split_unquoted("\"a b", space), Err(()));
        assert_eq!(key("\"Jean du \\\"BDE\"@X.fr"), "jean du \"bde@x.fr");
        assert_eq!(key("É@x"), "é@x");
    }
}

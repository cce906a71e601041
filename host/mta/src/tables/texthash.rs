//! Text maps as postmap(1) reads them: a key, white space, and the rest of the line as its value.
//!
//! A line without a value breaks the table (postmap only warns): it is what a file looks like while
//! it is written. A key that comes twice is worth a warning, and its first value stays, as in
//! Postfix.

use super::index::Index;
use super::lines::{Remarks, key, logical_lines, split_unquoted};

pub(super) fn parse(bytes: &[u8], remarks: &mut Remarks) -> Index {
    let mut index = Index::new();
    logical_lines(bytes, remarks, |remarks, line, text| {
        let Ok((name, rest)) = split_unquoted(text, |c| c.is_ascii_whitespace()) else {
            return remarks.fault(line, "a quotation mark isn't closed");
        };
        let Some(value) = rest.map(str::trim) else {
            return remarks.fault(
                line,
                format!("\"{name}\" has no value: write a key, white space and a value"),
            );
        };
        if name.ends_with(':') {
            remarks.warning(
                line,
                format!("the key \"{name}\" ends in a colon: is this an aliases file?"),
            );
        }
        insert(&mut index, remarks, line, name, value);
    });
    index.shrink();
    index
}

/// Adds an entry to an index that is read from a file.
pub(super) fn insert(
    index: &mut Index,
    remarks: &mut Remarks,
    line: usize,
    name: &str,
    value: &str,
) {
    let name = key(name);
    if !index.insert(&name, value) {
        remarks.warning(line, format!("\"{name}\" was there before: this line has no effect"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_postmap_reads_it() {
        let mut remarks = Remarks::default();
        let text = b"# comment\nPrez@Elfic.net\tpresident@student.ecp.fr\n\
            contact@elfic.net  prez@elfic.net,\n   tresorier@elfic.net\n\
            \"jean du bde\"@x.fr  louen  \nprez@elfic.net second\nkey: value\n";
        let index = parse(text, &mut remarks);
        assert_eq!(index.get("prez@elfic.net"), Some("president@student.ecp.fr"));
        assert_eq!(index.get("contact@elfic.net"), Some("prez@elfic.net,   tresorier@elfic.net"));
        assert_eq!(index.get("jean du bde@x.fr"), Some("louen"));
        assert!(remarks.faults.is_empty());
        assert_eq!(remarks.warnings.iter().map(|warning| warning.line).collect::<Vec<_>>(), [6, 7]);
    }

    #[test]
    fn half_a_line_breaks_the_table() {
        let mut remarks = Remarks::default();
        parse(b"a b\nc\n\"d e\n", &mut remarks);
        assert_eq!(remarks.faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(
            remarks.faults[0].reason,
            "\"c\" has no value: write a key, white space and a value"
        );
    }
}

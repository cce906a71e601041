//! `regexp_table`(5): POSIX extended regular expressions between delimiters, and results in which
//! `$1`, `${1}`, `$(1)` stand for what the groups matched and `$$` for a dollar.
//!
//! Case doesn't count unless the flag `i` says so. The expressions run in linear time, so that no
//! key can stall the table; what can't be done that way (back-references) is an error, as are basic
//! expressions (the flag `x`).

use regex::{Regex, RegexBuilder};

use super::lines::Remarks;
use super::patterns::Rules;

/// A table of expressions.
#[derive(Debug)]
pub(super) struct Regexp(Rules<Regex, Template>);

/// A result: pieces that are text, or what a group matched.
#[derive(Debug)]
struct Template(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Group(usize),
}

impl Regexp {
    pub(super) fn parse(bytes: &[u8], remarks: &mut Remarks) -> Self {
        Self(Rules::parse(bytes, remarks, pattern, |regex, negated, text| {
            let groups = if negated { 0 } else { regex.captures_len() - 1 };
            template(text, groups)
        }))
    }

    /// What the first rule says that matches the key in any of its forms: as it is asked, with
    /// U-labels, with A-labels. So a rule means the domain, however it is written, and `!` that no
    /// form matches.
    pub(super) fn find(&self, key: &str) -> Option<String> {
        let unicode = facteur_smtp::key(key);
        let ascii = facteur_smtp::ascii_key(&unicode);
        let all = [key, &*unicode, &*ascii];
        // Nearly every key has one form but for its case, which no pattern need be shown twice.
        let forms = if unicode == ascii { &all[..1] } else { &all[..] };
        let matches = |regex: &Regex| forms.iter().copied().find(|form| regex.is_match(form));
        let (regex, Template(pieces)) = self.0.first(|regex| matches(regex).is_some())?;
        if let [Piece::Text(text)] = &pieces[..] {
            return Some(text.clone());
        }
        let groups = matches(regex).and_then(|form| regex.captures(form));
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            // A group that took no part in the match is empty.
            Piece::Group(n) => groups
                .as_ref()
                .and_then(|groups| groups.get(*n))
                .map_or("", |m| m.as_str())
                .to_owned(),
        };
        Some(pieces.iter().map(piece).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Takes `/expression/flags` off the front of a line; any other punctuation may stand in place of
/// the slashes.
fn pattern(text: &str) -> Result<(Regex, &str), String> {
    let delimiter = text.chars().next().filter(|c| c.is_ascii_punctuation() && *c != '\\');
    let delimiter =
        delimiter.ok_or("a rule begins with /expression/, !/expression/, `if` or `endif`")?;
    let body = &text[1..];
    let mut escaped = false;
    let end = body.find(|c| {
        let ends = c == delimiter && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let end = end.ok_or_else(|| format!("the expression has no closing {delimiter}"))?;
    let (expression, rest) = (&body[..end], &body[end + 1..]);
    let flags = &rest[..rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len())];
    let (mut ignore_case, mut lines, mut extended) = (true, false, true);
    for flag in flags.chars() {
        let toggled = match flag {
            'i' => &mut ignore_case,
            'm' => &mut lines,
            'x' => &mut extended,
            _ => {
                return Err(format!(
                    "unknown flag \"{flag}\": i, m and x are known; put white space before the \
                     result"
                ));
            }
        };
        *toggled = !*toggled;
    }
    if !extended {
        return Err(
            "basic expressions can't be used: take the flag x away and write an extended one"
                .into(),
        );
    }
    let regex = RegexBuilder::new(&from_posix(expression)?)
        .case_insensitive(ignore_case)
        .multi_line(lines)
        .dot_matches_new_line(!lines)
        .build()
        .map_err(|error| wording(&error))?;
    Ok((regex, &rest[flags.len()..]))
}

/// The last line of what the regex crate says: the others draw the expression.
fn wording(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    format!("the expression can't be used: {}", last.trim_start_matches("error: "))
}

/// The expression in the words of the regex crate: they differ inside brackets, where POSIX knows
/// no escapes, no nested sets and no set operators.
fn from_posix(expression: &str) -> Result<String, String> {
    let mut written = String::with_capacity(expression.len());
    let mut rest = expression.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => match rest.next() {
                Some(digit @ '1'..='9') => {
                    return Err(format!("back-references such as \\{digit} can't be used"));
                }
                Some(escaped) => written.extend(['\\', escaped]),
                None => return Err("the expression ends in a backslash".into()),
            },
            '[' => {
                let length = bracket(rest.as_str(), &mut written)?;
                rest = rest.as_str()[length..].chars();
            }
            _ => written.push(character),
        }
    }
    Ok(written)
}

/// Writes a bracket expression, given what follows its `[`. The length of it in bytes, `]`
/// included.
fn bracket(text: &str, written: &mut String) -> Result<usize, String> {
    let unclosed = || "a [ in the expression has no closing ]".to_owned();
    let mut rest = text;
    written.push('[');
    if let Some(after) = rest.strip_prefix('^') {
        written.push('^');
        rest = after;
    }
    let literal = |written: &mut String, c: char| {
        if c.is_ascii_punctuation() {
            written.push('\\');
        }
        written.push(c);
    };
    // A ] that comes first is meant itself.
    let mut first = true;
    loop {
        let character = rest.chars().next().ok_or_else(unclosed)?;
        if character == ']' && !first {
            written.push(']');
            return Ok(text.len() - rest.len() + 1);
        }
        first = false;
        if let Some(class) = rest.strip_prefix("[:") {
            let end = class.find(":]").ok_or_else(unclosed)?;
            written.push_str(&rest[..end + "[::]".len()]);
            rest = &class[end + ":]".len()..];
            continue;
        }
        if rest.starts_with("[.") || rest.starts_with("[=") {
            return Err("collating elements ([. .] and [= =]) can't be used".into());
        }
        literal(written, character);
        rest = &rest[character.len_utf8()..];
        // A range, unless the - is the last.
        let mut ahead = rest.chars();
        if let (Some('-'), Some(to)) = (ahead.next(), ahead.next())
            && to != ']'
        {
            written.push('-');
            literal(written, to);
            rest = ahead.as_str();
        }
    }
}

/// Reads a result.
fn template(text: &str, groups: usize) -> Result<Template, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        plain.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            plain.push('$');
            rest = after;
            continue;
        }
        let (number, after) = group(after)
            .ok_or("a $ stands for a group: write $1, ${1} or $(1), and $$ for a dollar")?;
        if !(1..=groups).contains(&number) {
            let has = if groups == 0 { "no groups".to_owned() } else { format!("{groups} groups") };
            return Err(format!(
                "${number} is nothing: the expression has {has} (a negated one has none)"
            ));
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(Piece::Group(number));
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(Template(pieces))
}

/// The number of a group, and what follows it.
fn group(text: &str) -> Option<(usize, &str)> {
    for (open, close) in [('{', '}'), ('(', ')')] {
        if let Some(text) = text.strip_prefix(open) {
            let (number, rest) = text.split_once(close)?;
            return Some((number.parse().ok()?, rest));
        }
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Regexp {
        let mut remarks = Remarks::default();
        let table = Regexp::parse(text.as_bytes(), &mut remarks);
        assert!(remarks.faults.is_empty(), "{remarks:?}");
        table
    }

    fn fault(text: &str) -> String {
        let mut remarks = Remarks::default();
        Regexp::parse(text.as_bytes(), &mut remarks);
        assert_eq!(remarks.faults.len(), 1, "{remarks:?}");
        remarks.faults.remove(0).reason
    }

    #[test]
    fn groups_go_into_the_result() {
        let table = table(
            "/^(.*)-outgoing@(.*)$/ 550 Use $(1)@${2} instead, $$1\n\
             /@zephyr\\.via\\.ecp\\.fr$/\tadmin@via.ecp.fr\n\
             /^(a)|(b)$/ <$1$2>\n",
        );
        assert_eq!(
            table.find("list-outgoing@x.org").as_deref(),
            Some("550 Use list@x.org instead, $1")
        );
        assert_eq!(table.find("Root@ZEPHYR.via.ecp.fr").as_deref(), Some("admin@via.ecp.fr"));
        assert_eq!(table.find("b").as_deref(), Some("<b>"));
        assert_eq!(table.find("root@zephyrxvia.ecp.fr"), None);
    }

    #[test]
    fn flags_negation_and_guards() {
        let table = table(
            "/^Case$/i exact\n!/@/ no at\nif !/^owner-/\n/^(.*)@lists\\./ list $1\nendif\n%/path%  \
             other\n",
        );
        assert_eq!(table.find("Case").as_deref(), Some("exact"));
        assert_eq!(table.find("case").as_deref(), Some("no at"));
        assert_eq!(table.find("a@lists.org").as_deref(), Some("list a"));
        assert_eq!(table.find("owner-a@lists.org"), None);
        assert_eq!(table.find("x@y/path").as_deref(), Some("other"));
    }

    #[test]
    fn brackets_are_posix() {
        let table = table(
            "/^[]a]$/ first\n/^[\\.]$/ backslash is itself\n/^[[:digit:]a-c&&~~+-]+$/ set\n\
             /^[^[x]$/ not\n/^[+--]z$/ range\n",
        );
        assert_eq!(table.find("]").as_deref(), Some("first"));
        assert_eq!(table.find("\\").as_deref(), Some("backslash is itself"));
        assert_eq!(table.find("42b&~+-").as_deref(), Some("set"));
        assert_eq!(table.find("y").as_deref(), Some("not"));
        assert_eq!(table.find("["), None);
        assert_eq!(table.find(",z").as_deref(), Some("range"));
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        assert_eq!(fault("/(a)\\1/ x"), "back-references such as \\1 can't be used");
        assert_eq!(fault("/(a/ x"), "the expression can't be used: unclosed group");
        assert_eq!(fault("/[a/ x"), "a [ in the expression has no closing ]");
        assert_eq!(fault("/a"), "the expression has no closing /");
        assert_eq!(
            fault("/a/x b"),
            "basic expressions can't be used: take the flag x away and write an extended one"
        );
        assert!(fault("/a/q b").starts_with("unknown flag \"q\""));
        assert!(fault("/(a)/ $2").starts_with("$2 is nothing: the expression has 1 groups"));
        assert!(fault("!/(a)/ $1").starts_with("$1 is nothing: the expression has no groups"));
        assert!(fault("/a/ 5$ off").starts_with("a $ stands for a group"));
        assert!(fault("/a/").starts_with("there is no result"));
        assert!(fault("root x").starts_with("a rule begins with"));
    }
}

//! Tables of patterns, as `regexp_table`(5) and `cidr_table`(5) share them: rules in order, the
//! first match wins, `!` negates, `if` … `endif` guard the rules between them and may be nested.
//!
//! What a pattern and a result are is the format's own.

use super::lines::{Remarks, logical_lines};

/// How deep `if` may nest: far more than anyone can follow.
const MAX_DEPTH: usize = 32;

/// Rules in the order of the file.
#[derive(Debug)]
pub(super) struct Rules<P, R>(Vec<Rule<P, R>>);

#[derive(Debug)]
struct Rule<P, R> {
    pattern: P,
    negated: bool,
    then: Then<R>,
}

#[derive(Debug)]
enum Then<R> {
    Answer(R),
    /// Where it doesn't match, go on at this rule.
    OrElse(usize),
}

impl<P, R> Rules<P, R> {
    /// Reads a file. `pattern` takes a pattern off the front of a line, and `result` reads what is
    /// left of it; each says in words what is wrong otherwise.
    pub(super) fn parse(
        bytes: &[u8],
        remarks: &mut Remarks,
        pattern: impl Fn(&str) -> Result<(P, &str), String>,
        result: impl Fn(&P, bool, &str) -> Result<R, String>,
    ) -> Self {
        let mut rules: Vec<Rule<P, R>> = Vec::new();
        // The line and the rule of each `if` that is open; no rule where its pattern was faulty.
        let mut open: Vec<(usize, Option<usize>)> = Vec::new();
        logical_lines(bytes, remarks, |remarks, line, text| {
            if keyword(text, "endif").is_some() {
                match open.pop() {
                    None => remarks.fault(line, "`endif` without an `if` before it"),
                    Some((_, rule)) => {
                        let end = rules.len();
                        if let Some(rule) = rule.and_then(|rule| rules.get_mut(rule)) {
                            rule.then = Then::OrElse(end);
                        }
                    }
                }
                return;
            }
            let guard = keyword(text, "if");
            if guard.is_some() {
                open.push((line, None));
                if open.len() > MAX_DEPTH {
                    return remarks
                        .fault(line, format!("`if` is nested more than {MAX_DEPTH} deep"));
                }
            }
            let (negated, text) = negation(guard.unwrap_or(text));
            let (pattern, rest) = match pattern(text) {
                Ok((pattern, rest)) => (pattern, rest.trim()),
                Err(reason) => return remarks.fault(line, reason),
            };
            let then = match (guard, rest) {
                (Some(_), "") => Ok(Then::OrElse(0)),
                (Some(_), _) => Err(
                    "nothing may follow the pattern of an `if`: put the rule on a line of its own"
                        .into(),
                ),
                (None, "") => {
                    Err("there is no result: write a pattern, white space and a result".into())
                }
                (None, rest) => result(&pattern, negated, rest).map(Then::Answer),
            };
            match then {
                Err(reason) => remarks.fault(line, reason),
                Ok(then) => {
                    if let (Then::OrElse(_), Some((_, rule))) = (&then, open.last_mut()) {
                        *rule = Some(rules.len());
                    }
                    rules.push(Rule { pattern, negated, then });
                }
            }
        });
        for (line, _) in open {
            remarks.fault(line, "`if` without an `endif` after it");
        }
        rules.shrink_to_fit();
        Self(rules)
    }

    /// The first rule that matches.
    pub(super) fn first(&self, matches: impl Fn(&P) -> bool) -> Option<(&P, &R)> {
        let mut next = 0;
        while let Some(rule) = self.0.get(next) {
            let hit = matches(&rule.pattern) != rule.negated;
            next = match &rule.then {
                Then::Answer(result) if hit => return Some((&rule.pattern, result)),
                Then::OrElse(end) if !hit => *end,
                _ => next + 1,
            };
        }
        None
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// What follows a keyword, in any case, that stands alone.
fn keyword<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(word.len())?;
    (head.eq_ignore_ascii_case(word) && !rest.starts_with(char::is_alphanumeric))
        .then(|| rest.trim_start())
}

/// Takes the `!`s off; each turns the meaning round.
fn negation(mut text: &str) -> (bool, &str) {
    let mut negated = false;
    while let Some(rest) = text.strip_prefix('!') {
        negated = !negated;
        text = rest.trim_start();
    }
    (negated, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Result<(String, &str), String> {
        let (word, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
        if word.is_empty() { Err("no pattern".to_owned()) } else { Ok((word.to_owned(), rest)) }
    }

    /// A pattern is a word that the key must contain.
    fn rules(text: &str) -> (Rules<String, String>, Vec<usize>) {
        let mut remarks = Remarks::default();
        let rules =
            Rules::parse(text.as_bytes(), &mut remarks, word, |_, _, rest| Ok(rest.to_owned()));
        (rules, remarks.faults.iter().map(|fault| fault.line).collect())
    }

    #[test]
    fn guards_nest_and_negate() {
        let (rules, faults) =
            rules("if a\nif !b\nc 1\nendif\nb 2\nendif\nIF !a\n!d 3\nENDIF\nd 4\n");
        assert_eq!(faults, [] as [usize; 0]);
        let find = |key: &str| {
            rules.first(|word| key.contains(word.as_str())).map(|(_, result)| result.as_str())
        };
        assert_eq!(find("ac"), Some("1"));
        assert_eq!(find("abc"), Some("2"));
        assert_eq!(find("x"), Some("3"));
        assert_eq!(find("d"), Some("4"));
        assert_eq!(find("ad"), Some("4"));
        assert_eq!(find("a"), None);
    }

    #[test]
    fn what_is_not_closed_is_a_fault() {
        assert_eq!(rules("endif\nif a\nb\nb 1\nif c x\nendif\n").1, [1, 3, 5, 2]);
    }
}

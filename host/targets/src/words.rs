//! A command line as words, as a shell would split it, without a shell: quotes and backslashes
//! protect, nothing is expanded.

/// The words. None if a quote is not closed.
pub fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '"' => break,
                        '\\' => match characters.next()? {
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(characters.next()?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_are_a_shells() {
        let words = |line| split(line).unwrap();
        assert_eq!(words(" /bin/x  -a b "), ["/bin/x", "-a", "b"]);
        assert_eq!(
            words(r#"x 'a "b' "c 'd" e\ f "" g"h"i"#),
            ["x", "a \"b", "c 'd", "e f", "", "ghi"]
        );
        assert_eq!(words(r#""\"\n""#), ["\"\\n"]);
        assert_eq!(words("$HOME;rm `x`"), ["$HOME;rm", "`x`"]);
        assert_eq!(split("'open"), None);
        assert_eq!(split("open\\"), None);
    }
}

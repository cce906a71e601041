//! The lines of a list (`:include:`): one or several members each, parted by commas; lines that
//! begin with "#" are comments.
//!
//! A line with anything in it that can't be read is bad as a whole, since nobody knows who was
//! meant; the other lines stay good.

use facteur_targets::{Blanks, Target, parse};

/// What stands on a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// From 1.
    pub line: usize,
    /// One member, or what is wrong with the line.
    pub target: Result<Target, String>,
}

/// The members of all lines of the file.
pub(crate) fn members(lines: &[String]) -> Vec<Member> {
    let mut members = Vec::with_capacity(lines.len());
    for (text, line) in lines.iter().zip(1..) {
        let text = text.trim();
        if text.starts_with('#') {
            continue;
        }
        let unreadable = ['\0', char::REPLACEMENT_CHARACTER];
        let found: Result<Vec<Target>, String> = if text.contains(unreadable) {
            Err("not UTF-8 text".to_owned())
        } else {
            parse(text, Blanks::Join).into_iter().collect()
        };
        match found {
            Ok(found) => {
                members.extend(found.into_iter().map(|target| Member { line, target: Ok(target) }));
            }
            Err(why) => members.push(Member { line, target: Err(why) }),
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_wrong_is_bad_alone() {
        let lines = [
            "# one address a line",
            "louen",
            "",
            "  Alice <a@x.fr>, b@x.fr (Bob) ,",
            "\"jean, du bde\"@bde-ecp.com",
            "c@x.fr, not an address",
            "\"open",
            "caf\u{FFFD}@x.fr",
            ":include:/lists/more",
        ];
        let members = members(&lines.map(str::to_owned));
        let good: Vec<_> = members.iter().filter(|one| one.target.is_ok()).collect();
        assert_eq!(good.iter().map(|one| one.line).collect::<Vec<_>>(), [2, 4, 4, 5, 9]);
        let bad: Vec<_> = members.iter().filter(|one| one.target.is_err()).collect();
        assert_eq!(bad.iter().map(|one| one.line).collect::<Vec<_>>(), [6, 7, 8]);
        assert_eq!(good[4].target, Ok(Target::Include("/lists/more".into())));
    }
}

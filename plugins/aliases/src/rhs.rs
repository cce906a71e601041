//! The right-hand side of an alias: `louen, "jean du bde"@example.org, "|/bin/command with
//! arguments", :include:/path`.
//!
//! Items are parted by commas, addresses also by white space. Quotes and backslashes are RFC
//! 5322's: they protect what they hold and vanish. What an item is, its first character says; a
//! quoted `@` is part of the local part.

use facteur_plugin::{Address, Target};

use crate::words;

/// What stands on the right-hand side, in order.
///
/// # Errors
/// What is wrong with it, naming the item.
pub fn parse(text: &str) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    for item in items(text)? {
        targets.push(target(&item)?);
    }
    Ok(targets)
}

/// One item: its characters without quotes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Item {
    text: String,
    /// Where the last unquoted `@` is, in what can be an address.
    at: Option<usize>,
    /// It begins with an unquoted `|` or `:`, and is no address whatever follows.
    special: bool,
}

impl Item {
    fn push(&mut self, c: char) {
        self.special |= self.text.is_empty() && matches!(c, '|' | ':');
        if c == '@' && !self.special {
            self.at = Some(self.text.len());
        }
        self.text.push(c);
    }

    /// White space ends an address; in what is none it belongs to it: `|/bin/command argument`.
    fn takes_space(&self) -> bool {
        self.at.is_none() && self.text.starts_with(['|', '/', ':'])
    }

    fn end(&mut self, found: &mut Vec<Self>) {
        let item = std::mem::take(self);
        if !item.text.is_empty() {
            found.push(item);
        }
    }
}

fn items(text: &str) -> Result<Vec<Item>, String> {
    let mut found = Vec::new();
    // How many there were at the last comma: the words of a display name come after it.
    let mut before = 0;
    let mut item = Item::default();
    let mut characters = text.chars();
    let mut quoted = false;
    while let Some(c) = characters.next() {
        match c {
            '\\' => item.text.extend(characters.next()),
            '"' => quoted = !quoted,
            _ if quoted => item.text.push(c),
            ',' => {
                item.end(&mut found);
                before = found.len();
            }
            _ if c.is_ascii_whitespace() && item.takes_space() => item.text.push(' '),
            _ if c.is_ascii_whitespace() => item.end(&mut found),
            // `Name <address>`: the words before were no items.
            '<' if !item.special => {
                found.truncate(before);
                item = Item::default();
            }
            '>' if !item.special => {}
            c => item.push(c),
        }
    }
    if quoted {
        return Err(format!("a quote is not closed: {text}"));
    }
    item.end(&mut found);
    Ok(found)
}

fn target(item: &Item) -> Result<Target, String> {
    let text = item.text.trim_end();
    if let Some(at) = item.at {
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if local.is_empty() || domain.is_empty() {
            return Err(format!("not an address: {text}"));
        }
        return Ok(Target::Address(Address::new(local, domain.to_ascii_lowercase())));
    }
    if let Some(command) = text.strip_prefix('|') {
        let arguments = words::split(command)
            .ok_or_else(|| format!("a command with a quote that is not closed: {text}"))?;
        if arguments.is_empty() {
            return Err("an empty command".to_owned());
        }
        return Ok(Target::Command(arguments));
    }
    if text.starts_with('/') {
        return Ok(Target::File(text.to_owned()));
    }
    if let Some(tag) = text.get(..9)
        && tag.eq_ignore_ascii_case(":include:")
    {
        let path = text[9..].trim();
        if !path.starts_with('/') {
            return Err(format!("an include needs an absolute path: {text}"));
        }
        return Ok(Target::Include(path.to_owned()));
    }
    if text.starts_with(':') {
        return Err(format!("neither an address nor :include:/path: {text}"));
    }
    Ok(Target::Address(Address::new(text, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(local: &str, domain: &str) -> Target {
        Target::Address(Address::new(local, domain))
    }

    fn command(words: &[&str]) -> Target {
        Target::Command(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn the_site_is_read() {
        assert_eq!(parse("louen, admin").unwrap(), [address("louen", ""), address("admin", "")]);
        assert_eq!(
            parse("president, tresorier,\tsecretaire@student.ecp.fr").unwrap(),
            [
                address("president", ""),
                address("tresorier", ""),
                address("secretaire", "student.ecp.fr")
            ]
        );
        assert_eq!(
            parse("\"|/usr/local/bin/ticket\"").unwrap(),
            [command(&["/usr/local/bin/ticket"])]
        );
        assert_eq!(
            parse("/var/mail/archives").unwrap(),
            [Target::File("/var/mail/archives".into())]
        );
        assert_eq!(
            parse(":include:/etc/mail/annonces.list").unwrap(),
            [Target::Include("/etc/mail/annonces.list".into())]
        );
    }

    #[test]
    fn quotes_make_local_parts() {
        assert_eq!(
            parse("\"jean du bde\"@bde-ecp.com").unwrap(),
            [address("jean du bde", "bde-ecp.com")]
        );
        assert_eq!(parse("\"a@b\"@c.org, d").unwrap(), [address("a@b", "c.org"), address("d", "")]);
        assert_eq!(parse("\"a, b\"").unwrap(), [address("a, b", "")]);
        assert_eq!(parse("\\louen").unwrap(), [address("louen", "")]);
        assert_eq!(parse("\"say \\\"hi\\\"\"@x.org").unwrap(), [address("say \"hi\"", "x.org")]);
    }

    #[test]
    fn text_never_becomes_a_command_by_accident() {
        // A quoted | in an address is part of the local part, wherever it stands.
        assert_eq!(parse("\"|/bin/x\"@x.org").unwrap(), [address("|/bin/x", "x.org")]);
        assert_eq!(parse("a\"|b\"@x.org").unwrap(), [address("a|b", "x.org")]);
        assert_eq!(parse("/S=x/@x.org").unwrap(), [address("/S=x/", "x.org")]);
        // A command may have an @, quoted or not.
        assert_eq!(parse("\"|/bin/x -f a@b\"").unwrap(), [command(&["/bin/x", "-f", "a@b"])]);
        assert_eq!(
            parse("|/bin/x -f a@b, louen").unwrap(),
            [command(&["/bin/x", "-f", "a@b"]), address("louen", "")]
        );
        assert_eq!(parse("|\"/bin/x 'a b'\"").unwrap(), [command(&["/bin/x", "a b"])]);
    }

    #[test]
    fn names_and_spaces() {
        assert_eq!(parse("a b@x.org").unwrap(), [address("a", ""), address("b", "x.org")]);
        assert_eq!(
            parse("Jean du BDE <jean@x.org>, b").unwrap(),
            [address("jean", "x.org"), address("b", "")]
        );
        assert_eq!(
            parse("a, \"Du, Jean\" <jean@x.org>").unwrap(),
            [address("a", ""), address("jean", "x.org")]
        );
        assert_eq!(parse("User@EXAMPLE.org").unwrap(), [address("User", "example.org")]);
        assert_eq!(parse(" , ").unwrap(), []);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for text in ["\"open", "@x.org", "a@", ":include:list", ":fail: no", "|", "\"|/bin/x 'a\""]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

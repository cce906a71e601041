//! What an alias or a list stands for, as text: `louen, "jean du bde"@example.org,
//! "|/bin/command with arguments", :include:/path`.
//!
//! The tables of aliases, the plugin that asks them and the `:include:` files are all read by this
//! grammar. Items are parted by commas and semicolons. Quotes and backslashes are RFC 5322's: they
//! protect what they hold and vanish. Comments in parentheses and the display names before
//! `<address>` are left out, as is a source route. What an item is, its first character says; a
//! quoted `@` is part of the local part. An item that can't be understood is an error of its own,
//! and leaves the others as they are.
//!
//! It reads no file, and doesn't say whether an address is one in the sense of RFC 5321.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod words;

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A mail address, unquoted, its domain in lower case. A bare name has no domain.
    Address {
        /// Before the `@`.
        local: String,
        /// After it.
        domain: String,
    },
    /// A program and its arguments.
    Command(Vec<String>),
    /// A file to deliver to, by its absolute path.
    File(String),
    /// A list in a file, by its absolute path.
    Include(String),
}

/// What parts two addresses besides a comma or a semicolon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Blanks {
    /// White space does: the right-hand side of an alias.
    #[default]
    Part,
    /// Nothing: a line of a list, where two words that follow on each other are no address.
    Join,
}

/// The items in order; for one that can't be understood what is wrong, naming it.
pub fn parse(text: &str, blanks: Blanks) -> Vec<Result<Target, String>> {
    let mut reader = Reader { blanks, ..Reader::default() };
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        reader.take(c, &mut characters);
    }
    if reader.quoted || reader.comments > 0 || reader.angle {
        let open = if reader.quoted {
            "a quote"
        } else if reader.angle {
            "a \"<\""
        } else {
            "a comment"
        };
        reader.item.fault = Some(format!("{open} is not closed: {}", text.trim()));
    }
    reader.end();
    reader.found
}

/// One item: its characters without quotes.
#[derive(Debug, Default)]
struct Item {
    text: String,
    /// Where the last unquoted `@` is, in what can be an address.
    at: Option<usize>,
    /// It begins with an unquoted `|` or `:`, and is no address whatever follows.
    special: bool,
    /// A blank came after a word of it.
    ended: bool,
    fault: Option<String>,
}

impl Item {
    fn push(&mut self, c: char) {
        self.special |= self.text.is_empty() && matches!(c, '|' | ':');
        if c == '@' && !self.special {
            self.at = Some(self.text.len());
        }
        self.protected(c);
    }

    /// A character that quotes or a backslash take the meaning from.
    fn protected(&mut self, c: char) {
        if self.ended && !self.takes_space() {
            self.wrong("two words without a comma between them");
        }
        self.text.push(c);
    }

    fn wrong(&mut self, why: &str) {
        self.fault.get_or_insert_with(|| why.to_owned());
    }

    /// White space ends an address; in what is none it belongs to it: `|/bin/command argument`.
    fn takes_space(&self) -> bool {
        self.at.is_none() && self.text.starts_with(['|', '/', ':'])
    }

    fn target(self) -> Option<Result<Target, String>> {
        let text = self.text.trim_end();
        match self.fault {
            Some(fault) if text.is_empty() => Some(Err(fault)),
            Some(fault) => Some(Err(format!("{fault}: {text}"))),
            None if text.is_empty() => None,
            None => Some(target(text, self.at)),
        }
    }
}

#[derive(Default)]
struct Reader {
    blanks: Blanks,
    found: Vec<Result<Target, String>>,
    /// How many there were at the last comma: the words of a display name come after it.
    before: usize,
    item: Item,
    quoted: bool,
    /// How deep within comments.
    comments: usize,
    /// Within `<` and `>`.
    angle: bool,
}

impl Reader {
    fn take(&mut self, c: char, rest: &mut std::str::Chars<'_>) {
        let item = &mut self.item;
        match c {
            '\\' if self.comments > 0 => drop(rest.next()),
            '(' if self.comments > 0 => self.comments += 1,
            ')' if self.comments > 0 => self.comments -= 1,
            _ if self.comments > 0 => {}
            '\\' => rest.next().into_iter().for_each(|c| item.protected(c)),
            '"' => self.quoted = !self.quoted,
            _ if self.quoted => item.protected(c),
            // A source route (RFC 5322 section 4.4): `<@relay.test,@other.test:user@example.test>`.
            ':' if self.angle && item.text.starts_with('@') => *item = Item::default(),
            ',' if self.angle => item.push(c),
            ',' => self.part(),
            ';' if !item.takes_space() => self.part(),
            _ if c.is_ascii_whitespace() && item.takes_space() => item.text.push(' '),
            _ if c.is_ascii_whitespace() => self.blank(),
            _ if item.takes_space() => item.push(c),
            '(' => {
                self.comments = 1;
                self.blank();
            }
            // `Name <address>`: the words before were no items.
            '<' => {
                self.found.truncate(self.before);
                self.item = Item::default();
                self.angle = true;
            }
            '>' if self.angle => {
                self.angle = false;
                self.item.ended = true;
            }
            ')' | '>' | ':' if item.at.is_none() && !(c == ':' && item.text.is_empty()) => {
                item.push(c);
                item.wrong("not an address");
            }
            c => item.push(c),
        }
    }

    fn blank(&mut self) {
        if self.item.text.is_empty() {
            return;
        }
        match self.blanks {
            Blanks::Part if !self.angle => self.end(),
            _ => self.item.ended = true,
        }
    }

    fn part(&mut self) {
        self.end();
        self.before = self.found.len();
    }

    fn end(&mut self) {
        self.found.extend(std::mem::take(&mut self.item).target());
    }
}

fn target(text: &str, at: Option<usize>) -> Result<Target, String> {
    if let Some(at) = at {
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if local.is_empty() || domain.is_empty() {
            return Err(format!("not an address: {text}"));
        }
        return Ok(Target::Address {
            local: local.to_owned(),
            domain: domain.to_ascii_lowercase(),
        });
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
    Ok(Target::Address { local: text.to_owned(), domain: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(local: &str, domain: &str) -> Target {
        Target::Address { local: local.into(), domain: domain.into() }
    }

    fn command(words: &[&str]) -> Target {
        Target::Command(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// All of it is good.
    fn good(text: &str) -> Vec<Target> {
        parse(text, Blanks::Part).into_iter().map(|item| item.unwrap()).collect()
    }

    #[test]
    fn the_site_is_read() {
        assert_eq!(good("louen, admin"), [address("louen", ""), address("admin", "")]);
        assert_eq!(
            good("president, tresorier,\tsecretaire@student.ecp.fr"),
            [
                address("president", ""),
                address("tresorier", ""),
                address("secretaire", "student.ecp.fr")
            ]
        );
        assert_eq!(good("\"|/usr/local/bin/ticket\""), [command(&["/usr/local/bin/ticket"])]);
        assert_eq!(good("/var/mail/archives"), [Target::File("/var/mail/archives".into())]);
        assert_eq!(
            good(":include:/etc/mail/annonces.list"),
            [Target::Include("/etc/mail/annonces.list".into())]
        );
    }

    #[test]
    fn quotes_make_local_parts() {
        assert_eq!(good("\"jean du bde\"@bde-ecp.com"), [address("jean du bde", "bde-ecp.com")]);
        assert_eq!(good("\"a@b\"@c.org, d"), [address("a@b", "c.org"), address("d", "")]);
        assert_eq!(good("\"a, b\""), [address("a, b", "")]);
        assert_eq!(good("\\louen"), [address("louen", "")]);
        assert_eq!(good("\"say \\\"hi\\\"\"@x.org"), [address("say \"hi\"", "x.org")]);
    }

    #[test]
    fn text_never_becomes_a_command_by_accident() {
        // A quoted | in an address is part of the local part, wherever it stands.
        assert_eq!(good("\"|/bin/x\"@x.org"), [address("|/bin/x", "x.org")]);
        assert_eq!(good("a\"|b\"@x.org"), [address("a|b", "x.org")]);
        assert_eq!(good("/S=x/@x.org"), [address("/S=x/", "x.org")]);
        // A command may have an @, quoted or not.
        assert_eq!(good("\"|/bin/x -f a@b\""), [command(&["/bin/x", "-f", "a@b"])]);
        assert_eq!(
            good("|/bin/x -f a@b, louen"),
            [command(&["/bin/x", "-f", "a@b"]), address("louen", "")]
        );
        assert_eq!(good("|\"/bin/x 'a b'\""), [command(&["/bin/x", "a b"])]);
    }

    #[test]
    fn what_sendmail_and_postfix_take_is_taken() {
        let (bob, carol) = (address("bob", "x.org"), address("carol", ""));
        for text in [
            "Bob B. <bob@x.org>, carol",
            "\"B, Bob\" <bob@x.org>; carol",
            "bob@x.org (Bob (the builder)), carol",
            "(Bob) bob@x.org;carol;",
            "<bob@X.org>,, carol (Carol, \\) of (x))",
            "\\bob@x.org , \\carol",
            "<@relay.test,@other.test:bob@x.org>, carol",
            "Bob < bob@x.org >, carol",
        ] {
            for blanks in [Blanks::Part, Blanks::Join] {
                let found = parse(text, blanks);
                assert_eq!(found, [Ok(bob.clone()), Ok(carol.clone())], "{text}");
            }
        }
        assert_eq!(good("User@[IPv6:2001:db8::1]"), [address("User", "[ipv6:2001:db8::1]")]);
        assert_eq!(good(" , ; "), []);
        assert_eq!(good("|/bin/x a; b"), [command(&["/bin/x", "a;", "b"])]);
    }

    #[test]
    fn white_space_parts_addresses_in_aliases_and_never_in_lists() {
        assert_eq!(good("a b@x.org"), [address("a", ""), address("b", "x.org")]);
        for text in ["a b@x.org, c", "a \\b, c", "a \"b\", c"] {
            let found = parse(text, Blanks::Join);
            assert!(found[0].as_ref().is_err_and(|why| why.contains("without a comma")), "{text}");
            assert_eq!(found[1..], [Ok(address("c", ""))]);
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_fails_alone() {
        for text in [
            "@x.org",
            "a@",
            ":include:list",
            ":fail: no",
            "|",
            "\"|/bin/x 'a\"",
            "friends: a",
            "a)",
            "b>",
            "<",
            "<>@",
        ] {
            let found = parse(&format!("a, {text}"), Blanks::Part);
            assert_eq!(found[0], Ok(address("a", "")), "{text}");
            assert!(found[1..].iter().any(Result::is_err), "{text}: {found:?}");
        }
        let found = parse("a, a@, b", Blanks::Part);
        assert_eq!(found[1], Err("not an address: a@".to_owned()));
        assert_eq!(found[2], Ok(address("b", "")));
        for open in ["a, \"open", "a, b (open", "a, <open@x.org"] {
            let found = parse(open, Blanks::Join);
            assert_eq!(found[0], Ok(address("a", "")), "{open}");
            assert!(found[1].as_ref().is_err_and(|why| why.contains("not closed")), "{found:?}");
        }
    }
}

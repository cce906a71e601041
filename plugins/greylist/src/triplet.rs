//! What is remembered: a client's network, a sender and a recipient that came together.

use std::fmt;

use facteur_plugin::MailAddress;

/// One of them.
pub struct Triplet {
    /// The network of the client: a large site comes back from another host.
    pub network: String,
    /// None is the null sender.
    pub sender: Option<MailAddress>,
    pub recipient: MailAddress,
}

impl Triplet {
    /// The key under which it is remembered. No address has a line break, so that no two triplets
    /// share one.
    pub fn key(&self) -> String {
        let sender = self.sender.as_ref().map(steady).unwrap_or_default();
        format!("triplet\n{}\n{sender}\n{}", self.network, self.recipient).to_lowercase()
    }

    /// The key of its network, for all triplets together.
    pub fn network_key(&self) -> String {
        format!("network\n{}", self.network)
    }
}

/// A sender without what lists and bounces make anew for each message (VERP): no extension, and
/// each number in it is `#`.
fn steady(sender: &MailAddress) -> String {
    let user = sender.local.split_once('+').map_or(&*sender.local, |(user, _)| user);
    let mut text = String::new();
    for part in user.split_inclusive(|c: char| !is_word(c)) {
        let word = part.trim_end_matches(|c: char| !is_word(c));
        let number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        text.push_str(if number { "#" } else { word });
        text.push_str(&part[word.len()..]);
    }
    format!("{text}@{}", sender.domain)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl fmt::Display for Triplet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sender = self.sender.as_ref().map(ToString::to_string).unwrap_or_default();
        write!(f, "{} <{sender}> <{}>", self.network, self.recipient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sender: &str) -> String {
        let (local, domain) = sender.rsplit_once('@').unwrap();
        let sender = Some(MailAddress::new(local, domain));
        Triplet {
            network: "192.0.2.0/24".into(),
            sender,
            recipient: MailAddress::new("Me", "x.org"),
        }
        .key()
    }

    #[test]
    fn what_changes_with_each_message_makes_no_new_triplet() {
        assert_eq!(key("list-bounce-1234-me@y.org"), key("list-bounce-5-me@y.org"));
        assert_eq!(key("list+me=x.org@y.org"), key("list+you=x.org@y.org"));
        assert_eq!(key("42@y.org"), key("4711@y.org"));
        assert_eq!(key("A@y.org"), key("a@y.org"));
        assert_ne!(key("a1@y.org"), key("a2@y.org"));
        assert_ne!(key("a@y.org"), key("a@z.org"));
        assert_eq!(key("a-12@y.org"), "triplet\n192.0.2.0/24\na-#@y.org\nme@x.org");
    }
}

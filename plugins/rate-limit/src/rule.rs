//! One limit: by what, how many, in how much time, and what happens above it.

use facteur_plugin::counters::Bucket;
use facteur_plugin::{Period, Reply, Verdict};
use serde::{Deserialize, Serialize};

/// One of `[[plugin.settings.rules]]`.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// Whose bucket it is.
    pub key: Key,
    /// So many …
    pub limit: u32,
    /// … in so much time.
    pub per: Period,
    /// … of these.
    #[serde(default)]
    pub count: What,
    /// What happens above it.
    #[serde(default)]
    action: Action,
    /// What the client hears. None: the limit, and how long to wait.
    text: Option<String>,
    /// Tables of keys that aren't counted.
    #[serde(default)]
    pub exempt: Vec<String>,
    /// Whether trusted clients aren't counted.
    #[serde(default = "yes")]
    pub exempt_trusted: bool,
}

fn yes() -> bool {
    true
}

/// By what is counted.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    /// The client's address.
    Client,
    /// The client's network: /24, of IPv6 /64.
    ClientNetwork,
    /// The envelope sender; not the null one, which all bounces share.
    Sender,
    /// The domain of the envelope sender; not of the null one.
    SenderDomain,
    /// The recipient.
    Recipient,
    /// Who logged in.
    Login,
}

impl Key {
    /// As it is written in the settings.
    pub fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::ClientNetwork => "client-network",
            Self::Sender => "sender",
            Self::SenderDomain => "sender-domain",
            Self::Recipient => "recipient",
            Self::Login => "login",
        }
    }
}

/// What is counted.
#[derive(Serialize, Deserialize, Debug, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    #[default]
    Messages,
    Recipients,
}

#[derive(Serialize, Deserialize, Debug, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Action {
    #[default]
    Defer,
    Reject,
}

/// When it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Mail,
    Rcpt,
}

impl Rule {
    /// Messages are counted once, at MAIL; recipients, and messages for one recipient, at RCPT.
    pub fn moment(&self) -> Moment {
        if self.count == What::Recipients || self.key == Key::Recipient {
            Moment::Rcpt
        } else {
            Moment::Mail
        }
    }

    /// The bucket of each key.
    pub fn bucket(&self) -> Bucket {
        Bucket { size: self.limit, period: self.per.0 }
    }

    /// The name of the bucket in the store: two rules never share one.
    pub fn bucket_key(&self, number: usize, whom: &str) -> String {
        format!("{number}\n{}\n{whom}", self.key.word())
    }

    /// The limit in words: "100 messages in 1h".
    pub fn words(&self) -> String {
        let what = match self.count {
            What::Messages => "messages",
            What::Recipients => "recipients",
        };
        format!("{} {what} in {}", self.limit, self.per)
    }

    /// What whoever is over the limit hears; `wait` is in milliseconds.
    pub fn refusal(&self, whom: &str, wait: u64) -> Verdict {
        let told = match &self.text {
            Some(text) => text.replace("%s", &wait.div_ceil(1_000).to_string()),
            None => {
                format!("more than {}; try again in {} seconds", self.words(), wait.div_ceil(1_000))
            }
        };
        let told = format!("<{whom}>: Rate limit exceeded: {told}");
        match self.action {
            Action::Defer => Verdict::Defer(Reply::new(450, "4.7.1", told)),
            Action::Reject => Verdict::Reject(Reply::new(550, "5.7.1", told)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: &str) -> Rule {
        facteur_plugin::settings::parse(json).unwrap()
    }

    #[test]
    fn each_is_counted_when_it_is_known() {
        for (json, expected) in [
            (r#"{"key": "client", "limit": 1, "per": "1h"}"#, Moment::Mail),
            (r#"{"key": "login", "limit": 1, "per": "1h", "count": "recipients"}"#, Moment::Rcpt),
            (r#"{"key": "recipient", "limit": 1, "per": "1h"}"#, Moment::Rcpt),
        ] {
            assert_eq!(rule(json).moment(), expected, "{json}");
        }
    }

    #[test]
    fn whoever_is_over_hears_how_long_to_wait() {
        let deferred =
            rule(r#"{"key": "client", "limit": 100, "per": "1h"}"#).refusal("192.0.2.1", 35_001);
        let text = "<192.0.2.1>: Rate limit exceeded: more than 100 messages in 1h; try again in \
         36 seconds";
        assert_eq!(deferred, Verdict::Defer(Reply::new(450, "4.7.1", text)));
        let json = r#"{"key": "sender", "limit": 1, "per": "1d", "action": "reject", "text": "enough, wait %s s"}"#;
        let text = "<a@b.org>: Rate limit exceeded: enough, wait 1 s";
        assert_eq!(
            rule(json).refusal("a@b.org", 1),
            Verdict::Reject(Reply::new(550, "5.7.1", text))
        );
    }

    #[test]
    fn two_rules_have_two_buckets() {
        let rule = rule(r#"{"key": "client", "limit": 1, "per": "1h"}"#);
        assert_ne!(rule.bucket_key(0, "192.0.2.1"), rule.bucket_key(1, "192.0.2.1"));
    }
}

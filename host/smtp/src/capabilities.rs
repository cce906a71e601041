//! What a server offers in its answer to EHLO (RFC 5321 4.1.1.1).

use crate::reply::Reply;

/// The extensions that the client uses, and the server's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// What the server calls itself; one's own name here means that mail loops back.
    pub name: String,
    /// Answered EHLO, not only HELO.
    pub esmtp: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// SIZE (RFC 1870): the largest message in octets, 0 where it isn't said. None: not offered.
    pub size: Option<u64>,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// The mechanisms of AUTH (RFC 4954), in upper case.
    pub auth: Vec<String>,
}

impl Capabilities {
    /// From the positive reply to EHLO or HELO.
    pub(crate) fn parse(reply: &Reply, esmtp: bool) -> Self {
        let mut lines = reply.text.split('\n');
        let name = lines
            .next()
            .and_then(|line| line.split_ascii_whitespace().next())
            .unwrap_or("")
            .to_owned();
        let mut capabilities = Self { name, esmtp, ..Self::default() };
        for line in lines.filter(|_| esmtp) {
            let mut words = line.split_ascii_whitespace();
            match words.next().unwrap_or("").to_ascii_uppercase().as_str() {
                "PIPELINING" => capabilities.pipelining = true,
                "SIZE" => {
                    capabilities.size =
                        Some(words.next().and_then(|size| size.parse().ok()).unwrap_or(0));
                }
                "8BITMIME" => capabilities.eight_bit_mime = true,
                "SMTPUTF8" => capabilities.smtputf8 = true,
                "DSN" => capabilities.dsn = true,
                // Servers of another age write the first with `=`.
                word if word == "AUTH" || word.starts_with("AUTH=") => {
                    let first = word.strip_prefix("AUTH=").filter(|first| !first.is_empty());
                    let all = first.into_iter().chain(words).map(str::to_ascii_uppercase);
                    for mechanism in all {
                        if !capabilities.auth.contains(&mechanism) {
                            capabilities.auth.push(mechanism);
                        }
                    }
                }
                "STARTTLS" => capabilities.starttls = true,
                _ => {}
            }
        }
        capabilities
    }
}

//! The sum of what the lists say, and what follows from it.

use std::net::Ipv4Addr;

use facteur_plugin::{Error, Reply, Verdict, dns, text};

use crate::list::{List, Meaning};
use crate::settings::{OnFailure, Settings};
use crate::subject::Subject;

/// The longest reason that is told, in bytes: that of a reply is about this.
const REASON_LIMIT: usize = 500;

/// What the lists come to.
pub struct Judged {
    pub verdict: Verdict,
    /// For the operator.
    pub log: Vec<String>,
}

/// A list that warns.
struct Hit<'a> {
    list: &'a List,
    subject: &'a Subject,
    /// The name under which it is listed.
    name: String,
}

/// Asks each list about its subject. Once one gave no answer in time, none after it is asked: the
/// resolver waits for most of what the host gives a question to a plugin, so that two such lists
/// would make the whole plugin fail.
pub fn judge(settings: &Settings, asked: &[(Subject, &[List])]) -> Judged {
    let mut log = Vec::new();
    let mut score = 0_i32;
    let mut heaviest: Option<Hit<'_>> = None;
    // What the lists that failed might have added.
    let mut missing = 0_i32;
    let mut late = false;
    for (subject, lists) in asked {
        let Some(question) = subject.question() else { continue };
        for list in *lists {
            let name = format!("{question}.{}", list.zone);
            let answer = if late { Err(Unknown::NoTime) } else { ask(list, &name) };
            match answer {
                Ok(false) => {}
                Ok(true) => {
                    log.push(format!(
                        "{} is listed by {} ({:+})",
                        subject.words(),
                        list.zone,
                        list.weight
                    ));
                    score = score.saturating_add(list.weight);
                    if list.weight > heaviest.as_ref().map_or(0, |hit| hit.list.weight) {
                        heaviest = Some(Hit { list, subject, name });
                    }
                }
                Err(why) => {
                    late |= why == Unknown::Dns(Error::Timeout);
                    log.push(format!("{} says nothing about {name}: {}", list.zone, why.words()));
                    missing = missing.saturating_add(list.weight.max(0));
                }
            }
        }
    }
    let verdict = match heaviest {
        Some(hit) if score >= settings.threshold => Verdict::Reject(refusal(&hit)),
        _ if settings.on_failure == OnFailure::Defer
            && score.saturating_add(missing) >= settings.threshold
            && missing > 0 =>
        {
            Verdict::DeferIfPermit(Reply::new(
                450,
                "4.7.1",
                "Service unavailable; a DNS list doesn't answer, try again later",
            ))
        }
        _ => Verdict::NoOpinion,
    };
    Judged { verdict, log }
}

/// Why it isn't known whether a name is listed.
#[derive(Debug, PartialEq, Eq)]
enum Unknown {
    /// The DNS gave no answer.
    Dns(Error),
    /// The list doesn't answer this server, and says so by this address.
    Refused(Ipv4Addr),
    /// It wasn't asked.
    NoTime,
}

impl Unknown {
    fn words(&self) -> String {
        match self {
            Self::Dns(Error::Unavailable(why)) => why.clone(),
            Self::Dns(error) => error.explain().into_owned(),
            Self::Refused(answer) => {
                format!("{answer}, which means that it doesn't answer this server")
            }
            Self::NoTime => "no time left to ask it".to_owned(),
        }
    }
}

/// Whether this name is listed.
fn ask(list: &List, name: &str) -> Result<bool, Unknown> {
    let answers = match dns::addresses(name) {
        Ok(answers) => answers,
        Err(Error::NotFound | Error::Invalid(_)) => return Ok(false),
        Err(error) => return Err(Unknown::Dns(error)),
    };
    let mut refused = None;
    for answer in answers.iter().filter_map(|answer| answer.parse::<Ipv4Addr>().ok()) {
        match list.meaning(answer) {
            Meaning::Listed => return Ok(true),
            Meaning::Other => {}
            Meaning::Refused => refused = Some(answer),
        }
    }
    refused.map_or(Ok(false), |answer| Err(Unknown::Refused(answer)))
}

/// Postfix's `default_rbl_reply`, with what the list has to say.
fn refusal(hit: &Hit<'_>) -> Reply {
    let mut told =
        format!("Service unavailable; {} blocked using {}", hit.subject.words(), hit.list.zone);
    if let Some(reason) = dns::texts(&hit.name).unwrap_or_default().first() {
        told.push_str("; ");
        // A list may say anything; a client is told one line of ASCII.
        let ascii = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { '?' };
        let reason: String = reason.iter().map(ascii).collect();
        told.push_str(&text::clean(&reason, REASON_LIMIT));
    }
    Reply::new(554, "5.7.1", told)
}

#[cfg(test)]
mod tests {
    use facteur_plugin::testing::Host;

    use super::*;

    fn judged(host: &Host, json: &str) -> Judged {
        let settings: Settings = facteur_plugin::settings::parse(json).unwrap();
        let client = Subject::Client("192.0.2.1".to_owned());
        let sender = Subject::Sender(facteur_plugin::MailAddress::new("a", "bad.example"));
        host.run(|| judge(&settings, &[(client, &settings.client), (sender, &settings.sender)]))
    }

    fn text(judged: &Judged) -> &str {
        match &judged.verdict {
            Verdict::Reject(reply) | Verdict::DeferIfPermit(reply) => &reply.text,
            _ => "",
        }
    }

    fn listed() -> Host {
        let at = |address: &str| Ok(vec!["2001:db8::1".to_owned(), address.to_owned()]);
        let reason = b"see https://bl.test/192.0.2.1\r\n250 \xff".to_vec();
        Host::new()
            .addresses("1.2.0.192.bl.test", at("127.0.0.2"))
            .addresses("1.2.0.192.second.test", at("127.0.0.2"))
            .addresses("1.2.0.192.good.test", at("127.0.0.2"))
            .addresses("bad.example.domains.test", at("127.0.1.2"))
            .addresses("1.2.0.192.dead.test", Err(Error::Timeout))
            .addresses("1.2.0.192.closed.test", at("127.255.255.254"))
            .texts("1.2.0.192.bl.test", Ok(vec![reason]))
    }

    #[test]
    fn who_is_listed_is_refused_with_the_reason() {
        let judged = judged(&listed(), r#"{"client": ["bl.test"]}"#);
        let expected = "Service unavailable; Client host [192.0.2.1] blocked using bl.test; see \
         https://bl.test/192.0.2.1  250 ?";
        assert_eq!(judged.verdict, Verdict::Reject(Reply::new(554, "5.7.1", expected)));
        assert_eq!(judged.log, ["Client host [192.0.2.1] is listed by bl.test (+1)"]);
    }

    #[test]
    fn weights_add_up_over_all_subjects() {
        let of = |json| judged(&listed(), json);
        assert_eq!(of(r#"{"client": ["other.test"]}"#).verdict, Verdict::NoOpinion);
        assert_eq!(of(r#"{"threshold": 2, "client": ["bl.test"]}"#).verdict, Verdict::NoOpinion);
        let both = of(r#"{"threshold": 3, "client": ["bl.test"], "sender": ["domains.test*2"]}"#);
        assert_eq!(
            text(&both),
            "Service unavailable; Sender address [a@bad.example] blocked using domains.test"
        );
        assert_eq!(
            of(r#"{"client": ["bl.test", "second.test", "good.test*-2"]}"#).verdict,
            Verdict::NoOpinion
        );
        assert_eq!(of(r#"{"client": ["bl.test=127.0.0.[3..9]"]}"#).verdict, Verdict::NoOpinion);
        // Nobody is refused by lists that speak for them alone.
        assert_eq!(
            of(r#"{"threshold": -5, "client": ["good.test*-2"]}"#).verdict,
            Verdict::NoOpinion
        );
    }

    #[test]
    fn a_list_that_fails_says_nothing_unless_the_operator_waits_for_it() {
        for zone in ["dead.test", "closed.test"] {
            let ignored = judged(&listed(), &format!(r#"{{"client": ["{zone}"]}}"#));
            assert_eq!((ignored.verdict, ignored.log.len()), (Verdict::NoOpinion, 1));
            let waiting =
                |more: &str| judged(&listed(), &format!(r#"{{"on-failure": "defer", {more}}}"#));
            let deferred = waiting(&format!(r#""client": ["{zone}"]"#));
            assert!(
                matches!(&deferred.verdict, Verdict::DeferIfPermit(reply) if reply.code == 450),
                "{:?}",
                deferred.log
            );
            // Only where it would have mattered.
            assert_eq!(
                waiting(&format!(r#""threshold": 2, "client": ["{zone}"]"#)).verdict,
                Verdict::NoOpinion
            );
            assert_eq!(waiting(&format!(r#""client": ["{zone}*-1"]"#)).verdict, Verdict::NoOpinion);
            assert!(matches!(
                waiting(&format!(r#""client": ["bl.test", "{zone}"]"#)).verdict,
                Verdict::Reject(_)
            ));
        }
    }

    #[test]
    fn after_a_list_that_is_too_slow_no_other_is_asked() {
        let host = listed().addresses("1.2.0.192.slow.test", Err(Error::Timeout));
        let judged = judged(&host, r#"{"client": ["slow.test", "bl.test"]}"#);
        assert_eq!(judged.verdict, Verdict::NoOpinion);
        assert_eq!(
            judged.log,
            [
                "slow.test says nothing about 1.2.0.192.slow.test: no answer in time",
                "bl.test says nothing about 1.2.0.192.bl.test: no time left to ask it",
            ]
        );
    }
}

//! Who has to wait.
//!
//! A triplet is a counter of its successes. It begins when it first comes, and is gone after the
//! retry window unless it succeeds; from then on each success gives it the full age again. A
//! network is a counter, too: of the triplets that came back, one in an hour at most, so that a
//! burst is not taken for a good record.

use facteur_plugin::counters::{self, Bucket, Lifetime, Taken};
use facteur_plugin::{Error, Period};

use crate::settings::Settings;
use crate::triplet::Triplet;

/// How often one network may come nearer to being known.
const ONCE_AN_HOUR: Bucket = Bucket { size: 1, period: Period::minutes(60).0 };

/// What follows.
#[derive(Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It needn't wait.
    Known,
    /// It waited: so many milliseconds.
    CameBack { after: u64 },
    /// It has to wait for so many milliseconds.
    TooEarly { left: u64 },
}

/// Whether this triplet has to wait; and remembers that it came.
///
/// # Errors
/// The store isn't there, or isn't granted.
pub fn judge(settings: &Settings, triplet: &Triplet) -> Result<Judgement, Error> {
    let Settings { ref store, delay, retry_window, max_age, auto_allow, .. } = *settings;
    let (key, network) = (triplet.key(), triplet.network_key());
    let for_long = Lifetime::FromNow(max_age.0);
    if auto_allow > 0
        && counters::get(store, &network)?.is_some_and(|successes| successes.value >= auto_allow)
    {
        counters::add(store, &network, 0, for_long)?;
        return Ok(Judgement::Known);
    }
    let Some(seen) = counters::get(store, &key)? else {
        counters::add(store, &key, 0, Lifetime::FromBeginning(retry_window.0))?;
        return Ok(Judgement::TooEarly { left: delay.0 });
    };
    if seen.age < delay.0 {
        return Ok(Judgement::TooEarly { left: delay.0 - seen.age });
    }
    counters::add(store, &key, 1, for_long)?;
    if auto_allow > 0 && counters::take(store, &network, 1, ONCE_AN_HOUR)? == Taken::Yes {
        counters::add(store, &network, 1, for_long)?;
    }
    Ok(if seen.value == 0 { Judgement::CameBack { after: seen.age } } else { Judgement::Known })
}

#[cfg(test)]
mod tests {
    use facteur_plugin::MailAddress;
    use facteur_plugin::testing::Host;

    use super::*;
    use crate::settings;

    const MINUTE: u64 = Period::minutes(1).0;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;

    struct Site(Host);

    impl Site {
        fn new() -> Self {
            Self(Host::new().store("g"))
        }

        /// What the sender hears, by Postgrey's own settings, so much later than the one before.
        fn comes(&self, sender: &str, later: u64) -> Judgement {
            self.0.pass(later);
            let settings = settings::of(r#"{"store": "g"}"#).unwrap();
            let sender = Some(MailAddress::new(sender, "y.org"));
            let recipient = MailAddress::new("me", "x.org");
            let triplet = Triplet { network: "192.0.2.0/24".into(), sender, recipient };
            self.0.run(|| judge(&settings, &triplet)).unwrap()
        }
    }

    #[test]
    fn who_comes_back_in_time_is_let_in() {
        let site = Site::new();
        assert_eq!(site.comes("a", 0), Judgement::TooEarly { left: 5 * MINUTE });
        assert_eq!(site.comes("a", 2 * MINUTE), Judgement::TooEarly { left: 3 * MINUTE });
        assert_eq!(site.comes("a", 3 * MINUTE), Judgement::CameBack { after: 5 * MINUTE });
        assert_eq!(site.comes("a", 0), Judgement::Known);
        // Another sender is a stranger still.
        assert_eq!(site.comes("b", 0), Judgement::TooEarly { left: 5 * MINUTE });
    }

    #[test]
    fn who_comes_too_late_is_a_stranger_again() {
        let site = Site::new();
        site.comes("a", 0);
        assert_eq!(site.comes("a", 2 * DAY), Judgement::TooEarly { left: 5 * MINUTE });
        assert_eq!(site.comes("a", 5 * MINUTE), Judgement::CameBack { after: 5 * MINUTE });
        // Then it is enough to come once a month.
        for _ in 0..4 {
            assert_eq!(site.comes("a", 34 * DAY), Judgement::Known);
        }
        assert_eq!(site.comes("a", 35 * DAY), Judgement::TooEarly { left: 5 * MINUTE });
    }

    #[test]
    fn a_network_with_a_good_record_needs_not_wait() {
        let site = Site::new();
        for round in 0..5 {
            let sender = format!("sender-of-round-{}", char::from(b'a' + round));
            assert_eq!(site.comes(&sender, 0), Judgement::TooEarly { left: 5 * MINUTE });
            assert_eq!(site.comes(&sender, HOUR), Judgement::CameBack { after: HOUR });
        }
        assert_eq!(site.comes("stranger", 0), Judgement::Known);
        assert_eq!(site.comes("stranger", 34 * DAY), Judgement::Known);
        assert_eq!(site.comes("stranger", 35 * DAY), Judgement::TooEarly { left: 5 * MINUTE });
    }

    #[test]
    fn a_burst_is_no_good_record() {
        let site = Site::new();
        let senders = ["a", "b", "c", "d", "e", "f"];
        for sender in senders {
            site.comes(sender, 0);
        }
        site.0.pass(10 * MINUTE);
        for sender in senders {
            assert_eq!(site.comes(sender, 0), Judgement::CameBack { after: 10 * MINUTE });
        }
        assert_eq!(site.comes("g", 0), Judgement::TooEarly { left: 5 * MINUTE });
    }
}

//! Times in the settings: `"5m"`, `"36h"`, `"35d"`, as the rest of the configuration writes them.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Name and milliseconds of a unit, the largest first.
const UNITS: [(&str, u64); 6] = [
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];
/// The longest, 400 days: what the host counts at most.
const LONGEST: u64 = 400 * 86_400_000;

/// A time in milliseconds, at most 400 days. The operator writes it as text, with a unit; what is
/// [kept](crate::Kept) of it is the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub u64);

impl Period {
    /// So many minutes.
    pub const fn minutes(number: u64) -> Self {
        Self(number * 60_000)
    }

    /// So many days.
    pub const fn days(number: u64) -> Self {
        Self(number * 86_400_000)
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
        let milliseconds = number.parse::<u64>().ok()?.checked_mul(*factor)?;
        (milliseconds <= LONGEST).then_some(Self(milliseconds))
    }
}

impl fmt::Display for Period {
    /// In the largest unit that fits, so that it can be read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) =
            UNITS.iter().find(|(_, factor)| self.0.is_multiple_of(*factor)).unwrap_or(&("ms", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(Self);
        }
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format_args!(
                "\"{text}\" is no time; write \"5m\", \"36h\" or \"35d\", at most 400 days"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Period;

    #[test]
    fn a_time_is_written_and_read() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("90s", 90_000),
            ("5m", 300_000),
            ("36h", 129_600_000),
            ("35d", 3_024_000_000),
        ] {
            assert_eq!(Period::parse(text), Some(Period(milliseconds)), "{text}");
            assert_eq!(
                Period::parse(&Period(milliseconds).to_string()),
                Some(Period(milliseconds)),
                "{text}"
            );
        }
        for text in ["", "5", "m", "5 years", "401d", "-1h", "99999999999999999999d"] {
            assert_eq!(Period::parse(text), None, "{text}");
        }
    }

    #[test]
    fn settings_say_it_in_words_and_state_in_numbers() {
        assert_eq!(
            crate::settings::parse::<Vec<Period>>(r#"["5m"]"#),
            Ok(vec![Period::minutes(5)])
        );
        let told = crate::settings::parse::<Vec<Period>>(r#"["soon"]"#).unwrap_err();
        assert_eq!(
            told,
            "setting \"[0]\": \"soon\" is no time; write \"5m\", \"36h\" or \"35d\", at most 400 \
             days"
        );
        let bytes = postcard::to_allocvec(&Period::days(35)).unwrap();
        assert_eq!(postcard::from_bytes(&bytes), Ok(Period::days(35)));
    }
}

//! Durations and sizes: a string with a unit, or a bare integer (seconds, bytes).

use std::ops::RangeInclusive;
use std::time::Duration;

use super::reader::Value;

/// Name and milliseconds of a unit of time, the largest first.
const DURATIONS: [(&str, u64); 6] = [
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];
/// Name and bytes of a unit of size, the largest first. Powers of ten and of two are told apart by
/// name.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// A hundred days: longer than anything waits, and far from any overflow.
pub(super) const LONG: Duration = Duration::from_hours(100 * 24);

impl Value<'_> {
    /// A duration such as "300s", "5d", "1h"; an integer is in seconds.
    pub(super) fn duration(&self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let milliseconds =
            |duration: &Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let bounds = milliseconds(bounds.start())..=milliseconds(bounds.end());
        let parse = |text: &str| number_with_unit(text, &DURATIONS, "5d, 1h, 30m, 300s or 500ms");
        self.quantity(bounds, parse, |number| in_units(number, &DURATIONS), 1_000)
            .map(Duration::from_millis)
    }

    /// A duration that is not nothing.
    pub(super) fn some_duration(&self) -> Option<Duration> {
        self.duration(Duration::from_millis(1)..=LONG)
    }

    /// A size such as "10MB", "64KiB"; an integer is in bytes.
    pub(super) fn size(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let parse = |text: &str| number_with_unit(text, &SIZES, "10MB, 16MiB, 64KiB or 10240000");
        self.quantity(bounds, parse, |number| in_units(number, &SIZES), 1)
    }
}

/// Parses digits and a unit.
fn number_with_unit(text: &str, units: &[(&str, u64)], examples: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let known = units.iter().find(|(name, _)| *name == unit);
    match (number.parse::<u64>(), known) {
        (Ok(number), Some((_, factor))) => {
            number.checked_mul(*factor).ok_or_else(|| "this is more than 64 bits hold".to_owned())
        }
        _ => Err(format!("write it like {examples}")),
    }
}

/// The shortest way to write a number: the largest unit that divides it.
fn in_units(number: u64, units: &[(&str, u64)]) -> String {
    let whole = |(_, factor): &&(&str, u64)| number >= *factor && number.is_multiple_of(*factor);
    units
        .iter()
        .find(whole)
        .map_or_else(|| number.to_string(), |(name, factor)| format!("{}{name}", number / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_have_units() {
        let duration = |text| number_with_unit(text, &DURATIONS, "5d").ok();
        assert_eq!(duration("300s"), Some(300_000));
        assert_eq!(duration("5d"), Some(432_000_000));
        assert_eq!(duration("30 m"), Some(1_800_000));
        assert_eq!(duration("250ms"), Some(250));
        for wrong in
            ["", "s", "5", "5x", "-5s", "1h30m", "99999999999999999999s", "18446744073709551615w"]
        {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!(number_with_unit("64KiB", &SIZES, ""), Ok(65_536));
        assert_eq!(number_with_unit("10MB", &SIZES, ""), Ok(10_000_000));
    }

    #[test]
    fn numbers_are_written_in_the_largest_unit() {
        assert_eq!(in_units(432_000_000, &DURATIONS), "5d");
        assert_eq!(in_units(1_500, &DURATIONS), "1500ms");
        assert_eq!(in_units(64 << 20, &SIZES), "64MiB");
        assert_eq!(in_units(0, &SIZES), "0");
    }
}

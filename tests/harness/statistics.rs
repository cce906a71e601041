//! What many measurements come to.

/// The middle one; between two middle ones their mean. None of none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[sorted.len() / 2 - 1], upper))
}

/// How often the second goes into the first, measured by turns: the median of the ratios within
/// each round, since a machine whose speed drifts is the same for both only within a round. None
/// where no round has both.
pub fn ratio(values: &[f64], reference: &[f64]) -> Option<f64> {
    let rounds = values.iter().zip(reference).filter(|(_, reference)| **reference > 0.0);
    median(&rounds.map(|(value, reference)| value / reference).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::{median, ratio};

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }

    #[test]
    fn a_ratio_is_taken_within_rounds() {
        // The machine became ten times as fast after the second round: the medians alone would say 4.
        assert_eq!(ratio(&[20.0, 40.0, 200.0], &[10.0, 10.0, 100.0]), Some(2.0));
        assert_eq!(ratio(&[1.0], &[0.0]), None);
        assert_eq!(ratio(&[6.0, 5.0], &[3.0]), Some(2.0));
    }
}

//! A domain and the ones above it.

/// How many parents are counted, from the top: with the other keys of a lookup they fit into
/// [`KEYS_LIMIT`](crate::lookup::KEYS_LIMIT), twice each. No domain in use is this deep; counting
/// from the top means that nobody gets around a table by a deeper name.
pub const PARENTS_LIMIT: usize = 24;

/// The domains above this one, nearest first, without a leading dot: `a.b.c` gives `b.c` and `c`.
/// None for an address literal.
pub fn parents(domain: &str) -> impl Iterator<Item = &str> {
    let literal = domain.starts_with('[');
    let all = || domain.match_indices('.').map(|(dot, _)| &domain[dot + 1..]);
    let count = if literal { 0 } else { all().count() };
    all().skip(count.saturating_sub(PARENTS_LIMIT)).take(count).filter(|parent| !parent.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{PARENTS_LIMIT, parents};

    #[test]
    fn nearest_first() {
        assert_eq!(parents("a.b.c").collect::<Vec<_>>(), ["b.c", "c"]);
        assert_eq!(parents("c").count(), 0);
        assert_eq!(parents("[192.0.2.1]").count(), 0);
        assert_eq!(parents("c.").count(), 0);
    }

    #[test]
    fn a_deep_name_keeps_its_top() {
        let deep = format!("{}evil.example", "a.".repeat(100));
        let found: Vec<_> = parents(&deep).collect();
        assert_eq!(found.len(), PARENTS_LIMIT);
        assert_eq!(found[PARENTS_LIMIT - 2..], ["evil.example", "example"]);
    }
}

//! Which contract a component was built for, by the names of its interfaces.
//!
//! Within 0.1 interfaces gain functions, and lose or change none: a component of any 0.1 runs here,
//! and what it has more is said by [`super::newer`]. No other version does.

/// The version of the contract that the host speaks.
pub(crate) const OURS: &str = "0.1.0";
/// What of it doesn't change when functions are added.
const SERIES: &str = "0.1";
/// The contract's package.
const PACKAGE: &str = "facteur:policy/";

/// A component that was built for another contract.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is built for facteur:policy {theirs}, this host speaks {SERIES}: build it against {SERIES}"
)]
pub(crate) struct Foreign {
    theirs: String,
}

/// The interface that a name of an import or export means: `session` of
/// `facteur:policy/session@0.1.0`. None: it is of another package.
///
/// # Errors
/// It is of another version.
pub(crate) fn interface(name: &str) -> Result<Option<&str>, Foreign> {
    let Some(rest) = name.strip_prefix(PACKAGE) else { return Ok(None) };
    let (interface, version) = rest.split_once('@').unwrap_or((rest, "without a version"));
    let of_series = version
        .strip_prefix(SERIES)
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()));
    if of_series { Ok(Some(interface)) } else { Err(Foreign { theirs: version.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_of_the_same_series_runs_here() {
        for patch in ["0.1.0", "0.1.1", "0.1.23"] {
            let name = format!("facteur:policy/on-rcpt@{patch}");
            assert_eq!(interface(&name), Ok(Some("on-rcpt")));
        }
        assert_eq!(interface("wasi:clocks/wall-clock@0.2.0"), Ok(None));
        for other in ["0.2.0", "1.0.0", "0.10.0", "0.1", "0.1.0-draft"] {
            let error = interface(&format!("facteur:policy/on-rcpt@{other}")).unwrap_err();
            let told = format!("it is built for facteur:policy {other}, this host speaks 0.1");
            assert!(error.to_string().starts_with(&told), "{error}");
        }
        assert!(interface("facteur:policy/on-rcpt").is_err());
    }
}

//! What a plugin's failure means: `on-error` and `fail-open`.

use facteur_policy::OnError;

use super::{LEAST, error, parse};

fn plugin(lines: &str) -> String {
    format!("[[plugin]]\nname = \"x\"\ncomponent = \"builtin:clamav\"\n{lines}\n")
}

#[test]
fn a_failure_means_what_the_operator_says() {
    for (lines, expected) in [
        ("", OnError::Defer),
        ("on-error = \"reject\"", OnError::Reject),
        ("fail-open = true", OnError::Pass),
        ("fail-open = false\non-error = \"reject\"", OnError::Reject),
    ] {
        let config = parse(&format!("{LEAST}{}", plugin(lines))).unwrap();
        assert_eq!(config.plugin("x").unwrap().on_error, expected, "{lines}");
    }
    assert!(error(&plugin("on-error = \"dunno\"")).contains("fail-open"));
    assert!(error(&plugin("fail-open = true\non-error = \"reject\"")).contains("both"));
}

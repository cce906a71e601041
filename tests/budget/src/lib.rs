//! Work budgets: how much a message may cost, counted in syncs, allocations, calls, fuel and
//! instructions, never in seconds, so that a busy machine changes nothing.
//!
//! The numbers stand in `budgets.toml`, each with its reason. A test counts, and enters it into a
//! [`Ledger`]; what is above its budget fails, and so does what is far below it, since a budget
//! that nothing comes near guards nothing any more. A budget that no test enters fails too.
//!
//! It counts nothing itself; [`site`] is what the tests count on.

#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc, reason = "a ledger panics to fail the test that uses it")]

pub mod site;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// How far below its budget, in percent of it, a count may be. More means that something became
/// cheaper for good: the budget is then to be lowered, with the change that earned it.
pub const SPARE: u64 = 20;

/// An entry of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    at_most: u64,
    why: String,
}

/// Some sections of the file, while a test goes through them.
#[derive(Debug)]
#[must_use = "only `close` says what is wrong"]
pub struct Ledger {
    /// What nothing was entered for yet, as `section.name`.
    open: BTreeMap<String, Budget>,
    wrong: Vec<String>,
}

/// Where the numbers stand.
pub fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("budgets.toml")
}

impl Ledger {
    /// The sections with these names.
    pub fn open(sections: &[&str]) -> Self {
        let path = file();
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(&text, sections).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn parse(text: &str, sections: &[&str]) -> Result<Self, String> {
        let mut all: BTreeMap<String, BTreeMap<String, Budget>> =
            toml::from_str(text).map_err(|error| error.to_string())?;
        let mut open = BTreeMap::new();
        for section in sections {
            let budgets =
                all.remove(*section).ok_or_else(|| format!("there is no section [{section}]"))?;
            open.extend(
                budgets.into_iter().map(|(name, budget)| (format!("{section}.{name}"), budget)),
            );
        }
        Ok(Self { open, wrong: Vec::new() })
    }

    /// Compares what was counted for `section.name` with its budget. What is wrong is said by
    /// [`Ledger::close`], with everything else.
    pub fn enter(&mut self, name: &str, counted: u64) {
        let Some(Budget { at_most, why }) = self.open.remove(name) else {
            self.wrong.push(format!("{name}: {counted}, and there is no budget for it"));
            return;
        };
        println!("{name}: {counted} of at most {at_most}");
        if counted > at_most {
            let over = counted - at_most;
            self.wrong.push(format!(
                "{name}: {counted}, which is {over} more than the budget of {at_most} ({why})"
            ));
        } else if counted < at_most - at_most * SPARE / 100 {
            self.wrong.push(format!(
                "{name}: {counted}, more than {SPARE} % below the budget of {at_most}: lower it, \
                 so that it guards what was won"
            ));
        }
    }

    /// The end.
    ///
    /// # Panics
    /// With everything that is wrong: counts above or far below their budgets, budgets that nothing
    /// was counted for.
    pub fn close(mut self) {
        self.wrong.extend(
            self.open.keys().map(|name| format!("{name}: nothing was counted for this budget")),
        );
        assert!(
            self.wrong.is_empty(),
            "{}\nThe budgets stand in {}; docs/costs.md says when to change one.",
            self.wrong.join("\n"),
            file().display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::Ledger;

    fn ledger() -> Ledger {
        let text = "[work]\na = { at_most = 100, why = \"it is\" }\nb = \
         { at_most = 1, why = \"one is enough\" }";
        Ledger::parse(text, &["work"]).expect("the text is right")
    }

    fn wrong(counts: &[(&str, u64)]) -> String {
        let mut ledger = ledger();
        for (name, counted) in counts {
            ledger.enter(name, *counted);
        }
        match std::panic::catch_unwind(|| ledger.close()) {
            Ok(()) => String::new(),
            Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
        }
    }

    #[test]
    fn what_fits_passes() {
        for counts in [[("work.a", 100), ("work.b", 1)], [("work.a", 80), ("work.b", 1)]] {
            assert_eq!(wrong(&counts), "");
        }
    }

    #[test]
    fn what_is_too_much_too_little_missing_or_unknown_fails() {
        let told = wrong(&[("work.a", 101), ("work.b", 0), ("work.c", 5)]);
        for wanted in [
            "work.a: 101, which is 1 more than the budget of 100 (it is)",
            "work.b: 0, more than 20 % below the budget of 1",
            "work.c: 5, and there is no budget for it",
        ] {
            assert!(told.contains(wanted), "{told}");
        }
        assert!(wrong(&[("work.a", 100)]).starts_with("work.b: nothing was counted"));
    }
}

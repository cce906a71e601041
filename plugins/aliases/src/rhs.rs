//! The right-hand side of an alias or a virtual table, as the contract's targets.

use facteur_plugin::{MailAddress, Target};
use facteur_targets::Blanks;

/// What stands there, in order. What can't be understood is told to `warn` and left out, so that
/// the others get their mail.
pub fn parse(text: &str, warn: impl Fn(&str)) -> Vec<Target> {
    let mut targets = Vec::new();
    for item in facteur_targets::parse(text, Blanks::Part) {
        targets.push(match item {
            Ok(facteur_targets::Target::Address { local, domain }) => {
                Target::Address(MailAddress::new(local, domain))
            }
            Ok(facteur_targets::Target::Command(words)) => Target::Command(words),
            Ok(facteur_targets::Target::File(path)) => Target::File(path),
            Ok(facteur_targets::Target::Include(path)) => Target::ListFile(path),
            Err(why) => {
                warn(&why);
                continue;
            }
        });
    }
    targets
}

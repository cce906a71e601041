//! The restrictions that ask an access table: what to ask, and what follows from its answer.

use facteur_plugin::lookup::{self, Entry, Manner};
use facteur_plugin::{Error, log, session, transaction};

use super::proven::fingerprints;
use super::{By, Evaluation, Ruling, misconfigured};
use crate::access::{Action, action};
use crate::restriction::{Key, parse};
use crate::subject::Subject;
use crate::texts::{What, fitting_status};

/// How deep the values of tables may name restrictions. They can't name tables, so that one step is
/// all there is.
const DEPTH_LIMIT: u8 = 1;

impl Evaluation<'_> {
    pub(super) fn access(&mut self, key: Key, table: &str, warn: bool, depth: u8) -> Ruling {
        let tables = &[table.to_owned()];
        let found = match key {
            // The first that says something counts.
            Key::Ccert => {
                let mut steps = fingerprints()
                    .map(|print| self.access_by(key, table, find(table, print), warn, depth));
                return steps.find(|step| *step != Ruling::Dunno).unwrap_or(Ruling::Dunno);
            }
            Key::Sasl => session::login().map_or(Ok(None), |login| find(table, login)),
            Key::Client => value(lookup::find_client(tables)),
            Key::Helo => value(lookup::find_helo(tables)),
            Key::Sender if self.in_transaction() => {
                value(lookup::find_sender(tables, Manner::Access))
            }
            Key::Sender => Ok(None),
            Key::Recipient => value(self.about.find(tables)),
        };
        self.access_by(key, table, found, warn, depth)
    }

    fn access_by(
        &mut self,
        key: Key,
        table: &str,
        found: Result<Option<String>, Error>,
        warn: bool,
        depth: u8,
    ) -> Ruling {
        let of = key.what();
        let step = match found {
            Ok(Some(value)) => self.found(&value, table, of, warn, depth),
            Ok(None) => return Ruling::Dunno,
            Err(error) => return self.broken_table(table, &error, of, warn),
        };
        // A recipient that routes by itself is too suspicious for an OK.
        match step {
            Ruling::Permit(_) if key == Key::Recipient && self.about.routed() => Ruling::Dunno,
            step => step,
        }
    }

    pub(super) fn broken_table(
        &mut self,
        table: &str,
        error: &Error,
        of: What,
        warn: bool,
    ) -> Ruling {
        log::warn(format!("table \"{table}\": {}", error.explain()));
        self.reject(of, warn, 451, "4.3.5", "Server configuration error")
    }

    /// What the value of a table comes to.
    fn found(&mut self, value: &str, table: &str, of: What, warn: bool, depth: u8) -> Ruling {
        let or = |text: &'_ str, usual: &'static str| {
            if text.is_empty() { usual.to_owned() } else { text.to_owned() }
        };
        match action(value) {
            Action::Permit => Ruling::Permit(By::Rule),
            Action::Dunno => Ruling::Dunno,
            Action::Refuse(code, status, text) => {
                self.reject(of, warn, code, fitting_status(status, of), &or(text, "Access denied"))
            }
            Action::DeferIfPermit(status, text) => self.defer_if_permit(
                of,
                warn,
                fitting_status(status, of),
                &or(text, "Service unavailable"),
            ),
            Action::DeferIfReject(status, text) => self.defer_if_reject(
                of,
                fitting_status(status, of),
                &or(text, "Service unavailable"),
            ),
            Action::Restrictions(value) => {
                let rules = if depth < DEPTH_LIMIT {
                    parse([value], None)
                } else {
                    Err("it goes too deep".to_owned())
                };
                match rules {
                    Ok(rules) if rules.iter().any(|rule| rule.restriction.table().is_some()) => {
                        misconfigured(&format!(
                            "table \"{table}\": an entry names a table: \
                         {value}"
                        ))
                    }
                    Ok(rules)
                        if self.about == Subject::Nobody
                            && rules.iter().any(|rule| rule.restriction.asks_recipient()) =>
                    {
                        misconfigured(&format!(
                            "table \"{table}\": an entry names a restriction of recipients, and \
                             there is none: {value}; \
                             ask the table in `recipient`"
                        ))
                    }
                    Ok(rules) => {
                        let missing = rules
                            .iter()
                            .find_map(|rule| self.settings.equipped(&rule.restriction).err());
                        match missing {
                            Some(why) => misconfigured(&format!("table \"{table}\": {why}")),
                            None => self.list(&rules, of, warn, depth + 1),
                        }
                    }
                    Err(why) => misconfigured(&format!("table \"{table}\": {value}: {why}")),
                }
            }
            Action::Broken(why) => {
                log::warn(format!("table \"{table}\": {why}: {value}"));
                Ruling::Dunno
            }
            Action::Info(text) => {
                log::info(format!("<{}>: {}: {text}", self.name(of), of.class()));
                Ruling::Dunno
            }
            Action::Warn(text) => {
                log::warn(format!("<{}>: {}: {text}", self.name(of), of.class()));
                Ruling::Dunno
            }
            _ if !self.in_transaction() => {
                log::warn(format!("table \"{table}\": there is no message yet to act on: {value}"));
                Ruling::Dunno
            }
            action => self.act(&action, of, table),
        }
    }

    /// An action on the message; none but `DISCARD` ends a list.
    fn act(&self, action: &Action<'_>, of: What, table: &str) -> Ruling {
        let told = |text: &str, usual: &str| {
            let text = if text.is_empty() { usual } else { text };
            format!("<{}>: {} {text}", self.name(of), of.class())
        };
        let done = match action {
            Action::Hold(text) => {
                transaction::hold(told(text, "triggers HOLD action"));
                Ok(())
            }
            Action::Redirect(to) => {
                log::info(told("", &format!("triggers REDIRECT {to}")));
                transaction::redirect(to)
            }
            Action::Bcc(to) => {
                log::info(told("", &format!("triggers BCC {to}")));
                transaction::bcc(to)
            }
            Action::Prepend(..) if of == What::EndOfData => {
                log::warn(format!("table \"{table}\": PREPEND comes too late at end-of-data"));
                Ok(())
            }
            Action::Prepend(name, value) => transaction::prepend_header(name, value),
            Action::Discard(text) => {
                log::info(told(text, "triggers DISCARD action"));
                return Ruling::Discard;
            }
            _ => Ok(()),
        };
        match done {
            Ok(()) => Ruling::Dunno,
            Err(error) => misconfigured(&format!("table \"{table}\": {}", error.explain())),
        }
    }
}

/// The value of one key.
fn find(table: &str, key: String) -> Result<Option<String>, Error> {
    Ok(lookup::find(table, &[key])?.map(|found| found.value))
}

fn value(found: Result<Option<Entry>, Error>) -> Result<Option<String>, Error> {
    Ok(found?.map(|entry| entry.value))
}

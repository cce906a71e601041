//! Takes names out of a recording: who wrote to whom. Domains stay, since tables decide by them;
//! local parts become others, the same ones wherever the same ones stood, so that what was looked
//! up is still found.
//!
//! A quoted local part stays as it is. A plugin that decides by the letters of a local part (a
//! pattern, say) may decide otherwise about the other name.

use std::collections::HashMap;

use serde_json::Value;

/// Replaces local parts.
#[derive(Default)]
pub struct Redaction {
    names: HashMap<String, String>,
}

/// Local parts that say what they are for, and for whom plugins have rules of their own.
const ROLES: [&str; 7] =
    ["postmaster", "abuse", "hostmaster", "webmaster", "root", "mailer-daemon", "noreply"];

impl Redaction {
    /// The same session with other names.
    pub fn redact(&mut self, session: &mut Value) {
        let mut locals = Vec::new();
        find(session, &mut locals);
        for local in locals {
            let number = self.names.len() + 1;
            self.names.entry(local).or_insert_with(|| format!("user{number}"));
        }
        self.replace(session);
    }

    fn replace(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.renamed(text),
            Value::Array(all) => all.iter_mut().for_each(|one| self.replace(one)),
            Value::Object(all) => all.values_mut().for_each(|one| self.replace(one)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Names stand before an @, and as keys of tables they stand alone. Anywhere else they are
    /// words like others.
    fn renamed(&self, text: &str) -> String {
        let pieces: Vec<_> = words(text).collect();
        if let [(word, true)] = pieces[..] {
            return self.name(word);
        }
        let mut out = String::with_capacity(text.len());
        for (number, (piece, is_word)) in pieces.iter().enumerate() {
            let is_local =
                *is_word && pieces.get(number + 1).is_some_and(|(next, _)| next.starts_with('@'));
            out.push_str(&if is_local { self.name(piece) } else { (*piece).to_owned() });
        }
        out
    }

    /// Piece by piece, so that an address extension stays one.
    fn name(&self, local: &str) -> String {
        let piece = |piece: &str| {
            self.names.get(&piece.to_lowercase()).cloned().unwrap_or_else(|| piece.to_owned())
        };
        local.split('+').map(piece).collect::<Vec<_>>().join("+")
    }
}

/// The local parts of all that looks like an address.
fn find(value: &Value, locals: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let all: Vec<_> = words(text).collect();
            for pair in all.windows(2) {
                if let [(local, true), (at, false)] = pair
                    && at.starts_with('@')
                {
                    let names = local.split('+').map(str::to_lowercase);
                    locals.extend(
                        names.filter(|name| !name.is_empty() && !ROLES.contains(&name.as_str())),
                    );
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|one| find(one, locals)),
        Value::Object(all) => all.values().for_each(|one| find(one, locals)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text in pieces: those that a local part may be, and what stands between them.
fn words(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let is_word =
        |character: char| character.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(character);
    let mut rest = text;
    std::iter::from_fn(move || {
        let kind = is_word(rest.chars().next()?);
        let end = rest.find(|character| is_word(character) != kind).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some((piece, kind))
    })
}

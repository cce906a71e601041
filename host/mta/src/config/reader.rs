//! Reads typed values out of a spanned TOML document.
//!
//! A [`Section`] knows which keys were asked for, so that what is left over is reported, with the
//! nearest known word. A value that is wrong is reported once and reads as `None`; the reader goes
//! on, so that an operator sees all that is wrong at once. It does not know what the keys mean.

#[cfg(test)]
use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::path::{Component, Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::report::{Kind, Report, suggestion};

#[cfg(test)]
thread_local! {
    /// Every key that was asked for on this thread, by section: what the documentation is compared
    /// with.
    pub(super) static ASKED: RefCell<std::collections::BTreeSet<(String, &'static str)>> =
        RefCell::default();
}

/// One TOML table, or one that isn't there and so holds nothing.
pub(super) struct Section<'a> {
    pub(super) report: &'a Report,
    name: String,
    table: Option<&'a DeTable<'a>>,
    pub(super) span: Range<usize>,
    known: Vec<&'static str>,
    refused: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// Reads the section that the whole document is.
    pub(super) fn root<T>(
        report: &'a Report,
        document: &'a DeTable<'a>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let (table, span) = (Some(document), 0..0);
        Self { report, name: String::new(), table, span, known: vec![], refused: vec![] }.read(read)
    }

    /// Reads the section, then reports the keys that nobody asked for.
    fn read<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let value = read(&mut self);
        #[cfg(test)]
        ASKED.with_borrow_mut(|asked| {
            asked.extend(self.known.iter().map(|key| (self.name.clone(), *key)));
        });
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) || self.refused.contains(&name) {
                continue;
            }
            let place =
                if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) };
            let help = match suggestion(name, &self.known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            self.report.error(
                key.span(),
                format!("unknown key `{name}`{place}"),
                "not known here",
                Some(help),
            );
        }
        value
    }

    /// The value of a key, if there is one.
    pub(super) fn value(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        self.look(key)
    }

    fn look(&self, key: &str) -> Option<Value<'a>> {
        let value = self.table?.get(key)?;
        Some(Value {
            report: self.report,
            name: self.full(key),
            span: value.span(),
            toml: value.get_ref(),
        })
    }

    /// A key with the names of the sections above it.
    fn full(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Whether the key is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.look(key).is_some()
    }

    /// Whether the section of a key has this one, right or wrong.
    pub(super) fn has_below(&self, section: &str, key: &str) -> bool {
        self.names(section).contains(&key)
    }

    /// The names of the sections below the one of this key, right or wrong.
    pub(super) fn names(&self, key: &str) -> Vec<&'a str> {
        match self.table.and_then(|table| table.get(key)).map(toml::Spanned::get_ref) {
            Some(DeValue::Table(table)) => {
                table.iter().map(|(name, _)| name.get_ref().as_ref()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What a key holds, if it is there and right.
    pub(super) fn get<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Option<T> {
        self.value(key).and_then(|value| read(&value))
    }

    /// What a key holds, or else the default.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> T {
        self.get(key, read).unwrap_or(default)
    }

    /// What a key holds that must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key);
        if value.is_none() {
            let place = if self.name.is_empty() {
                "the file".to_owned()
            } else {
                format!("[{}]", self.name)
            };
            let help = format!("add {key} = {example}");
            self.report.error(
                self.span.clone(),
                format!("`{key}` is missing in {place}"),
                format!("no `{key}` here"),
                Some(help),
            );
        }
        value.and_then(|value| read(&value))
    }

    /// A key that is an error wherever it stands, and that is never suggested.
    pub(super) fn refuse(&mut self, key: &'static str, message: &str, help: &str) {
        self.refused.push(key);
        if let Some(value) = self.look(key) {
            value.error::<()>(message, "not possible", help);
        }
    }

    /// A table below this one; an absent one reads as empty.
    pub(super) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'a>) -> T,
    ) -> T {
        let span = self.span.clone();
        let name = self.full(key);
        let absent = Section {
            report: self.report,
            name,
            table: None,
            span,
            known: vec![],
            refused: vec![],
        };
        self.get(key, Value::section).unwrap_or(absent).read(read)
    }

    /// An array of tables (`[[key]]`), in order.
    pub(super) fn sections<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'a>) -> Option<T>,
    ) -> Vec<T> {
        self.get(key, |value| value.list(|value| value.section()?.read(&mut read)))
            .unwrap_or_default()
    }
}

/// A value and where it stands.
pub(super) struct Value<'a> {
    report: &'a Report,
    /// The key that holds it, in full ("queue.lifetime").
    name: String,
    pub(super) span: Range<usize>,
    toml: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    /// Reports what is wrong with it. Gives `None`, so that a reader can end with it.
    pub(super) fn error<T>(
        &self,
        message: impl Into<String>,
        label: &str,
        help: impl Into<String>,
    ) -> Option<T> {
        self.report.error(self.span.clone(), message.into(), label, Some(help.into()));
        None
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let found = match self.toml {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.error(format!("`{}` is {found}", self.name), found, format!("write {expected}"))
    }

    pub(super) fn string(&self) -> Option<&'a str> {
        match self.toml {
            DeValue::String(text) => Some(text),
            _ => self.wrong_type("a string: \"…\""),
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.toml {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wrong_type("true or false"),
        }
    }

    /// A whole number within bounds.
    pub(super) fn integer<N: TryFrom<u64>>(&self, bounds: RangeInclusive<u64>) -> Option<N> {
        let DeValue::Integer(digits) = self.toml else { return self.wrong_type("a whole number") };
        self.within(u64::from_str_radix(digits.as_str(), digits.radix()).ok(), bounds, |n| {
            n.to_string()
        })
    }

    /// A number that was read in some notation, if it lies within bounds.
    fn within<N: TryFrom<u64>>(
        &self,
        number: Option<u64>,
        bounds: RangeInclusive<u64>,
        write: impl Fn(u64) -> String,
    ) -> Option<N> {
        let number = number
            .filter(|number| bounds.contains(number))
            .and_then(|number| N::try_from(number).ok());
        number.or_else(|| {
            let help = format!("from {} to {}", write(*bounds.start()), write(*bounds.end()));
            self.error(format!("`{}` is out of bounds", self.name), "too small or too large", help)
        })
    }

    /// A number with a unit: a string in a notation of its own, or an integer in the unit that goes
    /// without saying.
    pub(super) fn quantity(
        &self,
        bounds: RangeInclusive<u64>,
        parse: impl Fn(&str) -> Result<u64, String>,
        write: impl Fn(u64) -> String,
        unit: u64,
    ) -> Option<u64> {
        let number = match self.toml {
            DeValue::Integer(digits) => u64::from_str_radix(digits.as_str(), digits.radix())
                .ok()
                .and_then(|number| number.checked_mul(unit)),
            _ => Some(self.parse(parse)?),
        };
        self.within(number, bounds, write)
    }

    /// A string that a parser takes; what the parser says otherwise is the help.
    pub(super) fn parse<T>(&self, parse: impl FnOnce(&'a str) -> Result<T, String>) -> Option<T> {
        let text = self.string()?;
        parse(text).map_or_else(
            |help| self.error(format!("`{}` can't be {text:?}", self.name), "not valid", help),
            Some,
        )
    }

    /// One of some words.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        self.parse(|text| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let near = || suggestion(text, &known).map(|near| format!("did you mean \"{near}\"?"));
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
            found.ok_or_else(|| near().unwrap_or_else(|| format!("one of: {}", known.join(", "))))
        })
    }

    /// A list. An element that is wrong is reported and left out.
    pub(super) fn list<T>(&self, mut read: impl FnMut(&Value<'a>) -> Option<T>) -> Option<Vec<T>> {
        let DeValue::Array(array) = self.toml else { return self.wrong_type("a list: [ … ]") };
        let element = |value: &'a toml::Spanned<DeValue<'a>>| Value {
            report: self.report,
            name: self.name.clone(),
            span: value.span(),
            toml: value.get_ref(),
        };
        Some(array.iter().filter_map(|value| read(&element(value))).collect())
    }

    /// The table that it is.
    pub(super) fn section(&self) -> Option<Section<'a>> {
        let DeValue::Table(table) = self.toml else { return self.wrong_type("a table") };
        Some(Section {
            report: self.report,
            name: self.name.clone(),
            table: Some(table),
            span: self.span.clone(),
            known: vec![],
            refused: vec![],
        })
    }

    /// Reads the table that it is.
    pub(super) fn read<T>(&self, read: impl FnOnce(&mut Section<'a>) -> Option<T>) -> Option<T> {
        self.section()?.read(read)
    }

    /// The entries of a table whose keys are the operator's own, sorted by key.
    pub(super) fn entries(&self) -> Option<Vec<(&'a str, Value<'a>)>> {
        let DeValue::Table(table) = self.toml else { return self.wrong_type("a table") };
        let entry = |(key, value): (&'a toml::Spanned<_>, &'a toml::Spanned<DeValue<'a>>)| {
            let key: &std::borrow::Cow<'a, str> = key.get_ref();
            let name = format!("{}.{key}", self.name);
            let value =
                Value { report: self.report, name, span: value.span(), toml: value.get_ref() };
            (key.as_ref(), value)
        };
        Some(table.iter().map(entry).collect())
    }

    /// A path; a relative one starts at the folder of the file. "." and ".." are taken out of it.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let text = self.parse(|text| match text {
            "" => Err("a path can't be empty".to_owned()),
            text if text.contains('\0') => Err("a path can't hold a NUL".to_owned()),
            text => Ok(text),
        })?;
        Some(normal(&self.report.folder.join(text)))
    }

    /// A name that must exist elsewhere in the file: checked at the end.
    pub(super) fn reference(&self, kind: Kind, name: &str) {
        self.report.reference(kind, name, self.span.clone());
    }

    /// The name of a thing of some kind, checked at the end.
    pub(super) fn name_of(&self, kind: Kind) -> Option<String> {
        let name = self.string()?;
        self.reference(kind, name);
        Some(name.to_owned())
    }

    /// As JSON. TOML has dates, which become strings, and numbers that JSON has not, which are
    /// errors.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        use serde_json::Value as Json;
        match self.toml {
            DeValue::String(text) => Some(Json::from(text.as_ref())),
            DeValue::Boolean(value) => Some(Json::from(*value)),
            DeValue::Datetime(date) => Some(Json::from(date.to_string())),
            DeValue::Integer(digits) => {
                match i64::from_str_radix(digits.as_str(), digits.radix()) {
                    Ok(number) => Some(Json::from(number)),
                    Err(_) => self.error(
                        format!("`{}` is out of bounds", self.name),
                        "too large",
                        "at most 64 bits",
                    ),
                }
            }
            DeValue::Float(digits) => {
                let number = digits.as_str().parse().ok().and_then(serde_json::Number::from_f64);
                let error = || {
                    self.error(
                        format!("`{}` has no form in JSON", self.name),
                        "not finite",
                        "write a number",
                    )
                };
                number.map(Json::Number).or_else(error)
            }
            DeValue::Array(_) => self.list(Value::json).map(Json::Array),
            DeValue::Table(_) => {
                let entries = self.entries()?.into_iter();
                Some(Json::Object(
                    entries
                        .filter_map(|(key, value)| Some((key.to_owned(), value.json()?)))
                        .collect(),
                ))
            }
        }
    }
}

/// The path without "." and "..", as text: what is granted or compared must be written in one way
/// only.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        // A folder stays one by its name: join("") adds the slash.
        normal.push("");
    }
    normal
}

//! All that is wrong with one file: errors with their places, and names that must exist elsewhere
//! in the file, which are noted and checked when the whole file was read.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::NamedSource;

use super::error::ConfigError;

/// How alike two words must be (Jaro-Winkler, 0 to 1) for one to be suggested for the other.
const ALIKE: f64 = 0.8;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plugin,
    Table,
    Scanner,
    Counters,
    Folder,
    Service,
}

impl Kind {
    /// Every one.
    pub(super) const ALL: [Self; 6] =
        [Self::Plugin, Self::Table, Self::Scanner, Self::Counters, Self::Folder, Self::Service];

    /// The word for it, and the section that makes one.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Plugin => ("plugin", "[[plugin]]"),
            Self::Table => ("table", "[tables.NAME]"),
            Self::Scanner => ("scanner", "[scanners.NAME]"),
            Self::Counters => ("store of counters", "[counters.NAME]"),
            Self::Folder => ("folder", "[folders.NAME]"),
            Self::Service => ("service", "[services.NAME]"),
        }
    }
}

/// A name that must exist elsewhere in the file.
struct Reference {
    kind: Kind,
    name: String,
    span: Range<usize>,
}

/// All that is wrong with one file, so far.
pub(super) struct Report {
    text: Arc<NamedSource<String>>,
    /// Where the file is.
    pub(super) folder: PathBuf,
    errors: RefCell<Vec<ConfigError>>,
    references: RefCell<Vec<Reference>>,
}

impl Report {
    pub(super) fn new(file: &Path, text: &str) -> Self {
        Self {
            text: Arc::new(NamedSource::new(file.to_string_lossy(), text.to_owned())),
            folder: file.parent().map(Path::to_owned).unwrap_or_default(),
            errors: RefCell::default(),
            references: RefCell::default(),
        }
    }

    pub(super) fn error(
        &self,
        span: Range<usize>,
        message: String,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.errors.borrow_mut().push(ConfigError::at(
            &self.text,
            span,
            message,
            label.into(),
            help,
        ));
    }

    /// Notes a name that must exist elsewhere in the file.
    pub(super) fn reference(&self, kind: Kind, name: &str, span: Range<usize>) {
        self.references.borrow_mut().push(Reference { kind, name: name.to_owned(), span });
    }

    /// Checks the names of this kind that were used against those that there are.
    pub(super) fn resolve(&self, kind: Kind, names: &[&str]) {
        let (word, header) = kind.words();
        for Reference { name, span, .. } in
            self.references.borrow().iter().filter(|reference| reference.kind == kind)
        {
            if names.contains(&name.as_str()) {
                continue;
            }
            let help = match (suggestion(name, names), names) {
                (Some(near), _) => format!("did you mean \"{near}\"?"),
                (None, []) => format!("there is no {header} in the file"),
                (None, names) => format!("these are there: {}", names.join(", ")),
            };
            self.error(
                span.clone(),
                format!("there is no {word} \"{name}\""),
                format!("no such {word}"),
                Some(help),
            );
        }
    }

    /// What was read, if nothing was wrong; otherwise all that was, in the order of the file.
    pub(super) fn finish<T>(self, read: Option<T>) -> Result<T, Vec<ConfigError>> {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(ConfigError::offset);
        match read {
            Some(read) if errors.is_empty() => Ok(read),
            _ => Err(errors),
        }
    }
}

/// The word that was probably meant.
pub(super) fn suggestion<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let word = word.replace('_', "-").to_lowercase();
    let score = |known: &str| strsim::jaro_winkler(&word, known);
    let best = known.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b)))?;
    (score(best) >= ALIKE).then_some(best)
}

//! What is wrong with a configuration: the place in the file, and the mend.

use std::path::Path;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, NamedSource, SourceSpan};

/// How wide a rendered error is, in columns: what fits on the smallest usual terminal.
const WIDTH: usize = 80;

/// One error. `Display` gives the message alone; [`ConfigError::one_line`] adds the place,
/// [`render`] shows it all.
#[derive(Debug, Clone, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub struct ConfigError {
    message: String,
    #[source_code]
    text: Arc<NamedSource<String>>,
    #[label("{label}")]
    span: Option<SourceSpan>,
    label: String,
    #[help]
    help: Option<String>,
}

impl ConfigError {
    /// An error at a place of the file.
    pub(super) fn at(
        text: &Arc<NamedSource<String>>,
        span: std::ops::Range<usize>,
        message: String,
        label: String,
        help: Option<String>,
    ) -> Self {
        Self { message, text: text.clone(), span: Some(span.into()), label, help }
    }

    /// The file can't be read at all.
    pub(super) fn unreadable(file: &Path, reason: &std::io::Error) -> Self {
        Self {
            message: format!("{}: {reason}", file.display()),
            text: Arc::new(NamedSource::new(file.to_string_lossy(), String::new())),
            span: None,
            label: String::new(),
            help: (reason.kind() == std::io::ErrorKind::NotFound).then(|| {
                "name the file with --config FILE; `facteur demo` makes one to try things out \
                 with, target/demo/facteur.toml"
                    .to_owned()
            }),
        }
    }

    /// Where in the file, in bytes.
    pub fn offset(&self) -> usize {
        self.span.map_or(0, |span| span.offset())
    }

    /// For a log: file, line, column, message and help, without a line break.
    pub fn one_line(&self) -> String {
        let mut line = String::new();
        if self.span.is_some() {
            let before = self.text.inner().get(..self.offset()).unwrap_or("");
            let row = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
            line = format!("{}:{row}:{column}: ", self.text.name());
        }
        line.push_str(&self.message);
        if let Some(help) = &self.help {
            line.push_str(" (");
            line.push_str(help);
            line.push(')');
        }
        line.replace('\n', " ")
    }
}

/// All errors as an operator reads them: message, the line of the file with a mark under it, help.
pub fn render(errors: &[ConfigError], colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_links(false);
    let mut rendered = String::new();
    for error in errors {
        // Writing to a String can't fail, and an error that can't be drawn is still told.
        if handler.render_report(&mut rendered, error).is_err() {
            rendered.push_str(&error.one_line());
        }
        rendered.push('\n');
    }
    rendered
}

//! `log`: the operator's log.

use wasmtime::Result;

use crate::contract::bindings::facteur::policy::log;
use crate::contract::context::Context;
use crate::contract::text::{ERROR_TEXT, lines, printable};

pub(crate) fn write(context: &mut Context, level: log::Level, text: &str) -> Result<()> {
    if context.log_lines == 0 {
        return Ok(());
    }
    context.log_lines -= 1;
    let plugin = &*context.plugin.name;
    if level == log::Level::Error {
        let words: Vec<&str> = text.split_whitespace().collect();
        context.last_error = Some(printable(&words.join(" ")));
        // Further lines are indented: none of them looks like a line of the log itself.
        let text = lines(text, ERROR_TEXT).replace('\n', "\n    ");
        tracing::error!(plugin, "{text}");
        return Ok(());
    }
    let text = printable(text);
    match level {
        log::Level::Debug => tracing::debug!(plugin, "{text}"),
        log::Level::Info => tracing::info!(plugin, "{text}"),
        log::Level::Warn | log::Level::Error => tracing::warn!(plugin, "{text}"),
    }
    Ok(())
}

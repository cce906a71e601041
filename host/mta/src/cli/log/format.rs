//! How a line of the log looks: what it is about (the session of a client, by the span that it is
//! written in) stands as one of its fields, before those of its own.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// For people.
pub(super) struct TextLine;

/// One JSON object a line.
pub(super) struct JsonLine(Format<Json>);

impl JsonLine {
    pub(super) fn new() -> Self {
        let format = Format::default().json().flatten_event(true);
        Self(format.with_current_span(false).with_span_list(false).with_target(false))
    }
}

impl<S, N> FormatEvent<S, N> for TextLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let colour = match *event.metadata().level() {
            Level::TRACE => 35,
            Level::DEBUG => 34,
            Level::INFO => 32,
            Level::WARN => 33,
            Level::ERROR => 31,
        };
        let level = event.metadata().level();
        if writer.has_ansi_escapes() {
            writer.write_str("\x1b[2m")?;
            SystemTime.format_time(&mut writer)?;
            write!(writer, "\x1b[0m \x1b[{colour}m{level:>5}\x1b[0m ")?;
        } else {
            SystemTime.format_time(&mut writer)?;
            write!(writer, " {level:>5} ")?;
        }
        about(context, |fields| write!(writer, "{fields} "))?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut own = String::new();
        self.0.format_event(context, Writer::new(&mut own), event)?;
        // Both are objects: the fields of the spans come first.
        let Some(rest) = own.strip_prefix('{') else { return writer.write_str(&own) };
        writer.write_char('{')?;
        about(context, |fields| {
            let inside = fields.strip_prefix('{').and_then(|fields| fields.strip_suffix('}'));
            inside.map_or(Ok(()), |inside| write!(writer, "{inside},"))
        })?;
        writer.write_str(rest)
    }
}

/// The fields of each span that the event is in, from the innermost.
fn about<S, N>(
    context: &FmtContext<'_, S, N>,
    mut put: impl FnMut(&str) -> fmt::Result,
) -> fmt::Result
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    for span in context.lookup_current().into_iter().flat_map(|span| span.scope()) {
        if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
            put(fields)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    fn say() {
        tracing::warn!(reply = "no", "outside");
        let span = tracing::error_span!("session", session = "s1-0");
        span.in_scope(|| tracing::info!(reply = "go \x1b[31m\naway", "refused"));
    }

    #[test]
    fn text_names_the_session_among_the_fields() {
        let written = Written::default();
        let to = written.clone();
        let builder = tracing_subscriber::fmt().with_ansi(false).event_format(TextLine);
        let subscriber = builder.with_writer(move || to.clone()).finish();
        tracing::subscriber::with_default(subscriber, say);
        let text = written.text();
        let lines: Vec<&str> = text.lines().map(|line| line.split_once("Z ").unwrap().1).collect();
        assert_eq!(
            lines,
            [
                " WARN outside reply=\"no\"",
                " INFO session=\"s1-0\" refused reply=\"go \\u{1b}[31m\\naway\"",
            ]
        );
    }

    #[test]
    fn json_has_the_session_as_a_field() {
        let written = Written::default();
        let to = written.clone();
        let builder = tracing_subscriber::fmt().json().event_format(JsonLine::new());
        let subscriber = builder.with_writer(move || to.clone()).finish();
        tracing::subscriber::with_default(subscriber, say);
        let lines: Vec<serde_json::Value> =
            written.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["message"], lines[0].get("session")), (&"outside".into(), None));
        assert_eq!(
            (&lines[1]["session"], &lines[1]["message"], &lines[1]["level"]),
            (&"s1-0".into(), &"refused".into(), &"INFO".into())
        );
    }
}

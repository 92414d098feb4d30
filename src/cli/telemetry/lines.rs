//! Lines of the log: tracing's own formats, and in each line of a call the call's ids.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::telemetry::log;

/// Text for people: the ids come last.
#[derive(Debug)]
pub struct Text(Format);

impl Text {
    /// In colours or without.
    pub fn new(is_coloured: bool) -> Self {
        Self(Format::default().with_ansi(is_coloured))
    }
}

/// JSON for machines: the ids are the member `call`.
#[derive(Debug)]
pub struct JsonLines(Format<Json>);

impl Default for JsonLines {
    fn default() -> Self {
        Self(Format::default().json().flatten_event(true).with_current_span(false).with_span_list(false))
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let line = line(&self.0, context, event)?;
        match log::current() {
            Some(call) => writeln!(writer, "{}{call}", line.trim_end_matches('\n')),
            None => writer.write_str(&line),
        }
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let line = line(&self.0, context, event)?;
        match (log::current(), line.trim_end_matches('\n').strip_suffix('}')) {
            (Some(call), Some(members)) => {
                let fields: serde_json::Map<_, _> =
                    call.fields().map(|(name, value)| (name.to_owned(), value.into())).collect();
                writeln!(writer, "{members},\"call\":{}}}", serde_json::Value::Object(fields))
            }
            _ => writer.write_str(&line),
        }
    }
}

fn line<S, N>(
    format: &impl FormatEvent<S, N>,
    context: &FmtContext<'_, S, N>,
    event: &Event<'_>,
) -> Result<String, fmt::Error>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    let mut line = String::new();
    format.format_event(context, Writer::new(&mut line), event)?;
    Ok(line)
}

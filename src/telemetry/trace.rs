//! Spans: which calls are traced, and how a trace goes on in tasks, tables and Kafka.
//!
//! Whether a call is traced is decided once, before its first span ([`call`]). The steps of a call that is not traced
//! find no span around them and make none, so they cost next to nothing.
//!
//! Spans never hold a name, an address, a code or a password.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample};
use tracing::subscriber::Interest;
use tracing::{Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer;
use tracing_subscriber::registry::LookupSpan;

/// The target of spans that begin a part of a trace in this process.
pub const ROOT: &str = "trace::root";
/// The target of spans of single steps. Outside a root's span there are none.
pub const STEP: &str = "trace::step";

static SAMPLER: OnceLock<Sampler> = OnceLock::new();

/// Traces calls from now on, as the sampler says. Only the first call counts.
pub fn start(sampler: Sampler) {
    let _ = SAMPLER.set(sampler);
}

/// A place in a trace, as the header `traceparent` writes it.
///
/// Source: W3C Trace Context, section 3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: SpanId,
    flags: TraceFlags,
}

/// The text is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is no traceparent")]
pub struct NoTraceparent;

impl FromStr for TraceContext {
    type Err = NoTraceparent;

    /// Takes the four fields of version 00 from this and from any later version, which may add fields behind them.
    fn from_str(text: &str) -> Result<Self, NoTraceparent> {
        let mut fields = text.split('-');
        let mut field = |length: usize| {
            let is_hexadecimal = |field: &&str| {
                field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            };
            fields.next().filter(is_hexadecimal).ok_or(NoTraceparent)
        };
        let (version, trace_id, span_id, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        if version == "ff" || version == "00" && fields.next().is_some() {
            return Err(NoTraceparent);
        }
        let trace_id = TraceId::from_hex(trace_id).map_err(|_| NoTraceparent)?;
        let span_id = SpanId::from_hex(span_id).map_err(|_| NoTraceparent)?;
        if trace_id == TraceId::INVALID || span_id == SpanId::INVALID {
            return Err(NoTraceparent);
        }
        let flags = u8::from_str_radix(flags, 16).map_err(|_| NoTraceparent)?;
        Ok(Self { trace_id, span_id, flags: TraceFlags::new(flags) & TraceFlags::SAMPLED })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags.to_u8())
    }
}

impl TraceContext {
    /// The id of the trace.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The place, as the header `X-Amzn-Trace-Id` of AWS writes it.
    pub fn x_ray(&self) -> String {
        let trace_id = self.trace_id.to_string();
        let (at, rest) = trace_id.split_at(8);
        format!("Root=1-{at}-{rest};Parent={};Sampled={}", self.span_id, self.flags.to_u8())
    }

    /// The place of a span; none if the span is not exported.
    pub fn of(span: &Span) -> Option<Self> {
        if span.is_disabled() {
            return None;
        }
        let context = span.context();
        let context = context.span().span_context().clone();
        let (trace_id, span_id, flags) = (context.trace_id(), context.span_id(), context.trace_flags());
        context.is_valid().then_some(Self { trace_id, span_id, flags })
    }

    /// The parent that a span of this process gets.
    fn remote(&self) -> Context {
        let state = TraceState::default();
        Context::new().with_remote_span_context(SpanContext::new(self.trace_id, self.span_id, self.flags, true, state))
    }
}

/// Makes the span of a call, if the call is traced: as the sampler decides for a caller with this trace context.
pub fn call(parent: Option<&TraceContext>, span: impl FnOnce() -> Span) -> Span {
    let Some(sampler) = SAMPLER.get() else { return Span::none() };
    let remote = parent.map(TraceContext::remote);
    let trace_id = parent.map_or_else(|| RandomIdGenerator::default().new_trace_id(), |parent| parent.trace_id);
    let sampled = sampler.should_sample(remote.as_ref(), trace_id, "", &SpanKind::Server, &[], &[]);
    if sampled.decision != SamplingDecision::RecordAndSample {
        return Span::none();
    }
    within(span(), remote)
}

/// Makes a span of work that a traced call has left behind, in that call's trace.
pub fn continued(parent: Option<TraceContext>, span: impl FnOnce() -> Span) -> Span {
    match parent.filter(|parent| SAMPLER.get().is_some() && parent.flags.is_sampled()) {
        Some(parent) => within(span(), Some(parent.remote())),
        None => Span::none(),
    }
}

fn within(span: Span, parent: Option<Context>) -> Span {
    if let Some(parent) = parent
        && let Err(error) = span.set_parent(parent)
    {
        tracing::debug!(%error, "a span begins a trace of its own");
    }
    span
}

/// Lets spans of traces through, and nothing else: log lines are no part of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Traced;

impl<S: Subscriber + for<'span> LookupSpan<'span>> layer::Filter<S> for Traced {
    fn enabled(&self, metadata: &Metadata<'_>, context: &layer::Context<'_, S>) -> bool {
        match metadata.target() {
            ROOT => true,
            // Spans that this filter did not let through are not seen here.
            STEP => context.lookup_current().is_some(),
            _ => false,
        }
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match metadata.target() {
            ROOT => Interest::always(),
            STEP => Interest::sometimes(),
            _ => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<tracing_subscriber::filter::LevelFilter> {
        Some(tracing_subscriber::filter::LevelFilter::INFO)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_and_written() {
        assert_eq!(TRACE.parse::<TraceContext>().unwrap().to_string(), TRACE);
        let later = format!("cc{}-what-comes-later", &TRACE[2..]);
        assert_eq!(later.parse::<TraceContext>().unwrap().to_string(), TRACE, "fields of a later version are left out");
    }

    #[test]
    fn anything_else_is_no_traceparent() {
        let zero_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let zero_span = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16));
        let more = format!("{TRACE}-00");
        let wrong = ["", "jane@example.com", &TRACE[..52], &TRACE.to_uppercase(), &zero_trace, &zero_span, &more];
        for text in wrong.into_iter().chain([format!("ff{}", &TRACE[2..]).as_str()]) {
            assert_eq!(text.parse::<TraceContext>(), Err(NoTraceparent), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_traceparent_or_refused(text in "[ -~]{0,60}", hexadecimal in "[0-9a-fg-]{50,60}") {
            for text in [text, hexadecimal] {
                if let Ok(context) = text.parse::<TraceContext>() {
                    let written = context.to_string();
                    prop_assert_eq!(written.len(), TRACE.len());
                    prop_assert_eq!(written.parse(), Ok(context));
                }
            }
        }

        #[test]
        fn what_is_written_is_read(trace in 1_u128.., span in 1_u64.., sampled: bool) {
            let flags = TraceFlags::default().with_sampled(sampled);
            let (trace_id, span_id) = (TraceId::from(trace), SpanId::from(span));
            let context = TraceContext { trace_id, span_id, flags };
            prop_assert_eq!(context.to_string().parse(), Ok(context));
        }
    }
}

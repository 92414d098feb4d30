//! Logs, metrics and traces of the process: where they go.
//!
//! Logs go to standard error, metrics to `/metrics`. The standard variables `OTEL_*` send metrics and traces by OTLP as
//! well (`settings`).

mod lines;
mod settings;

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_prometheus_text_exporter::PrometheusExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::cli::config::LogFormat;
use crate::cli::telemetry::lines::{JsonLines, Text};
use crate::cli::telemetry::settings::Exports;
use crate::environment::Random;
use crate::telemetry::{metrics, trace};

/// The name of our instruments and spans in OpenTelemetry.
const SCOPE: &str = "userpool";
/// The most series of one metric: every operation at every door, with each of its exceptions.
const MOST_SERIES: usize = 8_000;
/// How long the last spans and metrics may take to be sent when the process ends.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// Logs, metrics and traces while the process runs.
#[derive(Debug)]
pub struct Telemetry {
    prometheus: PrometheusExporter,
    meters: SdkMeterProvider,
    tracers: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Logs and measures from now on. Fails if a variable of OpenTelemetry can't be used.
    pub fn start(format: LogFormat) -> anyhow::Result<Self> {
        let exports = Exports::read(|name| std::env::var(name).ok())?;
        let resource = resource(exports.service_name);
        let prometheus = PrometheusExporter::builder().without_scope_info().build();
        let meters = meters(&resource, prometheus.clone(), exports.metrics)?;
        let tracers = exports.traces.map(|sampler| tracers(resource, sampler)).transpose()?;
        init_logs(format, tracers.as_ref())?;
        metrics::start(meters.meter(SCOPE));
        Ok(Self { prometheus, meters, tracers })
    }

    /// The metrics for `/metrics`.
    pub fn prometheus(&self) -> PrometheusExporter {
        self.prometheus.clone()
    }

    /// Sends what was measured last, as far as the receiver answers in time.
    pub async fn stop(self) {
        let sent = tokio::task::spawn_blocking(move || {
            let traces = self.tracers.map_or(Ok(()), |tracers| tracers.shutdown_with_timeout(LAST_EXPORT));
            traces.and(self.meters.shutdown_with_timeout(LAST_EXPORT))
        });
        match sent.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans or metrics were not sent"),
            Err(error) => tracing::warn!(%error, "the last spans or metrics were not sent"),
        }
    }
}

/// Who sends: the variables of OpenTelemetry say more about it.
fn resource(is_named: bool) -> Resource {
    let instance = KeyValue::new("service.instance.id", Random::default().uuid().to_string());
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attributes([version, instance]);
    if is_named { resource.build() } else { resource.with_service_name(SCOPE).build() }
}

fn meters(resource: &Resource, prometheus: PrometheusExporter, is_exported: bool) -> anyhow::Result<SdkMeterProvider> {
    let more_series = |_: &Instrument| Stream::builder().with_cardinality_limit(MOST_SERIES).build().ok();
    let meters = SdkMeterProvider::builder().with_resource(resource.clone()).with_view(more_series);
    let meters = meters.with_reader(prometheus);
    let exported = if is_exported { Some(MetricExporter::builder().build()?) } else { None };
    Ok(match exported {
        Some(exporter) => meters.with_periodic_exporter(exporter).build(),
        None => meters.build(),
    })
}

/// Spans are made only for calls that the sampler took, so all of them are exported.
fn tracers(resource: Resource, sampler: Sampler) -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder().build()?;
    trace::start(sampler);
    let tracers = SdkTracerProvider::builder().with_resource(resource).with_sampler(Sampler::AlwaysOn);
    Ok(tracers.with_batch_exporter(exporter).build())
}

/// Logs to standard error, and makes spans if there is somewhere to send them.
fn init_logs(format: LogFormat, tracers: Option<&SdkTracerProvider>) -> anyhow::Result<()> {
    let registry = tracing_subscriber::registry().with(logs(format)?);
    // If logging is initialised already, as in tests, it stays as it is.
    let _ = match tracers {
        Some(tracers) => registry.with(traces(tracers)).try_init(),
        // No layer at all: one that is `None` would take part in every decision about a span or a log line.
        None => registry.try_init(),
    };
    Ok(())
}

fn traces<S: Subscriber + for<'span> LookupSpan<'span>>(tracers: &SdkTracerProvider) -> impl Layer<S> {
    let layer = tracing_opentelemetry::layer().with_tracer(tracers.tracer(SCOPE));
    // Where a span is in the source, and on which thread, helps nobody who reads a trace, but costs.
    let layer = layer.with_location(false).with_threads(false).with_target(false).with_level(false);
    layer.with_tracked_inactivity(false).with_context_activation(false).with_filter(trace::Traced)
}

/// `RUST_LOG` filters the log; by default `info` for our own code, warnings for the rest. Spans are
/// for traces.
///
/// All of it is one filter that knows its highest level, so that what is below costs nothing.
fn logs<S: Subscriber + for<'span> LookupSpan<'span>>(
    format: LogFormat,
) -> anyhow::Result<Box<dyn Layer<S> + Send + Sync>> {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,userpool=info"));
    // The library that verifies passkeys logs what it verifies, and what is wrong about it.
    for target in [trace::ROOT, trace::STEP, "webauthn_rs_core"] {
        filter = filter.add_directive(format!("{target}=off").parse()?);
    }
    let logs = fmt::layer().with_writer(std::io::stderr);
    Ok(match format {
        LogFormat::Text => logs.event_format(Text::new(is_coloured())).with_filter(filter).boxed(),
        LogFormat::Json => logs.json().event_format(JsonLines::default()).with_filter(filter).boxed(),
    })
}

/// Colours are for a terminal, unless `NO_COLOR` asks for none (no-color.org).
fn is_coloured() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

//! Logs, and traces where an OTLP endpoint is named.

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::settings::LogFormat;

/// Environment variable, from the OpenTelemetry specification, that switches traces on.
const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Keeps the exporter; what it has not sent yet is sent when this is dropped.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.traces.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Starts logging to standard error, and exporting if `OTEL_EXPORTER_OTLP_ENDPOINT` is set and not empty.
///
/// Fails on a filter or endpoint that cannot be understood. A collector that is down later disturbs nothing.
pub fn start(filter: &str, format: LogFormat) -> anyhow::Result<Telemetry> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("{filter:?} is not a log filter"))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Pretty => lines.with_target(false).boxed(),
    };
    let traces = std::env::var(OTLP_ENDPOINT).ok().filter(|endpoint| !endpoint.is_empty()).map(|_| exporter()).transpose()?;
    let spans = traces.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("entente-operator")));
    tracing_subscriber::registry().with(spans).with(lines).with(filter).init();
    Ok(Telemetry { traces })
}

fn exporter() -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder()
        .with_http()
        .build()
        .with_context(|| format!("traces cannot be exported to what {OTLP_ENDPOINT} names"))?;
    let resource = Resource::builder().with_service_name("entente-operator").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

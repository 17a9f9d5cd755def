//! Spans on their way to the collector.
//!
//! A request that ends a span hands it over without waiting. What waits is bounded; beyond it spans are dropped, and
//! counted. So a collector that is slow or away costs spans, never time or memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::{Context, global};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanProcessor},
};

use super::{TelemetryError, environment::Environment, ids::SpanIds};

/// What became of ended spans.
#[derive(Debug, Default)]
pub(super) struct SpanCounts {
    /// Ended and not yet taken for sending.
    waiting: AtomicUsize,
    /// Dropped because too many waited.
    dropped: AtomicU64,
    /// Taken, and refused by the collector or lost on the way.
    failed: AtomicU64,
}

impl SpanCounts {
    /// How many were never received by anybody.
    pub(super) fn lost(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed) + self.failed.load(Ordering::Relaxed)
    }
}

/// The provider of tracers. How much is sampled `OTEL_TRACES_SAMPLER` says; without it, everything whose parent was not
/// left out.
pub(super) fn provider(
    environment: &Environment,
) -> Result<(SdkTracerProvider, Arc<SpanCounts>), TelemetryError> {
    let counts = Arc::new(SpanCounts::default());
    let exporter = Counted {
        inner: SpanExporter::builder().build()?,
        counts: Arc::clone(&counts),
    };
    let (most, batch) = environment.spans_waiting();
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(most)
        .with_max_export_batch_size(batch)
        .build();
    let processor = Bounded {
        inner: BatchSpanProcessor::builder(exporter)
            .with_batch_config(config)
            .build(),
        counts: Arc::clone(&counts),
        most,
    };
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_id_generator(SpanIds::default())
        .with_resource(environment.resource())
        .build();
    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_tracer_provider(provider.clone());
    Ok((provider, counts))
}

/// Lets so many spans wait and no more. The batch processor has the same bound, but does not say what it dropped.
#[derive(Debug)]
struct Bounded<P> {
    inner: P,
    counts: Arc<SpanCounts>,
    most: usize,
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.inner.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.counts.waiting.fetch_add(1, Ordering::Relaxed) < self.most {
            self.inner.on_end(span);
        } else {
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Tells how many spans were taken, and how many of them did not arrive.
#[derive(Debug)]
struct Counted<E> {
    inner: E,
    counts: Arc<SpanCounts>,
}

impl<E: opentelemetry_sdk::trace::SpanExporter> opentelemetry_sdk::trace::SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let size = batch.len();
        self.counts.waiting.fetch_sub(size, Ordering::Relaxed);
        let result = self.inner.export(batch).await;
        if result.is_err() {
            self.counts.failed.fetch_add(size as u64, Ordering::Relaxed);
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

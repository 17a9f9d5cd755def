//! Rate, errors and duration of each route, by OpenTelemetry's conventions for HTTP servers
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>).

use std::{sync::Arc, time::Duration};

use actix_web::{
    Error, HttpMessage as _,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web::Data,
};
use opentelemetry::{
    KeyValue, global,
    metrics::{Histogram, UpDownCounter},
};

use crate::{ApiContext, telemetry};

/// The instruments; they cost next to nothing where metrics are neither read nor exported.
pub(crate) struct HttpMetrics {
    duration: Histogram<f64>,
    active: UpDownCounter<i64>,
}

impl HttpMetrics {
    pub(crate) fn new() -> Arc<Self> {
        let meter = global::meter("postrider");
        Arc::new(Self {
            duration: meter
                .f64_histogram("http.server.request.duration")
                .with_unit("s")
                .with_description("How long requests take, by method, route and status")
                .build(),
            active: meter
                .i64_up_down_counter("http.server.active_requests")
                .with_unit("{request}")
                .with_description("Requests under way, by method")
                .build(),
        })
    }
}

/// The pattern that a request's path matches, found once: the router's patterns cost more than what is done with them.
#[derive(Debug, Clone)]
pub(crate) struct Route(Arc<str>);

impl Route {
    /// Paths of unknown routes are whatever a stranger sends, so they have one name.
    const UNKNOWN: &'static str = "unknown";

    fn of(request: &ServiceRequest) -> Self {
        Self(
            request
                .match_pattern()
                .map_or_else(|| Self::UNKNOWN.into(), Arc::from),
        )
    }

    /// The pattern.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Counts a request while it is under way, whatever ends it: an answer, or a client that goes.
struct Active<'m> {
    counter: &'m UpDownCounter<i64>,
    labels: [KeyValue; 1],
}

impl<'m> Active<'m> {
    fn new(counter: &'m UpDownCounter<i64>, method: &'static str) -> Self {
        let labels = [KeyValue::new("http.request.method", method)];
        counter.add(1, &labels);
        Self { counter, labels }
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.counter.add(-1, &self.labels);
    }
}

/// Measures a request.
pub(crate) async fn measure<B: MessageBody>(
    metrics: Arc<HttpMetrics>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let method = telemetry::known_method(request.method());
    let _active = Active::new(&metrics.active, method);
    let route = Route::of(&request);
    request.extensions_mut().insert(route.clone());
    let clock = request
        .app_data::<Data<ApiContext>>()
        .map(|context| Arc::clone(&context.clock));
    let started = clock.as_ref().map(|clock| clock.monotonic());
    let answered = next.call(request).await;
    let elapsed = clock.zip(started).map_or(Duration::ZERO, |(clock, started)| {
        clock.monotonic().saturating_sub(started)
    });
    let status = match &answered {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    metrics.duration.record(
        elapsed.as_secs_f64(),
        &[
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route.0),
            KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
        ],
    );
    answered
}

//! One trace joins a publish to its commit, its fan-out and every attempt, and nothing secret is in it.
//!
//! In a binary of their own: tracing caches for the whole process whether anybody listens to a span, so a test beside
//! them that runs without a subscriber would race with them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry::{
    SpanId, TraceId,
    trace::{SpanKind, Status, TracerProvider as _},
};
use opentelemetry_sdk::trace::{
    IdGenerator, InMemorySpanExporter, RandomIdGenerator, SdkTracerProvider, SpanData,
};
use postrider_application::{
    audit::Record,
    ports::{DeliveryRepository as _, IntakeError, Store as _, UnitOfWork as _, WorkSignal as _},
};
use postrider_domain::{EndpointId, MessageId, messages::TraceParent};
use postrider_engine::EngineOptions;
use postrider_testkit::Answer;
use support::{
    secrets::{URL, tells_no_secret},
    world::World,
};
use tracing::{Instrument as _, Subscriber, span};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _, registry::LookupSpan};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const ASKED_IN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// What spans of messages are called where they are built.
const OF_MESSAGES: [&str; 4] = ["publish", "commit", "fan_out", "deliver"];
const SECOND: Duration = Duration::from_secs(1);

/// Asks the engine first, as the product's generator does.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        self.0.new_trace_id()
    }

    fn new_span_id(&self) -> SpanId {
        postrider_engine::next_span_id().unwrap_or_else(|| self.0.new_span_id())
    }
}

/// The names of all spans that were built, whether anybody records them or not.
#[derive(Clone, Default)]
struct Built(Arc<Mutex<Vec<&'static str>>>);

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Built {
    fn on_new_span(&self, span: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        self.0.lock().unwrap().push(span.metadata().name());
    }
}

/// Who listens to the spans of one test.
struct Ears {
    exporter: InMemorySpanExporter,
    built: Built,
    _provider: SdkTracerProvider,
    // For this thread, on which all of a test's tasks run.
    _guard: tracing::subscriber::DefaultGuard,
}

impl Ears {
    fn prick() -> Self {
        let (exporter, built) = (InMemorySpanExporter::default(), Built::default());
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .with_id_generator(Ids::default())
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(built.clone()).with(layer);
        Self {
            exporter,
            built,
            _provider: provider,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The spans of this name, in the order of their ends.
    fn heard(&self, name: &str) -> Vec<SpanData> {
        let spans = self.exporter.get_finished_spans().unwrap();
        spans.into_iter().filter(|span| span.name == name).collect()
    }

    fn built(&self) -> Vec<&'static str> {
        self.built.0.lock().unwrap().clone()
    }
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)?;
    Some(found.value.to_string())
}

fn has(span: &SpanData, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        assert_eq!(attribute(span, key).as_deref(), Some(*value), "{key}");
    }
}

/// The trace and the span that it is of, as in a `traceparent`.
fn place(span: &SpanData) -> String {
    let context = &span.span_context;
    format!("00-{}-{}-01", context.trace_id(), context.span_id())
}

/// What the span is linked to: which, and as what.
fn links(span: &SpanData) -> Vec<(String, String)> {
    let links = span.links.links.iter().map(|link| {
        let context = &link.span_context;
        let to = format!("00-{}-{}-01", context.trace_id(), context.span_id());
        (to, link.attributes[0].value.to_string())
    });
    links.collect()
}

fn is_child_of(span: &SpanData, parent: &str) -> bool {
    let context = &span.span_context;
    parent.starts_with(&format!("00-{}-{}-", context.trace_id(), span.parent_span_id))
}

#[tokio::test(start_paused = true)]
async fn fan_out_and_each_attempt_are_spans_in_the_trace_of_the_publish() {
    let ears = Ears::prick();
    let world = World::new().await;
    let endpoint = world.endpoint(URL).await;
    world.sender.script(URL, [Answer::Status(503)]);
    let message = world.publish_traced(PARENT).await;
    let engine = world.start();
    let sent = world.sender.sent(2).await;
    world.settled_within(SECOND).await;
    engine.begin_shutdown();
    engine.ended().await;

    let fan_outs = ears.heard("fan_out");
    assert_eq!(fan_outs.len(), 1);
    assert!(is_child_of(&fan_outs[0], PARENT));
    assert_eq!(fan_outs[0].span_kind, SpanKind::Consumer);
    has(
        &fan_outs[0],
        &[
            ("messaging.system", "postrider"),
            ("messaging.operation.type", "process"),
            ("messaging.message.id", &message.to_string()),
            ("messaging.destination.name", &world.customer.id.to_string()),
            ("endpoints", "1"),
            ("parked", "0"),
        ],
    );

    let attempts = ears.heard("POST");
    assert_eq!(attempts.len(), 2);
    for (number, (span, request)) in attempts.iter().zip(&sent).enumerate() {
        assert!(is_child_of(span, PARENT));
        assert_eq!(span.span_kind, SpanKind::Client);
        assert_eq!(request.header("traceparent"), Some(place(span).as_str()));
        has(
            span,
            &[
                ("http.request.method", "POST"),
                ("server.address", "one.example"),
                ("server.port", "8443"),
                ("url.scheme", "https"),
                ("tenant", &world.tenancy.id.to_string()),
                ("application", &world.customer.id.to_string()),
                ("message", &message.to_string()),
                ("endpoint", &endpoint.to_string()),
                ("attempt", &(number + 1).to_string()),
            ],
        );
    }
    let all = ears.exporter.get_finished_spans().unwrap();
    assert!(all.len() >= 3);
    for span in all {
        tells_no_secret(&format!("{span:?}"));
    }
    has(
        &attempts[0],
        &[("http.response.status_code", "503"), ("error.type", "503")],
    );
    assert!(matches!(attempts[0].status, Status::Error { .. }));
    assert_eq!(attribute(&attempts[0], "http.request.resend_count"), None);
    assert_eq!(links(&attempts[0]), []);
    has(
        &attempts[1],
        &[
            ("http.response.status_code", "204"),
            ("http.request.resend_count", "1"),
        ],
    );
    assert_eq!(attribute(&attempts[1], "error.type"), None);
    assert_eq!(
        links(&attempts[1]),
        [(place(&attempts[0]), "retry".into())],
        "a retry is linked to the attempt before it"
    );
}

/// Asks for the delivery to be made again, in a trace.
async fn resend(world: &World, message: MessageId, endpoint: EndpointId, asked_in: &str) {
    let (scope, customer) = (&world.tenancy.scope, world.customer.id);
    let mut tx = world.store.begin(scope).await.unwrap();
    let found = tx.find_delivery(scope, customer, message, endpoint).await;
    let mut delivery = found.unwrap().unwrap();
    delivery.resend(world.clock.now()).unwrap();
    let asked_in = TraceParent::parse(asked_in).unwrap();
    let work = world.fixture.work_id();
    tx.requeue(scope, customer, &delivery, work, Some(&asked_in))
        .await
        .unwrap();
    tx.commit(Record::InHistory).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_asked_for_is_linked_to_who_asked() {
    let ears = Ears::prick();
    let world = World::new().await;
    let endpoint = world.endpoint(URL).await;
    let message = world.publish_traced(PARENT).await;
    let engine = world.start();
    world.sender.sent(1).await;
    world.settled_within(SECOND).await;
    world.sender.script(URL, [Answer::Status(503)]);
    resend(&world, message, endpoint, ASKED_IN).await;
    engine.handle.work_queued();
    world.sender.sent(3).await;
    world.settled_within(SECOND).await;
    engine.begin_shutdown();
    engine.ended().await;

    let attempts = ears.heard("POST");
    assert_eq!(attempts.len(), 3);
    assert!(attempts.iter().all(|span| is_child_of(span, PARENT)));
    assert_eq!(links(&attempts[0]), []);
    let asked = (ASKED_IN.to_owned(), "asked_by".to_owned());
    assert_eq!(
        links(&attempts[1]),
        [(place(&attempts[0]), "retry".into()), asked]
    );
    assert_eq!(links(&attempts[2]), [(place(&attempts[1]), "retry".into())]);
}

#[tokio::test(start_paused = true)]
async fn of_a_publish_that_nobody_records_an_attempt_that_was_asked_for_is_in_the_trace_of_who_asked() {
    let ears = Ears::prick();
    let world = World::new().await;
    let endpoint = world.endpoint(URL).await;
    let message = world.publish_traced(UNSAMPLED).await;
    let engine = world.start();
    let sent = world.sender.sent(1).await;
    assert_eq!(sent[0].header("traceparent"), Some(UNSAMPLED));
    world.settled_within(SECOND).await;
    let built = ears.built();
    assert!(
        !built.iter().any(|name| OF_MESSAGES.contains(name)),
        "spans were built for nothing: {built:?}"
    );

    resend(&world, message, endpoint, ASKED_IN).await;
    engine.handle.work_queued();
    world.sender.sent(2).await;
    world.settled_within(SECOND).await;
    engine.begin_shutdown();
    engine.ended().await;
    let attempts = ears.heard("POST");
    assert_eq!(attempts.len(), 1);
    assert!(is_child_of(&attempts[0], ASKED_IN));
    assert_eq!(links(&attempts[0]), [(PARENT.to_owned(), "publish".to_owned())]);
}

/// What one caller waits for, under a span of theirs.
async fn accepted(
    world: &World,
    node: &support::node::Node,
    trace: &str,
    caller: tracing::Span,
) -> Result<(), IntakeError> {
    let mut message = world.fixture.message(&world.customer);
    message.trace = Some(TraceParent::parse(trace).unwrap());
    let accept = node.accept(&world.customer, message).instrument(caller);
    accept.await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn each_who_waits_for_a_group_commit_has_a_span_of_it() {
    let ears = Ears::prick();
    let world = World::new().await;
    let node = world.node(EngineOptions::default(), &world.sender).await;
    let callers = [(); 2].map(|()| tracing::info_span!("publish"));
    let unrecorded = tracing::info_span!("unrecorded");
    let all = [
        accepted(&world, &node, PARENT, callers[0].clone()),
        accepted(&world, &node, PARENT, callers[1].clone()),
        accepted(&world, &node, UNSAMPLED, unrecorded.clone()),
    ];
    for outcome in futures_util::future::join_all(all).await {
        outcome.unwrap();
    }
    drop((callers, unrecorded));
    let (commits, publishes) = (ears.heard("commit messages"), ears.heard("publish"));
    assert_eq!((commits.len(), publishes.len()), (2, 2));
    for publish in publishes {
        let own = commits
            .iter()
            .find(|commit| is_child_of(commit, &place(&publish)))
            .expect("a commit below each publish");
        assert_eq!(own.span_kind, SpanKind::Client);
        has(
            own,
            &[
                ("db.operation.name", "commit"),
                ("db.collection.name", "messages"),
                ("db.operation.batch.size", "3"),
            ],
        );
        assert!(own.start_time >= publish.start_time && own.end_time <= publish.end_time);
    }
}

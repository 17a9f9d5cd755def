//! A tenant with rows in every table.

use postrider_application::ports::{
    AggregateKey, Dedup, EndpointHour, SetAside, StartAt, Store as _, TenantDay, UnitOfWork as _,
};
use postrider_domain::{
    Description, EndpointId, UserId,
    access::Role,
    event_types::{EventType, EventTypeName},
    figures::{EndpointFigures, UsageFigures, day_of},
    replays::{ReplayLimit, ReplayMode},
    users::Email,
};

use crate::contract::{
    Customer, Fixture, Harness, Tenancy,
    answers::new_answer,
    people_steps::HOUR,
    queue_steps::{alone, is_stored, write_one},
    relaying::refused,
};

/// Every table that a tenant has rows in.
pub(super) const TABLES: [&str; 23] = [
    "api_keys",
    "applications",
    "attempts",
    "audit_entries",
    "dead_letters",
    "dedup",
    "deliveries",
    "endpoint_failures",
    "endpoint_stats",
    "endpoints",
    "event_type_schemas",
    "event_types",
    "idempotency_keys",
    "invitations",
    "memberships",
    "messages",
    "outbox_events",
    "outbox_work",
    "payloads",
    "replays",
    "sessions",
    "tenant_usage",
    "tenants",
];

/// A tenant with rows in every table.
pub(super) struct Full {
    pub(super) tenant: Tenancy,
    /// A member of this tenant alone, besides the owner.
    pub(super) bob: UserId,
}

pub(super) async fn full<H: Harness>(fixture: &Fixture<'_, H>, name: &str) -> Full {
    let tenant = fixture.tenant(name).await;
    let bob = people(fixture, &tenant, name).await;
    event_types(fixture, &tenant).await;
    let customer = fixture.application_named(&tenant, Some("customer")).await;
    let endpoint = fixture.endpoint(&tenant, &customer).await;
    messages(fixture, &tenant, &customer, endpoint).await;
    for _ in 0..3 {
        let (of, limit) = ((customer.id, endpoint), ReplayLimit::default());
        let mut replay = fixture.new_replay(&tenant, of, ReplayMode::Missing, limit, fixture.now());
        fixture.save(&tenant.scope, &mut replay).await.unwrap();
    }
    figures(fixture, &tenant, &customer, endpoint).await;
    logs(fixture, &tenant, name).await;
    Full { tenant, bob }
}

/// The tenant's people and machines; a member of this tenant alone.
async fn people<H: Harness>(fixture: &Fixture<'_, H>, tenant: &Tenancy, name: &str) -> UserId {
    let bob = Email::parse(&format!("bob-of-{name}@example.com")).unwrap();
    let bob = fixture.person(&bob).await;
    fixture.membership(tenant, bob, Role::Viewer).await;
    for user in [tenant.owner, bob] {
        fixture.session(tenant, user).await;
        fixture.password_reset(user, fixture.now().plus(HOUR)).await;
    }
    fixture.invitation(tenant, "guest@example.com").await;
    fixture.api_key(tenant).await;
    bob
}

async fn event_types<H: Harness>(fixture: &Fixture<'_, H>, tenant: &Tenancy) {
    let event_type = EventTypeName::parse("invoice.paid").unwrap();
    let mut event_type = EventType::register(tenant.id, event_type, Description::default(), fixture.now());
    fixture.save(&tenant.scope, &mut event_type).await.unwrap();
    fixture.event_type_with_schema(tenant, "invoice.sent").await;
}

/// Messages that were delivered, that failed, that are being delivered, and that were published under a key.
async fn messages<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
    endpoint: EndpointId,
) {
    let node = fixture.node().await;
    for _ in 0..2 {
        let (message, work) = fixture.delivery(node, customer, endpoint).await;
        let delivered = fixture.delivered(message, endpoint);
        assert!(fixture.settle(node, work, delivered).await);
        let failing = fixture.endpoint(tenant, customer).await;
        let (message, work) = fixture.delivery(node, customer, failing).await;
        let failed = fixture.failed(message, failing).0;
        assert!(fixture.settle(node, work, failed).await);
    }
    fixture.delivery(node, customer, endpoint).await;
    for key in 0..3 {
        let dedup = Some(Dedup {
            key_hash: [key; 32],
            body_hash: [7; 32],
            window: HOUR,
        });
        let new = alone(fixture.message(customer), dedup);
        let written = write_one(&*fixture.ports().writer, new).await;
        assert!(is_stored(&written), "{written:?}");
    }
}

async fn figures<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
    endpoint: EndpointId,
) {
    let ago = |days: u32| day_of(fixture.now().minus(days * HOUR * 24));
    let hours = [0, 1, 2].map(|days| EndpointHour {
        tenant: tenant.id,
        application: customer.id,
        endpoint,
        hour: ago(days),
        figures: EndpointFigures::default(),
    });
    let days = [0, 1, 2].map(|days| TenantDay {
        tenant: tenant.id,
        day: ago(days),
        figures: UsageFigures::default(),
    });
    let figures = &fixture.ports().figures;
    figures.add_figures(&hours, &days).await.unwrap();
}

/// Entries of the audit log, answers that are kept, and events that a subscriber of the tenant's name could not take.
async fn logs<H: Harness>(fixture: &Fixture<'_, H>, tenant: &Tenancy, name: &str) {
    for nth in 0..3 {
        let scope = fixture.scope_of(&tenant.caller).await;
        let tx = fixture.store().begin(&scope).await.unwrap();
        tx.commit(scope.did(nth)).await.unwrap();
        let answer = new_answer(Some(tenant.id), nth, 1);
        fixture.ports().answers.keep(answer).await.unwrap();
    }
    let (cursors, node) = (&fixture.ports().cursors, fixture.node().await);
    cursors.declare(name, StartAt::Beginning).await.unwrap();
    assert_eq!(cursors.take(node, &[name]).await.unwrap().len(), 1);
    let of_tenant = |position| SetAside {
        of: AggregateKey {
            tenant: Some(tenant.id),
            aggregate: "a".to_owned(),
        },
        ..refused(position, "a")
    };
    let aside = [1, 2, 3].map(of_tenant);
    assert!(cursors.advance(node, name, 3, &aside).await.unwrap());
}

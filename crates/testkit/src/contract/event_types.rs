//! Event types, their schemas, and what their tenant set about them.

use postrider_application::{
    audit::Record,
    ports::{
        EventTypeViews as _, Repository as _, SchemaRepository as _, Store as _, TenantViews as _,
        UnitOfWork as _,
    },
};
use postrider_domain::{
    Aggregate as _, Change, Description, Name, Timestamp,
    event_types::{EventType, EventTypeName, Example, SchemaText, SchemaVersion},
    tenants::{SchemaValidation, Tenant, TenantSettings, UnregisteredEventTypes},
};

use super::{Fixture, Harness, Tenancy, paging::pieces};

fn name(text: &str) -> EventTypeName {
    EventTypeName::parse(text).unwrap()
}

fn version(number: u32, at: Timestamp) -> SchemaVersion {
    SchemaVersion {
        number,
        schema: SchemaText::new(format!(r#"{{"maxLength": {number}, "title": "\u00e9"}}"#)).unwrap(),
        example: number.is_multiple_of(2).then(|| Example::new(r#""a""#).unwrap()),
        created_at: at,
    }
}

async fn register<H: Harness>(fixture: &Fixture<'_, H>, tenant: &Tenancy, text: &str) -> EventType {
    let mut event_type = EventType::register(tenant.id, name(text), Description::default(), fixture.now());
    fixture.save(&tenant.scope, &mut event_type).await.unwrap();
    fixture.find(&tenant.scope, &name(text)).await.unwrap()
}

/// Adds the next schema of the event type.
async fn add<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    event_type: &EventTypeName,
) -> SchemaVersion {
    let mut found: EventType = fixture.find(&tenant.scope, event_type).await.unwrap();
    let added = version(found.add_schema(), Timestamp::from_micros(1_700_000_000_000_001));
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.save(&tenant.scope, &mut found).await.unwrap();
    tx.add_schema(&tenant.scope, event_type, &added).await.unwrap();
    tx.commit(Record::InHistory).await.unwrap();
    added
}

impl<H: Harness> Fixture<'_, H> {
    /// A new event type with a schema, stored.
    pub async fn event_type_with_schema(&self, tenant: &Tenancy, text: &str) {
        register(self, tenant, text).await;
        add(self, tenant, &name(text)).await;
    }
}

/// Schemas come back as they were added, the latest with its event type; nobody else sees them.
pub async fn schemas_survive<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    register(&fixture, &tenant, "invoice.paid").await;
    register(&fixture, &other, "invoice.paid").await;
    let event_type = name("invoice.paid");
    let (first, second) = (
        add(&fixture, &tenant, &event_type).await,
        add(&fixture, &tenant, &event_type).await,
    );
    let store = fixture.store();
    let view = store
        .event_type(&tenant.scope, &event_type)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(view.event_type.value.latest_schema, 2);
    assert_eq!(view.latest.as_ref(), Some(&second));
    assert_eq!(view.schemas, [(1, first.created_at), (2, second.created_at)]);
    for version in [&first, &second] {
        let read = store
            .event_type_schema(&tenant.scope, &event_type, version.number)
            .await;
        assert_eq!(read.unwrap().as_ref(), Some(version));
    }
    for number in [0, 3, u32::MAX] {
        let read = store.event_type_schema(&tenant.scope, &event_type, number).await;
        assert_eq!(read.unwrap(), None);
    }
    let theirs = store
        .event_type(&other.scope, &event_type)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((theirs.latest, theirs.schemas), (None, vec![]));
    let read = store.event_type_schema(&other.scope, &event_type, 1).await;
    assert_eq!(read.unwrap(), None);
    let known = &fixture.ports().event_types;
    let ours = known
        .known_event_type(&tenant.scope, &event_type)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ours.schema.unwrap().text(), &second.schema);
    let theirs = known
        .known_event_type(&other.scope, &event_type)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((theirs.schema, theirs.archived), (None, false));
    let unknown = known.known_event_type(&tenant.scope, &name("x")).await.unwrap();
    assert_eq!(unknown, None);
}

/// Of many schemas the newest are kept.
pub async fn old_schemas_go<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    for text in ["a", "b"] {
        register(&fixture, &tenant, text).await;
    }
    add(&fixture, &tenant, &name("b")).await;
    for _ in 0..SchemaVersion::MAX_KEPT + 2 {
        add(&fixture, &tenant, &name("a")).await;
    }
    let view = fixture
        .store()
        .event_type(&tenant.scope, &name("a"))
        .await
        .unwrap()
        .unwrap();
    let numbers: Vec<_> = view.schemas.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (3..=SchemaVersion::MAX_KEPT + 2).collect::<Vec<_>>());
    let other = fixture
        .store()
        .event_type(&tenant.scope, &name("b"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(other.schemas.len(), 1);
}

/// A schema of a transaction that was not committed is not there.
pub async fn a_schema_is_committed_with_its_number<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let mut event_type = register(&fixture, &tenant, "a").await;
    let added = version(event_type.add_schema(), fixture.now());
    let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.save(&tenant.scope, &mut event_type).await.unwrap();
    tx.add_schema(&tenant.scope, &name("a"), &added).await.unwrap();
    drop(tx);
    let view = fixture
        .store()
        .event_type(&tenant.scope, &name("a"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((view.latest, view.event_type.value.latest_schema), (None, 0));
}

/// Event types are counted as the transaction sees them, archived ones too, and nobody else's.
pub async fn event_types_are_counted_within_their_tenant<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    register(&fixture, &tenant, "a").await;
    let mut archived = register(&fixture, &tenant, "b").await;
    assert_eq!(archived.archive(fixture.now()), Change::Made);
    fixture.save(&tenant.scope, &mut archived).await.unwrap();
    for (tenant, expected) in [(&tenant, 2), (&other, 0)] {
        let mut tx = fixture.store().begin(&tenant.scope).await.unwrap();
        assert_eq!(tx.count_event_types(&tenant.scope).await.unwrap(), expected);
        let (name, at) = (name("one.more"), fixture.now());
        let mut one_more = EventType::register(tenant.id, name, Description::default(), at);
        tx.save(&tenant.scope, &mut one_more).await.unwrap();
        assert_eq!(tx.count_event_types(&tenant.scope).await.unwrap(), expected + 1);
    }
}

/// A list by name, there and back; archived ones only if they are asked for.
pub async fn event_types_are_listed_by_name<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    register(&fixture, &other, "not.ours").await;
    let names = ["a", "a.b", "a.c", "b", "c"];
    for text in ["c", "a.b", "b", "a", "a.c"] {
        register(&fixture, &tenant, text).await;
    }
    let mut gone: EventType = fixture.find(&tenant.scope, &name("b")).await.unwrap();
    assert_eq!(gone.archive(fixture.now()), Change::Made);
    fixture.save(&tenant.scope, &mut gone).await.unwrap();
    for archived in [true, false] {
        let list = pieces(2, async |page| {
            let store = fixture.store();
            store.event_types(&tenant.scope, archived, page).await.unwrap()
        });
        let listed: Vec<_> = list.await.concat().into_iter().map(|state| state.name).collect();
        let wanted = names.iter().filter(|text| archived || **text != "b");
        assert_eq!(listed, wanted.map(|text| name(text)).collect::<Vec<_>>());
    }
    let known = fixture
        .ports()
        .event_types
        .known_event_type(&tenant.scope, &name("b"))
        .await;
    assert!(known.unwrap().unwrap().archived);
}

/// What a tenant set is shown, and comes with every credential.
pub async fn a_tenants_settings_survive<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let customer = fixture.application(&tenant).await;
    let session = fixture.session(&tenant, tenant.owner).await;
    let head = fixture.ports().events.head().await.unwrap();
    for schema_validation in SchemaValidation::ALL {
        for unregistered_event_types in UnregisteredEventTypes::ALL {
            let settings = TenantSettings {
                schema_validation: *schema_validation,
                unregistered_event_types: *unregistered_event_types,
            };
            let mut found: Tenant = fixture.find(&tenant.scope, &tenant.id).await.unwrap();
            let _ = found.update(Name::parse("Acme").unwrap(), settings).unwrap();
            fixture.save(&tenant.scope, &mut found).await.unwrap();
            let itself = fixture.store().tenant(&tenant.scope).await.unwrap().unwrap();
            assert_eq!(
                (itself.value.settings, itself.version),
                (settings, found.version().next())
            );
            let credentials = &fixture.ports().credentials;
            let portal = credentials.portal(tenant.id, customer.id).await.unwrap().unwrap();
            let session = credentials.session(session.state().id).await.unwrap().unwrap();
            assert_eq!(
                (portal.tenant_settings, session.tenant_settings),
                (settings, settings)
            );
        }
    }
    let theirs = fixture.store().tenant(&other.scope).await.unwrap().unwrap();
    assert_eq!(theirs.value.settings, TenantSettings::default());
    let events = fixture.ports().events.after(head, 1).await.unwrap();
    assert_eq!(events[0].kind, "tenant.updated");
    assert_eq!(
        events[0].body,
        r#"{"v":1,"name":"Acme","schema_validation":"off","unregistered_event_types":"accept"}"#
    );
}

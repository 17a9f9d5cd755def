//! What an export holds, row by row, and what it never holds.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use postrider_application::ports::{
    AnswerKey, Dedup, ExportRow, KeptAnswer, MessageWriter as _, NewAnswer, NewMessage, SigningKeyStore as _,
    Store as _, StoredSigningKey, TenantExport as _, UnitOfWork as _, Written,
};
use postrider_domain::{
    Description, EndpointId, MessageId,
    access::Role,
    event_types::{EventType, EventTypeName},
    messages::{ContentType, Payload},
};
use postrider_testkit::contract::{Customer, Fixture, Tenancy};
use serde_json::Value;

use crate::{
    on_both,
    outside::Outside,
    secrets::{SECRET, endpoint},
    support::{PostgresHarness, SqliteHarness},
};

/// Not UTF-8, and with a zero in it.
const PAYLOAD: [u8; 5] = [0xff, 0, b'"', 0xfe, b'\n'];

/// Which kind is which table's rows. Payloads come with their messages, and `dedup` holds nothing but hashes.
const KINDS: [(&str, &str); 15] = [
    ("tenant", "tenants"),
    ("member", "memberships"),
    ("invitation", "invitations"),
    ("session", "sessions"),
    ("api_key", "api_keys"),
    ("application", "applications"),
    ("event_type", "event_types"),
    ("schema", "event_type_schemas"),
    ("endpoint", "endpoints"),
    ("message", "messages"),
    ("delivery", "deliveries"),
    ("attempt", "attempts"),
    ("queued", "outbox_work"),
    ("event", "outbox_events"),
    ("audit_entry", "audit_entries"),
];

/// Everything that is stored of a secret, as an expression and its table.
const SECRETS: [(&str, &str); 12] = [
    ("CAST(password_hash AS {bytes})", "users"),
    ("token_hash", "password_resets"),
    ("token_hash", "invitations"),
    ("family_hash", "sessions"),
    ("refresh_hash", "sessions"),
    ("secret_hash", "api_keys"),
    ("sealed_secret", "endpoints"),
    ("key_hash", "dedup"),
    ("body_hash", "dedup"),
    ("sealed_private_key", "signing_keys"),
    ("value", "installation"),
    ("CAST(kid AS {bytes})", "signing_keys"),
];

async fn publish<H: Outside>(
    fixture: &Fixture<'_, H>,
    customer: &Customer,
    payload: &[u8],
    dedup: Option<Dedup>,
) -> MessageId {
    let mut message = fixture.message(customer);
    message.payload = Payload::restore(
        payload.to_vec(),
        ContentType::parse("application/x-noise").unwrap(),
    );
    let id = message.id;
    let new = NewMessage {
        message: Arc::new(message),
        dedup,
        owner: None,
    };
    let written = fixture.store().write(&[new]).await.unwrap();
    assert!(matches!(written[..], [Written::Stored { .. }]), "{written:?}");
    id
}

/// A tenant with rows of every kind, two messages of which one is queued.
struct Full {
    tenant: Tenancy,
    customer: Customer,
    endpoint: EndpointId,
    queued: MessageId,
}

async fn full<H: Outside>(fixture: &Fixture<'_, H>, name: &str) -> Full {
    let tenant = fixture.tenant(name).await;
    let hour = std::time::Duration::from_hours(1);
    fixture.session(&tenant, tenant.owner).await;
    fixture
        .password_reset(tenant.owner, fixture.now().plus(hour))
        .await;
    fixture
        .invitation(&tenant, &format!("guest-of-{name}@example.com"))
        .await;
    let machine = fixture.stranger().await;
    fixture.membership(&tenant, machine, Role::Viewer).await;
    fixture.api_key(&tenant).await;
    let event_type = EventTypeName::parse("invoice.paid").unwrap();
    let mut event_type = EventType::register(tenant.id, event_type, Description::default(), fixture.now());
    fixture.save(&tenant.scope, &mut event_type).await.unwrap();
    fixture.event_type_with_schema(&tenant, "invoice.sent").await;
    let tx = fixture.store().begin(&tenant.scope).await.unwrap();
    tx.commit(tenant.scope.did("something")).await.unwrap();
    let customer = fixture.application_named(&tenant, Some("customer")).await;
    let endpoint = endpoint(fixture, &tenant, &customer).await;
    let node = fixture.node().await;
    let (message, work) = fixture.delivery(node, &customer, endpoint).await;
    assert!(
        fixture
            .settle(node, work, fixture.delivered(message, endpoint))
            .await
    );
    let dedup = Dedup {
        key_hash: [b'k'; 32],
        body_hash: [b'b'; 32],
        window: hour,
    };
    let queued = publish(fixture, &customer, &PAYLOAD, Some(dedup)).await;
    let answer = NewAnswer {
        key: AnswerKey {
            tenant: Some(tenant.id),
            hash: [b'k'; 32],
        },
        answer: KeptAnswer {
            asked: [b'b'; 32],
            bytes: b"an answer".to_vec(),
        },
        window: hour,
    };
    fixture.ports().answers.keep(answer).await.unwrap();
    Full {
        tenant,
        customer,
        endpoint,
        queued,
    }
}

/// The whole export in pages of up to `limit` rows.
async fn export<H: Outside>(harness: &H, tenant: &Tenancy, limit: u32) -> Vec<ExportRow> {
    let (mut rows, mut after) = (Vec::new(), None);
    for _ in 0..10_000 {
        let page = harness.store().export_page(&tenant.scope, after, limit).await;
        let page = page.unwrap();
        assert!(page.rows.len() <= limit as usize);
        rows.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return rows;
        }
    }
    panic!("it does not end");
}

fn counts(rows: &[ExportRow]) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.kind).or_default() += 1;
    }
    counts
}

fn of_kind(rows: &[ExportRow], kind: &str) -> Vec<Value> {
    let of_kind = rows.iter().filter(|row| row.kind == kind);
    of_kind
        .map(|row| serde_json::from_str(&row.json).unwrap())
        .collect()
}

/// As many rows of each kind as there are in its table, whatever the pages; none of another tenant's.
async fn each_row_is_exported_once<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (ours, theirs) = (full(&fixture, "ours").await, full(&fixture, "theirs").await);
    let rows = export(harness, &ours.tenant, 1_000).await;
    let stored = harness.rows(Some(ours.tenant.id)).await;
    let tables: BTreeMap<&str, &str> = KINDS.into_iter().collect();
    let exported = counts(&rows);
    assert_eq!(exported.len(), KINDS.len(), "{exported:?}");
    for (kind, count) in &exported {
        assert_eq!(*count, stored[tables[kind]], "{kind}");
    }
    let told: Vec<&str> = KINDS.iter().map(|(_, table)| *table).collect();
    let untold: Vec<&String> = stored
        .keys()
        .filter(|table| !told.contains(&table.as_str()))
        .collect();
    assert_eq!(untold, ["dedup", "idempotency_keys", "payloads"]);
    for limit in [1, 3] {
        assert_eq!(export(harness, &ours.tenant, limit).await, rows);
    }
    let other = theirs.tenant;
    for marker in [
        other.id.to_string(),
        other.owner.to_string(),
        theirs.customer.id.to_string(),
        theirs.queued.to_string(),
        "theirs".to_owned(),
    ] {
        assert!(rows.iter().all(|row| !row.json.contains(&marker)), "{marker}");
    }
}

/// Ids, times, bytes and lists as the API shows them.
async fn rows_are_in_public_forms<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let full = full(&fixture, "acme").await;
    let rows = export(harness, &full.tenant, 1_000).await;
    let tenant = &of_kind(&rows, "tenant")[0];
    assert_eq!(
        (&tenant["id"], &tenant["status"]),
        (&full.tenant.id.to_string().into(), &"active".into())
    );
    let at = tenant["created_at"].as_str().unwrap();
    assert!(
        at.len() == "2026-11-22T18:00:00.000000Z".len() && at.ends_with('Z'),
        "{at}"
    );

    let messages = of_kind(&rows, "message");
    let queued = messages
        .iter()
        .find(|row| row["id"] == full.queued.to_string())
        .unwrap();
    let payload = STANDARD.decode(queued["payload"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&payload[..], &queued["payload_bytes"]),
        (&PAYLOAD[..], &5.into())
    );
    assert_eq!(queued["content_type"], "application/x-noise");

    let members = of_kind(&rows, "member");
    let owner = members
        .iter()
        .find(|row| row["user"] == full.tenant.owner.to_string())
        .unwrap();
    assert_eq!(owner["email"], full.tenant.email.as_str());
    assert_eq!(
        owner["grants"],
        serde_json::json!([{"role": "owner", "application": null}])
    );

    let endpoint = &of_kind(&rows, "endpoint")[0];
    assert_eq!(endpoint["id"], full.endpoint.to_string());
    assert_eq!(endpoint["application"], full.customer.id.to_string());
    assert_eq!(endpoint["event_types"], serde_json::json!([]));
    let attempt = &of_kind(&rows, "attempt")[0];
    assert_eq!(
        (&attempt["number"], &attempt["http_status"]),
        (&1.into(), &204.into())
    );
    let queue = &of_kind(&rows, "queued")[0];
    assert_eq!(
        (&queue["message"], &queue["endpoint"]),
        (&full.queued.to_string().into(), &Value::Null)
    );
    let created = of_kind(&rows, "event");
    let created = created
        .iter()
        .find(|row| row["kind"] == "endpoint.created")
        .unwrap();
    assert_eq!(created["body"]["url"], "https://example.com/hooks");
}

/// Neither what was sealed or hashed, nor what it was made of, in any form in which it might have been written.
async fn no_secret_is_exported<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let full = full(&fixture, "acme").await;
    let key = StoredSigningKey {
        kid: "the-signing-key".to_owned(),
        sealed_private_key: b"the sealed private key".to_vec(),
        created_at: fixture.now(),
    };
    harness.store().add_first_signing_key(key).await.unwrap();
    let bytes = if H::IS_POSTGRES { "bytea" } else { "blob" };
    let mut secrets = vec![SECRET.to_vec()];
    for (column, table) in SECRETS {
        let column = column.replace("{bytes}", bytes);
        let stored = harness.bytes(&format!("SELECT {column} FROM {table}")).await;
        assert!(!stored.is_empty() || table == "installation", "{table} is empty");
        secrets.extend(stored);
    }
    let rows = export(harness, &full.tenant, 1_000).await;
    assert!(
        rows.iter()
            .any(|row| row.json.contains("https://example.com/hooks"))
    );
    for secret in secrets {
        let mut forms = vec![
            hex::encode(&secret),
            hex::encode_upper(&secret),
            STANDARD.encode(&secret),
            serde_json::to_string(&secret).unwrap(),
        ];
        if let Ok(text) = String::from_utf8(secret) {
            forms.push(text);
        }
        for (row, form) in rows
            .iter()
            .flat_map(|row| forms.iter().map(move |form| (row, form)))
        {
            assert!(!row.json.contains(form.as_str()), "{}: {form}", row.kind);
        }
    }
}

/// Large payloads make small pages, and one that is larger than a page comes alone.
async fn large_payloads_make_small_pages<H: Outside>(harness: &H) {
    const MIB: usize = 1024 * 1024;
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let mut published = Vec::new();
    for mebibytes in [1, 2, 5, 1, 1, 1, 1, 1] {
        let payload = vec![b'x'; mebibytes * MIB];
        published.push(publish(&fixture, &customer, &payload, None).await.to_string());
    }
    let (mut exported, mut after) = (Vec::new(), None);
    loop {
        let page = harness.store().export_page(&tenant.scope, after, 1_000).await;
        let page = page.unwrap();
        let sizes: Vec<usize> = page.rows.iter().map(|row| row.json.len()).collect();
        // Four mebibytes, and the row that began before they were used up; base64 makes four bytes of three.
        let largest = sizes.iter().copied().max().unwrap_or(0);
        let others = sizes.iter().sum::<usize>() - largest;
        assert!(others < 6 * MIB, "{sizes:?}");
        exported.extend(of_kind(&page.rows, "message"));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let exported: Vec<&str> = exported.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(exported, published);
}

/// Windows of a table of all tenants' rows end among others' rows, and within ours.
async fn an_export_walks_through_other_tenants_rows<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("ours").await;
    let other = fixture.tenant("theirs").await;
    let (ours, theirs) = (tenant.id.as_uuid(), other.id.as_uuid());
    for (tenant, first, step, rows) in [
        (theirs, 1, 1, 5_000),
        (ours, 10_000, 1, 2_500),
        (theirs, 20_001, 2, 3_000),
        (ours, 20_002, 2, 3_000),
    ] {
        harness.run(&H::messages(tenant, first, step, rows)).await;
    }
    for limit in [900, 1_000] {
        let rows = export(harness, &tenant, limit).await;
        let messages = of_kind(&rows, "message");
        let mut ids: Vec<&str> = messages.iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 5_500);
        assert!(ids.is_sorted());
        ids.dedup();
        assert_eq!(ids.len(), 5_500);
        // No payload is stored: it may go earlier.
        assert!(messages.iter().all(|row| row["payload"].is_null()));
    }
}

on_both! {
    each_row_is_exported_once;
    rows_are_in_public_forms;
    no_secret_is_exported;
    large_payloads_make_small_pages;
    an_export_walks_through_other_tenants_rows;
}

//! Signing secrets at rest.

use std::fs;

use postrider_application::ports::{
    DeliveryMaterial as _, EndpointViews as _, Repository, Store as _, StoreError,
};
use postrider_domain::{
    Description, EndpointId, Metadata,
    endpoints::{
        CustomHeaders, Endpoint, EndpointRef, EndpointUrl, Filter, NewEndpoint, SecretRing, SigningSecret,
    },
};
use postrider_persistence::SqlStore;
use postrider_testkit::contract::{Customer, Fixture, Harness, Tenancy};

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness, sealer},
};

pub(crate) const SECRET: [u8; 32] = *b"a signing secret to be found out";

/// An endpoint that signs with it.
pub(crate) async fn endpoint<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
) -> EndpointId {
    let new = NewEndpoint {
        uid: None,
        url: EndpointUrl::parse("https://example.com/hooks").unwrap(),
        description: Description::default(),
        filter: Filter::default(),
        secret: SigningSecret::generate(SECRET).into(),
        headers: CustomHeaders::default(),
        retry_schedule: None,
        timeout: None,
        metadata: Metadata::default(),
    };
    let id = EndpointId::from_uuid(fixture.uuid());
    let mut endpoint = Endpoint::create(id, tenant.id, customer.id, new, fixture.now());
    fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
    id
}

/// What the endpoint signs with.
fn ring() -> SecretRing {
    SecretRing::of(SigningSecret::generate(SECRET).into())
}

/// The forms in which a secret might have been stored.
fn forms() -> [Vec<u8>; 3] {
    let text = SigningSecret::generate(SECRET).reveal().into_bytes();
    let hex = hex::encode(SECRET).into_bytes();
    [SECRET.to_vec(), text[SigningSecret::PREFIX.len()..].to_vec(), hex]
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn a_plain_secret_is_nowhere_in_the_data_directory() {
    let harness = SqliteHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    endpoint(&fixture, &tenant, &customer).await;
    let mut searched = 0;
    for entry in fs::read_dir(harness.directory.path()).unwrap() {
        let file = entry.unwrap().path();
        let bytes = fs::read(&file).unwrap();
        searched += usize::from(holds(&bytes, b"https://example.com/hooks"));
        for form in forms() {
            assert!(!holds(&bytes, &form), "{}", file.display());
        }
    }
    assert!(searched > 0, "the endpoint itself was found");
    harness.finish().await;
}

#[tokio::test]
async fn a_plain_secret_is_in_no_row() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    endpoint(&fixture, &tenant, &customer).await;
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT e::text || encode(sealed_secret, 'escape') FROM endpoints e
         UNION ALL SELECT o::text FROM outbox_events o",
    )
    .fetch_all(&harness.outside)
    .await
    .unwrap();
    assert!(rows.iter().any(|row| row.contains("https://example.com/hooks")));
    for (row, form) in rows.iter().flat_map(|row| forms().map(|form| (row, form))) {
        assert!(!holds(row.as_bytes(), &form));
    }
    harness.finish().await;
}

/// Our fault, and of this endpoint alone: what else the engine reads is not held up by it.
async fn a_secret_under_another_key_is_no_secret<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let id = endpoint(&fixture, &tenant, &customer).await;
    let reference = EndpointRef::Id(id);
    let right = harness.store();
    let wrong = SqlStore::new(right.database().clone(), sealer(2));

    let secret = right
        .endpoint_secrets(&tenant.scope, customer.id, &reference)
        .await
        .unwrap();
    assert_eq!(secret, Some(ring()));
    let secret = wrong
        .endpoint_secrets(&tenant.scope, customer.id, &reference)
        .await;
    assert!(matches!(secret, Err(StoreError::Internal(_))), "{secret:?}");
    let mut tx = wrong.begin(&tenant.scope).await.unwrap();
    let found = Repository::<Endpoint>::find(&mut tx, &tenant.scope, &(customer.id, reference.clone())).await;
    assert!(matches!(found, Err(StoreError::Internal(_))));
    drop(tx);
    assert!(
        wrong
            .endpoint(&tenant.scope, customer.id, &reference)
            .await
            .unwrap()
            .is_some()
    );
    let material = wrong.endpoints(&[(tenant.id, customer.id)]).await.unwrap();
    let unsigned = material[&customer.id].get(id).unwrap();
    assert!(unsigned.secrets.is_empty());
}

on_both! { a_secret_under_another_key_is_no_secret; }

/// Who can write rows must not be able to read one tenant's secret through another's endpoint.
#[tokio::test]
async fn a_sealed_secret_is_of_no_use_in_another_row() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let (from, to) = (
        endpoint(&fixture, &tenant, &customer).await,
        fixture.endpoint(&tenant, &customer).await,
    );
    sqlx::query(
        "UPDATE endpoints SET sealed_secret = (SELECT sealed_secret FROM endpoints WHERE id = $1) WHERE id = $2",
    )
    .bind(from.as_uuid())
    .bind(to.as_uuid())
    .execute(&harness.outside)
    .await
    .unwrap();
    let store = harness.store();
    let read = async |id| {
        store
            .endpoint_secrets(&tenant.scope, customer.id, &EndpointRef::Id(id))
            .await
    };
    assert!(matches!(read(to).await, Err(StoreError::Internal(_))));
    assert_eq!(read(from).await.unwrap(), Some(ring()));
    harness.finish().await;
}

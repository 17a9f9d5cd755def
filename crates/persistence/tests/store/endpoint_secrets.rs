//! Key pairs, old secrets and secret headers at rest.

use std::{collections::BTreeMap, sync::Arc};

use postrider_application::ports::{
    DeliveryMaterial as _, EndpointViews as _, SecretsReencryption as _, StoreError,
};
use postrider_crypto::{AeadSealer, MasterKey, OsRandomness};
use postrider_domain::{
    Aggregate as _,
    endpoints::{
        CustomHeaders, Ed25519Key, EndpointAttributes, EndpointRef, EndpointState, HeaderName, HeaderValue,
        Overlap,
    },
};
use postrider_persistence::SqlStore;
use postrider_testkit::contract::{Customer, Fixture, Tenancy};

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness, sealer},
};

const HEADER: &str = "a header to be found out";

/// An endpoint with a key pair, a symmetric secret of before, and a secret header.
async fn endpoint<H: Outside>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    customer: &Customer,
) -> EndpointState {
    let mut endpoint = fixture.new_endpoint(tenant, customer.id, None);
    let pair = Ed25519Key::of_pair([8; 32], [9; 32]);
    endpoint
        .rotate_secret(pair.into(), Overlap::default(), fixture.now())
        .unwrap();
    let mut to = EndpointAttributes::of(endpoint.state());
    let header = |name, value, secret| {
        let value = HeaderValue::parse(value, secret).unwrap();
        (HeaderName::parse(name).unwrap(), value)
    };
    let headers = [
        header("authorization", HEADER, true),
        header("x-shown", "1", false),
    ];
    to.headers = CustomHeaders::new(BTreeMap::from(headers)).unwrap();
    let _ = endpoint.change(to).unwrap();
    fixture.save(&tenant.scope, &mut endpoint).await.unwrap();
    endpoint.state().clone()
}

/// The endpoint as that store reads it; none, if it does not open.
async fn read(store: &SqlStore, tenant: &Tenancy, state: &EndpointState) -> Option<(usize, bool)> {
    let key = [(tenant.id, state.application)];
    let sets = store.endpoints(&key).await.unwrap();
    let deliverable = sets[&state.application].get(state.id).unwrap().clone();
    let reference = EndpointRef::Id(state.id);
    let secrets = store
        .endpoint_secrets(&tenant.scope, state.application, &reference)
        .await;
    match secrets {
        Ok(secrets) => assert_eq!(secrets.as_ref(), Some(&state.secrets)),
        Err(error) => {
            assert!(matches!(error, StoreError::Internal(_)), "{error:?}");
            assert!(deliverable.secrets.is_empty(), "nothing is sent unsigned");
            return None;
        }
    }
    let headers = deliverable.headers.as_deref();
    Some((deliverable.secrets.len(), headers == Some(&state.headers)))
}

/// All that is sealed of an endpoint moves to another master key.
async fn all_of_an_endpoint_is_sealed_anew<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let state = endpoint(&fixture, &tenant, &customer).await;
    let under = |key| SqlStore::new(harness.store().database().clone(), sealer(key));
    assert_eq!(read(&under(1), &tenant, &state).await, Some((2, true)));
    assert_eq!(read(&under(2), &tenant, &state).await, None);

    let sealer = AeadSealer::with_known(
        &MasterKey::from_bytes([2; 32]),
        &[MasterKey::from_bytes([1; 32])],
        Arc::new(OsRandomness::new()),
    );
    let both = SqlStore::new(harness.store().database().clone(), Arc::new(sealer));
    let batch = both.reencrypt(None, 10).await.unwrap();
    assert_eq!((batch.changed, batch.unreadable), (3, 0));
    assert_eq!(read(&under(2), &tenant, &state).await, Some((2, true)));
    assert_eq!(read(&under(1), &tenant, &state).await, None);
    let again = both.reencrypt(None, 10).await.unwrap();
    assert_eq!((again.changed, again.unreadable), (0, 0));
}

/// Nothing secret is in the columns that may be shown, and what is sealed for one purpose is of no use for another:
/// a private key is not taken for a symmetric secret.
async fn what_is_sealed_stays_what_it_is<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let state = endpoint(&fixture, &tenant, &customer).await;
    let shown = harness.texts("SELECT CAST(headers AS text) FROM endpoints").await;
    assert!(shown[0].contains("x-shown") && shown[0].contains("authorization"));
    assert!(!shown[0].contains(HEADER));
    for column in ["sealed_secret", "sealed_old_secrets", "sealed_headers"] {
        let sealed = harness.bytes(&format!("SELECT {column} FROM endpoints")).await;
        for plain in [HEADER.as_bytes(), &[8; 32], &[7; 24]] {
            let found = sealed[0].windows(plain.len()).any(|window| window == plain);
            assert!(!found, "{column}");
        }
    }
    assert_eq!(read(harness.store(), &tenant, &state).await, Some((2, true)));
    harness.run("UPDATE endpoints SET secret_kind = NULL").await;
    assert_eq!(read(harness.store(), &tenant, &state).await, None);
    harness.run("UPDATE endpoints SET secret_kind = 'ed25519'").await;
    harness
        .run("UPDATE endpoints SET sealed_headers = sealed_old_secrets")
        .await;
    let key = [(tenant.id, state.application)];
    let sets = harness.store().endpoints(&key).await.unwrap();
    let unreadable = sets[&state.application].get(state.id).unwrap();
    assert!(unreadable.url.is_none(), "its attempts fail, and are seen to");
}

on_both! {
    all_of_an_endpoint_is_sealed_anew;
    what_is_sealed_stays_what_it_is;
}

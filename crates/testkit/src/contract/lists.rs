//! Lists of applications, API keys and tenants.

use std::time::Duration;

use postrider_application::ports::{
    ApiKeyView, ApplicationViews as _, PrincipalViews as _, TenantViews as _,
};
use postrider_domain::{
    Aggregate as _, ApiKeyId, Name, TenantId,
    access::{Grant, Role, Visibility},
    api_keys::ApiKey,
    tenants::TenantStatus,
    tokens::SecretHash,
};

use super::{Fixture, Harness, paging::pieces};

/// Applications are listed by id in pages, as far as they may be shown; those of other tenants never are, though
/// they be named.
pub async fn applications_are_listed_as_far_as_they_are_visible<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for nth in 0..5 {
        let mut application = fixture.new_application(&tenant, Some(&format!("customer-{nth}")));
        fixture.save(&tenant.scope, &mut application).await.unwrap();
        ours.push(application.state().clone());
        theirs.push(fixture.application(&other).await.id);
    }
    let ids = |some: &[usize]| some.iter().map(|nth| ours[*nth].id).collect::<Vec<_>>();
    let mut mixed = [ids(&[0, 2, 3]), theirs].concat();
    mixed.sort_unstable();
    for (visible, expected) in [
        (Visibility::All, vec![0, 1, 2, 3, 4]),
        (Visibility::Only(ids(&[1])), vec![1]),
        (Visibility::Only(mixed), vec![0, 2, 3]),
        (Visibility::Only(Vec::new()), vec![]),
    ] {
        let store = fixture.store();
        let listed = pieces(2, async |page| {
            store.applications(&tenant.scope, &visible, page).await.unwrap()
        })
        .await;
        let expected: Vec<_> = expected.into_iter().map(|nth: usize| ours[nth].clone()).collect();
        assert_eq!(listed.concat(), expected, "{visible:?}");
        assert_eq!(listed.len(), expected.len().div_ceil(2).max(1), "{visible:?}");
    }
}

/// API keys are listed by id in pages, without their secrets and within their tenant.
pub async fn api_keys_are_listed_in_pages<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let mut expected = Vec::new();
    for nth in 0..3 {
        let id = ApiKeyId::from_uuid(fixture.uuid());
        let (name, at) = (Name::parse(&format!("key {nth}")).unwrap(), fixture.now());
        let grants = vec![Grant::tenant(Role::Publisher)];
        let expires_at = (nth == 1).then(|| at.plus(Duration::from_secs(1)));
        let (hash, held) = (SecretHash([nth; 32]), grants.clone());
        let mut key = ApiKey::mint(id, tenant.id, name.clone(), hash, held, expires_at, at).unwrap();
        fixture.save(&tenant.scope, &mut key).await.unwrap();
        fixture.api_key(&other).await;
        expected.push(ApiKeyView {
            id,
            name,
            grants,
            created_at: at,
            expires_at,
            last_used_at: None,
        });
    }
    let store = fixture.store();
    let listed = pieces(2, async |page| store.api_keys(&tenant.scope, page).await.unwrap()).await;
    assert_eq!(listed.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(listed.concat(), expected);
}

/// The operator lists all tenants by id in pages, and looks at one; a tenant sees itself. A status is seen at once.
pub async fn tenants_are_listed_for_the_operator<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let operator = fixture.operator().await;
    let mut tenants = Vec::new();
    for nth in 0..3 {
        tenants.push(fixture.tenant(&format!("tenant-{nth}")).await);
    }
    let at = fixture.now();
    fixture.suspend(&tenants[1], at).await;
    fixture.order_deletion(&tenants[2], at).await;

    let store = fixture.store();
    let listed = pieces(2, async |page| store.tenants(&operator, page).await.unwrap()).await;
    assert_eq!(listed.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    let listed = listed.concat();
    let ids: Vec<_> = listed.iter().map(|state| state.id).collect();
    assert_eq!(ids, tenants.iter().map(|tenant| tenant.id).collect::<Vec<_>>());
    let statuses: Vec<_> = listed.iter().map(|state| state.status).collect();
    assert_eq!(statuses, TenantStatus::ALL);
    assert_eq!((listed[1].status_since, listed[2].status_since), (at, at));
    assert_eq!(listed[0].status_since, listed[0].created_at);
    for (tenant, state) in tenants.iter().zip(&listed) {
        let shown = store.tenant_for_operator(&operator, tenant.id).await.unwrap();
        assert_eq!(shown.as_ref(), Some(state));
        let itself = store.tenant(&tenant.scope).await.unwrap();
        assert_eq!(itself.map(|tenant| tenant.value).as_ref(), Some(state));
    }
    let unknown = TenantId::from_uuid(fixture.uuid());
    assert_eq!(store.tenant_for_operator(&operator, unknown).await.unwrap(), None);
    assert_eq!(store.erasure(&operator, tenants[0].id).await.unwrap(), None);
}

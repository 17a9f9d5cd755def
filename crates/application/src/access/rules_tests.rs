use super::*;
use crate::{audit::Actor, ports::StoreError};
use postrider_domain::{
    ApiKeyId, ApplicationId, AuditEntryId, TenantId, Timestamp,
    access::{Authority, Grant, PortalAccess, Role, Visibility},
    tenants::TenantStatus,
};
use uuid::Uuid;

/// Knows one application of one tenant.
struct OneApplication(TenantId, ApplicationId);

#[async_trait]
impl ApplicationDirectory for OneApplication {
    async fn resolve(
        &self,
        scope: &TenantScope,
        reference: &ApplicationRef,
    ) -> Result<Option<ApplicationId>, StoreError> {
        Ok((scope.tenant() == self.0 && *reference == ApplicationRef::Id(self.1)).then_some(self.1))
    }

    async fn is_operational(&self, _: &TenantScope, _: ApplicationId) -> Result<bool, StoreError> {
        Ok(false)
    }
}

fn tenant(n: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(n))
}

fn app(n: u128) -> ApplicationId {
    ApplicationId::from_uuid(Uuid::from_u128(n))
}

fn principal_of(tenant_number: u128, authority: Authority) -> Principal {
    Principal {
        id: PrincipalId::ApiKey(ApiKeyId::from_uuid(Uuid::from_u128(9))),
        tenant: tenant(tenant_number),
        tenant_status: TenantStatus::Active,
        tenant_settings: postrider_domain::tenants::TenantSettings::default(),
        authority,
        expires_at: None,
    }
}

fn caller(tenant_number: u128, grant: Grant) -> Caller {
    Caller::principal(principal_of(tenant_number, Authority::Grants(vec![grant])))
}

fn operator() -> Caller {
    Caller::operator("test")
}

async fn ask<R: AccessRule>(rule: &R, caller: &Caller) -> Result<R::Granted> {
    let occasion = Arc::new(Occasion {
        asking: None,
        id: AuditEntryId::from_uuid(Uuid::nil()),
        at: Timestamp::from_micros(0),
        action: "test",
        actor: Actor::of(caller),
        origin: caller.origin.clone(),
    });
    rule.grant(caller, &occasion, &OneApplication(tenant(1), app(1)))
        .await
}

async fn code(rule: impl AccessRule, caller: Caller) -> Option<ErrorCode> {
    ask(&rule, &caller).await.err().map(|e| e.code())
}

#[tokio::test]
async fn strangers_see_nothing_and_insiders_without_a_grant_are_refused() {
    let rule = || OnApplication(app(1).into(), Permission::EndpointsWrite);
    assert_eq!(
        code(rule(), Caller::anonymous()).await,
        Some(ErrorCode::Unauthenticated)
    );
    assert_eq!(
        code(rule(), caller(2, Grant::tenant(Role::Owner))).await,
        Some(ErrorCode::NotFound)
    );
    assert_eq!(
        code(rule(), caller(1, Grant::tenant(Role::Viewer))).await,
        Some(ErrorCode::Forbidden)
    );
    assert_eq!(
        code(rule(), caller(1, Grant::tenant(Role::Developer))).await,
        None
    );
    assert_eq!(
        code(rule(), caller(1, Grant::application(Role::Developer, app(1)))).await,
        None
    );
    assert_eq!(code(rule(), operator()).await, Some(ErrorCode::Forbidden));
}

#[tokio::test]
async fn operators_are_not_principals_and_the_other_way_round() {
    assert_eq!(code(AsOperator, operator()).await, None);
    assert_eq!(
        code(AsOperator, caller(1, Grant::tenant(Role::Owner))).await,
        Some(ErrorCode::Forbidden)
    );
    assert_eq!(
        code(AsOperator, Caller::anonymous()).await,
        Some(ErrorCode::Unauthenticated)
    );
    for rule in [Permission::TenantRead, Permission::AuditRead] {
        assert_eq!(code(OnTenant(rule), operator()).await, Some(ErrorCode::Forbidden));
    }
    assert_eq!(code(AsPrincipal, operator()).await, Some(ErrorCode::Forbidden));
}

#[tokio::test]
async fn machines_and_portals_have_no_password_to_change() {
    let key = caller(1, Grant::tenant(Role::Owner));
    assert_eq!(code(AsPerson, key.clone()).await, Some(ErrorCode::Forbidden));
    assert_eq!(code(AsPrincipal, key).await, None);
}

#[tokio::test]
async fn a_list_shows_what_is_held() {
    let rule = OnVisibleApplications(Permission::ApplicationsRead);
    let scope = ask(&rule, &caller(1, Grant::application(Role::Viewer, app(1))))
        .await
        .unwrap();
    assert_eq!(*scope.visible(), Visibility::Only(vec![app(1)]));
    let portal = Authority::Portal(PortalAccess {
        application: app(1),
        permissions: vec![Permission::EndpointsRead],
    });
    let portal = Caller::principal(principal_of(1, portal));
    assert_eq!(code(rule, portal).await, Some(ErrorCode::Forbidden));
}

#[tokio::test]
async fn a_suspended_tenant_is_told_so_and_a_deleted_one_is_not_known() {
    let mut principal = principal_of(1, Authority::Grants(vec![Grant::tenant(Role::Owner)]));
    for (status, read, write) in [
        (TenantStatus::Suspended, None, Some(ErrorCode::TenantSuspended)),
        (
            TenantStatus::Deleting,
            Some(ErrorCode::Unauthenticated),
            Some(ErrorCode::Unauthenticated),
        ),
    ] {
        principal.tenant_status = status;
        let caller = Caller::principal(principal.clone());
        assert_eq!(code(OnTenant(Permission::TenantRead), caller.clone()).await, read);
        assert_eq!(code(OnTenant(Permission::TenantWrite), caller).await, write);
    }
}

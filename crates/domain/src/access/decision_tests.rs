use super::*;
use crate::access::{PortalAccess, Role};
use uuid::Uuid;

fn app(n: u128) -> ApplicationId {
    ApplicationId::from_uuid(Uuid::from_u128(n))
}

fn holds(grants: &[Grant]) -> Authority {
    Authority::Grants(grants.to_vec())
}

fn decided(authority: &Authority, permission: Permission, target: Target) -> Decision {
    decide(authority, TenantStatus::Active, permission, target)
}

fn allowed(grants: &[Grant], permission: Permission, target: Target) -> bool {
    matches!(decided(&holds(grants), permission, target), Decision::Allowed(_))
}

fn portal(permissions: &[Permission]) -> Authority {
    Authority::Portal(PortalAccess {
        application: app(1),
        permissions: permissions.to_vec(),
    })
}

const DENIED: Decision = Decision::Denied(Denial::NotGranted);

#[test]
fn a_grant_on_the_tenant_holds_in_every_application() {
    let grants = [Grant::tenant(Role::Publisher)];
    assert!(allowed(
        &grants,
        Permission::MessagesPublish,
        Target::Application(app(1))
    ));
    assert!(!allowed(
        &grants,
        Permission::EndpointsWrite,
        Target::Application(app(1))
    ));
}

#[test]
fn a_grant_on_an_application_holds_there_and_nowhere_else() {
    let grants = [Grant::application(Role::Admin, app(1))];
    assert!(allowed(
        &grants,
        Permission::EndpointsWrite,
        Target::Application(app(1))
    ));
    assert!(!allowed(
        &grants,
        Permission::EndpointsWrite,
        Target::Application(app(2))
    ));
    assert!(!allowed(&grants, Permission::EndpointsWrite, Target::Tenant));
}

#[test]
fn an_admin_of_an_application_does_not_manage_the_tenant() {
    let grants = [Grant::application(Role::Admin, app(1))];
    for permission in [
        Permission::ApiKeysManage,
        Permission::MembersManage,
        Permission::TenantWrite,
    ] {
        assert!(
            !allowed(&grants, permission, Target::Application(app(1))),
            "{}",
            permission.as_str()
        );
    }
}

#[test]
fn nobody_without_grants_may_do_anything() {
    for permission in Permission::ALL {
        assert_eq!(decided(&holds(&[]), permission, Target::Tenant), DENIED);
    }
}

#[test]
fn nobody_confers_what_they_do_not_hold() {
    let admin = holds(&[Grant::tenant(Role::Admin)]);
    assert!(may_confer(&admin, Grant::tenant(Role::Publisher)));
    assert!(may_confer(&admin, Grant::application(Role::Admin, app(1))));
    assert!(!may_confer(&admin, Grant::tenant(Role::Owner)));
    let local = holds(&[Grant::application(Role::Admin, app(1))]);
    assert!(may_confer(&local, Grant::application(Role::Viewer, app(1))));
    assert!(!may_confer(&local, Grant::application(Role::Viewer, app(2))));
    assert!(!may_confer(&local, Grant::tenant(Role::Viewer)));
}

#[test]
fn a_portal_token_holds_what_it_names_in_its_application_and_nothing_else() {
    let token = portal(&[Permission::EndpointsRead, Permission::PortalTokensIssue]);
    let here = Target::Application(app(1));
    assert_eq!(
        decided(&token, Permission::EndpointsRead, here),
        Decision::Allowed(Basis::Portal)
    );
    assert_eq!(decided(&token, Permission::EndpointsWrite, here), DENIED);
    assert_eq!(
        decided(&token, Permission::EndpointsRead, Target::Application(app(2))),
        DENIED
    );
    assert_eq!(decided(&token, Permission::EndpointsRead, Target::Tenant), DENIED);
    assert_eq!(
        decided(&token, Permission::PortalTokensIssue, here),
        DENIED,
        "no token begets tokens"
    );
    for role in Role::ALL {
        assert!(!may_confer(&token, Grant::application(role, app(1))));
    }
}

#[test]
fn a_suspended_tenant_reads_and_a_deleted_one_does_nothing() {
    let owner = holds(&[Grant::tenant(Role::Owner)]);
    for permission in Permission::ALL {
        let suspended = decide(&owner, TenantStatus::Suspended, permission, Target::Tenant);
        let deleting = decide(&owner, TenantStatus::Deleting, permission, Target::Tenant);
        assert_eq!(deleting, Decision::Denied(Denial::TenantDeleting));
        if permission.is_read() {
            assert!(matches!(suspended, Decision::Allowed(_)));
        } else {
            assert_eq!(suspended, Decision::Denied(Denial::TenantSuspended));
        }
    }
}

#[test]
fn what_was_never_granted_is_not_excused_by_a_suspension() {
    let viewer = holds(&[Grant::tenant(Role::Viewer)]);
    let publish = Permission::MessagesPublish;
    assert_eq!(
        decide(&viewer, TenantStatus::Suspended, publish, Target::Tenant),
        DENIED
    );
}

#[test]
fn lists_show_what_is_held_and_nothing_else() {
    let read = Permission::ApplicationsRead;
    let see = |authority: &Authority| visible(authority, TenantStatus::Active, read);
    assert_eq!(see(&holds(&[Grant::tenant(Role::Viewer)])), Ok(Visibility::All));
    let local = holds(&[
        Grant::application(Role::Viewer, app(2)),
        Grant::application(Role::Admin, app(1)),
        Grant::application(Role::Publisher, app(2)),
    ]);
    let shown = see(&local).unwrap();
    assert_eq!(shown, Visibility::Only(vec![app(1), app(2)]));
    assert!(shown.shows(app(2)) && !shown.shows(app(3)));
    assert_eq!(see(&portal(&[read])), Ok(Visibility::Only(vec![app(1)])));
    assert_eq!(
        see(&portal(&[Permission::EndpointsRead])),
        Err(Denial::NotGranted)
    );
    assert_eq!(
        visible(&local, TenantStatus::Deleting, read),
        Err(Denial::TenantDeleting)
    );
}

#[test]
fn a_portal_token_is_given_what_its_minter_holds_in_the_application() {
    let developer = holds(&[Grant::application(Role::Developer, app(1))]);
    assert!(may_delegate(&developer, Permission::EndpointsWrite, app(1)));
    assert!(!may_delegate(&developer, Permission::EndpointsWrite, app(2)));
    assert!(!may_delegate(&developer, Permission::PayloadsDelete, app(1)));
    assert!(!may_delegate(&developer, Permission::PortalTokensIssue, app(1)));
}

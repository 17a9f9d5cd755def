use postrider_domain::{AuditEntryId, access::Permission};

use crate::{
    Error, Result,
    access::{OnTenant, TenantScope},
    audit::AuditEntry,
    mediator::{Handles, Request},
    ports::{AuditFilter, AuditViews, Page, PageRequest},
};

/// Lists entries of the tenant's audit log, newest first.
#[derive(Debug)]
pub struct ListAuditEntries {
    /// Which entries.
    pub filter: AuditFilter,
    /// Which piece of the list.
    pub page: PageRequest<AuditEntryId>,
}

impl Request for ListAuditEntries {
    type Output = Page<AuditEntry, AuditEntryId>;
    type Access = OnTenant;
    const NAME: &'static str = "audit_entry.list";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::AuditRead)
    }
}

/// Serves [`ListAuditEntries`].
pub struct ListAuditEntriesHandler<S> {
    views: S,
}

impl<S> ListAuditEntriesHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: AuditViews> Handles<ListAuditEntries> for ListAuditEntriesHandler<S> {
    async fn handle(
        &self,
        scope: TenantScope,
        request: ListAuditEntries,
    ) -> Result<Page<AuditEntry, AuditEntryId>, Error> {
        let ListAuditEntries { filter, page } = request;
        Ok(self.views.audit_entries(&scope, &filter, page).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        access::{Caller, Origin},
        audit::{ActorKind, AuditOutcome},
        testing::{World, publish},
    };
    use postrider_domain::access::{Grant, Role};

    async fn list(world: &World, caller: &Caller, filter: AuditFilter) -> Vec<AuditEntry> {
        let page = PageRequest::first(100);
        let request = ListAuditEntries { filter, page };
        world.send(caller, request).await.unwrap().items
    }

    #[tokio::test]
    async fn a_command_is_logged_with_who_where_and_what_and_a_publish_is_not() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let origin = Origin {
            address: Some([203, 0, 113, 7].into()),
            request_id: Some("req-1".into()),
        };
        let owner = owner.from(origin);
        let application = world.application(&owner, None).await.id;
        world
            .send(&owner, publish(application, "{}", None))
            .await
            .unwrap();
        let entries = list(&world, &owner, AuditFilter::default()).await;
        let newest = &entries[0];
        assert_eq!(newest.action, "application.create");
        assert_eq!(newest.target, Some(application.to_string()));
        assert_eq!(
            (newest.actor.kind, newest.outcome),
            (ActorKind::User, AuditOutcome::Done)
        );
        assert_eq!(newest.address, Some([203, 0, 113, 7].into()));
        assert_eq!(newest.request_id.as_deref(), Some("req-1"));
        assert!(!entries.iter().any(|entry| entry.action.starts_with("message")));
    }

    #[tokio::test]
    async fn is_filtered_and_shows_nobody_elses() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let stranger = world.caller("eve@evil.example", Grant::tenant(Role::Owner)).await;
        world.application(&owner, None).await;
        world.application(&stranger, None).await;
        let wanted = AuditFilter {
            action: Some("application.create".to_owned()),
            ..AuditFilter::default()
        };
        assert_eq!(list(&world, &owner, wanted).await.len(), 1);
        let denied = AuditFilter {
            outcome: Some(AuditOutcome::Denied),
            ..AuditFilter::default()
        };
        assert_eq!(list(&world, &owner, denied).await, []);
    }

    #[tokio::test]
    async fn denials_are_taken_down() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await.id;
        let viewer = World::same_tenant(&owner, Grant::tenant(Role::Viewer));
        assert_eq!(
            world.refusal(&viewer, publish(application, "{}", None)).await,
            ErrorCode::Forbidden
        );
        let denials = world.denials.entries();
        assert_eq!(denials.len(), 1);
        assert_eq!(
            (
                denials[0].action.as_ref(),
                denials[0].outcome,
                denials[0].target.clone()
            ),
            (
                "message.publish",
                AuditOutcome::Denied,
                Some(application.to_string())
            )
        );
    }
}

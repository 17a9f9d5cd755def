//! The tables of aggregates: how each is keyed, found, guarded and logged.

use std::collections::BTreeMap;

use postrider_application::ports::{PasswordReset, StoreError, UniqueRule};
use postrider_domain::{
    Aggregate, ApiKeyId, ApplicationId, EndpointId, InvitationId, MembershipId, ReplayId, SessionId,
    TenantId, UserId,
    api_keys::{ApiKey, ApiKeyState},
    applications::{Application, ApplicationState},
    endpoints::{Endpoint, EndpointRef, EndpointState},
    event_types::{EventType, EventTypeName, EventTypeState, SchemaVersion},
    events::DomainEvent,
    replays::{Replay, ReplayState},
    tenants::{Tenant, TenantState, TenantStatus},
    users::{
        Email, Invitation, InvitationState, Membership, MembershipState, Session, SessionState, UserState,
    },
};

use super::state::{Row, Table, fault};

/// All aggregates.
#[derive(Debug, Default, Clone)]
pub struct Configuration {
    pub(super) tenants: Table<TenantId, TenantState>,
    pub(super) users: Table<UserId, UserState>,
    /// At most one a person.
    pub(super) password_resets: BTreeMap<UserId, PasswordReset>,
    pub(super) memberships: Table<MembershipId, MembershipState>,
    pub(super) invitations: Table<InvitationId, InvitationState>,
    pub(super) sessions: Table<SessionId, SessionState>,
    pub(super) api_keys: Table<ApiKeyId, ApiKeyState>,
    pub(super) applications: Table<ApplicationId, ApplicationState>,
    pub(super) event_types: Table<(TenantId, EventTypeName), EventTypeState>,
    pub(super) event_type_schemas: BTreeMap<(TenantId, EventTypeName, u32), SchemaVersion>,
    pub(super) endpoints: Table<EndpointId, EndpointState>,
    pub(super) replays: Table<ReplayId, ReplayState>,
    /// How often an application's endpoints were changed.
    pub(super) endpoints_versions: BTreeMap<ApplicationId, i64>,
}

impl Configuration {
    /// The endpoint that `reference` means, within the tenant's application.
    pub(super) fn endpoint(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        reference: &EndpointRef,
    ) -> Option<&Row<EndpointState>> {
        self.endpoints.values().find(|row| {
            let state = &row.state;
            state.tenant == tenant
                && state.application == application
                && match reference {
                    EndpointRef::Id(id) => state.id == *id,
                    EndpointRef::Uid(uid) => state.uid.as_ref() == Some(uid),
                }
        })
    }

    /// The person's place in the tenant.
    pub(super) fn membership(&self, tenant: TenantId, user: UserId) -> Option<&Row<MembershipState>> {
        self.memberships
            .values()
            .find(|row| (row.state.tenant, row.state.user) == (tenant, user))
    }

    /// Whether the tenant is there, and not being erased.
    pub(super) fn is_there(&self, tenant: TenantId) -> bool {
        let row = self.tenants.get(&tenant);
        row.is_some_and(|row| row.state.status != TenantStatus::Deleting)
    }

    /// Refuses a tenant that is not there. One that is being erased is, to its end.
    fn refers_to_tenant(&self, tenant: TenantId) -> Result<(), StoreError> {
        let there = self.tenants.contains_key(&tenant);
        there
            .then_some(())
            .ok_or_else(|| fault("a tenant that is not there"))
    }

    /// Refuses a person who is not there.
    fn refers_to_user(&self, user: UserId) -> Result<(), StoreError> {
        let there = self.users.contains_key(&user);
        there
            .then_some(())
            .ok_or_else(|| fault("a person who is not there"))
    }

    /// The person of that address.
    pub(super) fn user_by_email(&self, email: &Email) -> Option<&Row<UserState>> {
        self.users.values().find(|row| row.state.email == *email)
    }

    /// How often the application's endpoints were said to have changed; 0 if nothing is left of it.
    pub(super) fn endpoints_version(&self, tenant: TenantId, id: ApplicationId) -> i64 {
        let known = self.application_that_was(tenant, id);
        known
            .and_then(|_| self.endpoints_versions.get(&id).copied())
            .unwrap_or(0)
    }

    /// The application, if the tenant has it.
    pub(super) fn application(&self, tenant: TenantId, id: ApplicationId) -> Option<&Row<ApplicationState>> {
        self.application_that_was(tenant, id)
            .filter(|row| row.state.deleted_at.is_none())
    }

    /// The application, if the tenant has it, or what is left of it once it was deleted.
    pub(super) fn application_that_was(
        &self,
        tenant: TenantId,
        id: ApplicationId,
    ) -> Option<&Row<ApplicationState>> {
        self.applications
            .get(&id)
            .filter(|row| row.state.tenant == tenant)
    }
}

/// An aggregate that belongs to a tenant and has a table.
pub trait Kept: Aggregate<State: Clone + Send> + Send {
    /// The table's key.
    type Id: Ord;
    /// What names it within a tenant.
    type Name: Sync;

    fn table(configuration: &mut Configuration) -> &mut Table<Self::Id, Self::State>;

    fn id(state: &Self::State) -> Self::Id;

    fn tenant(state: &Self::State) -> TenantId;

    fn find<'c>(all: &'c Configuration, tenant: TenantId, name: &Self::Name) -> Option<&'c Row<Self::State>>;

    fn event(state: &Self::State, event: Self::Event) -> DomainEvent;

    /// What is not known any more of an endpoint once this is saved or deleted.
    fn outdated(_state: &Self::State) -> Option<EndpointId> {
        None
    }

    /// Refuses what contradicts other rows, or refers to one that is not there. `state` may be among them, as it was
    /// before.
    fn check(all: &Configuration, state: &Self::State) -> Result<(), StoreError> {
        all.refers_to_tenant(Self::tenant(state))
    }

    /// The refusal of a new aggregate whose key is in use: what was read (nothing) is not what is stored.
    fn taken() -> StoreError {
        StoreError::Stale
    }
}

/// Refuses if a row other than the one of `id` matches.
fn unique<K: Ord, S>(
    table: &Table<K, S>,
    id: &K,
    rule: UniqueRule,
    same: impl Fn(&S) -> bool,
) -> Result<(), StoreError> {
    if table.iter().any(|(key, row)| key != id && same(&row.state)) {
        return Err(StoreError::Conflict(rule));
    }
    Ok(())
}

/// Refuses a person whose address another has.
pub(super) fn check_user(configuration: &Configuration, state: &UserState) -> Result<(), StoreError> {
    unique(&configuration.users, &state.id, UniqueRule::UserEmail, |other| {
        other.email == state.email
    })
}

/// The table of an aggregate, its key and its tenant: what all of them have alike.
macro_rules! kept_in {
    ($table:ident: $id:ty, $state:ident: $row:ty => $key:expr, $tenant:expr) => {
        type Id = $id;

        fn table(configuration: &mut Configuration) -> &mut Table<$id, $row> {
            &mut configuration.$table
        }

        fn id($state: &$row) -> $id {
            $key
        }

        fn tenant($state: &$row) -> TenantId {
            $tenant
        }
    };
}

impl Kept for Tenant {
    type Name = TenantId;
    kept_in!(tenants: TenantId, state: TenantState => state.id, state.id);

    fn find<'c>(all: &'c Configuration, tenant: TenantId, name: &TenantId) -> Option<&'c Row<TenantState>> {
        all.tenants.get(name).filter(|row| row.state.id == tenant)
    }

    fn event(state: &TenantState, event: Self::Event) -> DomainEvent {
        DomainEvent::Tenant(state.id, event)
    }

    fn check(_: &Configuration, _: &TenantState) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Kept for Membership {
    type Name = MembershipId;
    kept_in!(memberships: MembershipId, state: MembershipState => state.id, state.tenant);

    fn find<'c>(
        all: &'c Configuration,
        tenant: TenantId,
        name: &MembershipId,
    ) -> Option<&'c Row<MembershipState>> {
        all.memberships.get(name).filter(|row| row.state.tenant == tenant)
    }

    fn event(state: &MembershipState, event: Self::Event) -> DomainEvent {
        DomainEvent::Membership(state.id, event)
    }

    fn check(all: &Configuration, state: &MembershipState) -> Result<(), StoreError> {
        all.refers_to_tenant(state.tenant)?;
        all.refers_to_user(state.user)?;
        unique(&all.memberships, &state.id, UniqueRule::Membership, |other| {
            (other.tenant, other.user) == (state.tenant, state.user)
        })
    }
}

impl Kept for Invitation {
    type Name = InvitationId;
    kept_in!(invitations: InvitationId, state: InvitationState => state.id, state.tenant);

    fn find<'c>(
        all: &'c Configuration,
        tenant: TenantId,
        name: &InvitationId,
    ) -> Option<&'c Row<InvitationState>> {
        all.invitations.get(name).filter(|row| row.state.tenant == tenant)
    }

    fn event(state: &InvitationState, event: Self::Event) -> DomainEvent {
        DomainEvent::Invitation(state.id, event)
    }

    fn check(all: &Configuration, state: &InvitationState) -> Result<(), StoreError> {
        all.refers_to_tenant(state.tenant)?;
        unique(&all.invitations, &state.id, UniqueRule::Invitation, |other| {
            (other.tenant, &other.email) == (state.tenant, &state.email)
        })
    }
}

impl Kept for Session {
    type Name = SessionId;
    kept_in!(sessions: SessionId, state: SessionState => state.id, state.tenant);

    fn find<'c>(all: &'c Configuration, tenant: TenantId, name: &SessionId) -> Option<&'c Row<SessionState>> {
        all.sessions.get(name).filter(|row| row.state.tenant == tenant)
    }

    fn event(state: &SessionState, event: Self::Event) -> DomainEvent {
        DomainEvent::Session(state.id, event)
    }

    fn check(all: &Configuration, state: &SessionState) -> Result<(), StoreError> {
        all.refers_to_tenant(state.tenant)?;
        all.refers_to_user(state.user)
    }
}

impl Kept for ApiKey {
    type Name = ApiKeyId;
    kept_in!(api_keys: ApiKeyId, state: ApiKeyState => state.id, state.tenant);

    fn find<'c>(all: &'c Configuration, tenant: TenantId, name: &ApiKeyId) -> Option<&'c Row<ApiKeyState>> {
        all.api_keys.get(name).filter(|row| row.state.tenant == tenant)
    }

    fn event(state: &ApiKeyState, event: Self::Event) -> DomainEvent {
        DomainEvent::ApiKey(state.id, event)
    }
}

impl Kept for Application {
    type Name = ApplicationId;
    kept_in!(applications: ApplicationId, state: ApplicationState => state.id, state.tenant);

    fn find<'c>(
        all: &'c Configuration,
        tenant: TenantId,
        name: &ApplicationId,
    ) -> Option<&'c Row<ApplicationState>> {
        all.application(tenant, *name)
    }

    fn event(state: &ApplicationState, event: Self::Event) -> DomainEvent {
        DomainEvent::Application(state.id, event)
    }

    fn check(all: &Configuration, state: &ApplicationState) -> Result<(), StoreError> {
        all.refers_to_tenant(state.tenant)?;
        unique(
            &all.applications,
            &state.id,
            UniqueRule::ApplicationUid,
            |other| other.tenant == state.tenant && other.uid.is_some() && other.uid == state.uid,
        )
    }
}

impl Kept for EventType {
    type Name = EventTypeName;
    kept_in!(
        event_types: (TenantId, EventTypeName),
        state: EventTypeState => (state.tenant, state.name.clone()), state.tenant
    );

    fn find<'c>(
        all: &'c Configuration,
        tenant: TenantId,
        name: &EventTypeName,
    ) -> Option<&'c Row<EventTypeState>> {
        all.event_types.get(&(tenant, name.clone()))
    }

    fn event(state: &EventTypeState, event: Self::Event) -> DomainEvent {
        DomainEvent::EventType(state.name.clone(), event)
    }

    /// Its name is its key: a new one of a name that is there is no stale version, but a name that is taken.
    fn taken() -> StoreError {
        StoreError::Conflict(UniqueRule::EventTypeName)
    }
}

impl Kept for Endpoint {
    type Name = (ApplicationId, EndpointRef);
    kept_in!(endpoints: EndpointId, state: EndpointState => state.id, state.tenant);

    fn find<'c>(
        all: &'c Configuration,
        tenant: TenantId,
        (application, reference): &Self::Name,
    ) -> Option<&'c Row<EndpointState>> {
        all.endpoint(tenant, *application, reference)
    }

    fn event(state: &EndpointState, event: Self::Event) -> DomainEvent {
        DomainEvent::Endpoint(state.application, state.id, event)
    }

    fn outdated(state: &EndpointState) -> Option<EndpointId> {
        Some(state.id)
    }

    fn check(all: &Configuration, state: &EndpointState) -> Result<(), StoreError> {
        if all.application(state.tenant, state.application).is_none() {
            return Err(fault(
                "an endpoint of an application that the tenant does not have",
            ));
        }
        unique(&all.endpoints, &state.id, UniqueRule::EndpointUid, |other| {
            other.application == state.application && other.uid.is_some() && other.uid == state.uid
        })
    }
}

impl Kept for Replay {
    type Name = ReplayId;
    kept_in!(replays: ReplayId, state: ReplayState => state.id, state.tenant);

    fn find<'c>(all: &'c Configuration, tenant: TenantId, name: &ReplayId) -> Option<&'c Row<ReplayState>> {
        all.replays.get(name).filter(|row| row.state.tenant == tenant)
    }

    fn event(state: &ReplayState, event: Self::Event) -> DomainEvent {
        DomainEvent::Replay(state.application, state.id, event)
    }
}

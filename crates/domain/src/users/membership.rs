use crate::{MembershipId, TenantId, Timestamp, UserId, access::Grant, aggregate::aggregate};

/// All stored facts of a [`Membership`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipState {
    /// Its id.
    pub id: MembershipId,
    /// The tenant.
    pub tenant: TenantId,
    /// The person.
    pub user: UserId,
    /// What the person may do there.
    pub grants: Vec<Grant>,
    /// When the person joined.
    pub created_at: Timestamp,
}

/// What can happen to a [`Membership`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipEvent {
    /// The person joined the tenant.
    Joined {
        /// The person.
        user: UserId,
        /// What they may do.
        grants: Vec<Grant>,
    },
}

aggregate!(
    /// A person's place in one tenant.
    Membership, MembershipState, MembershipEvent
);

impl Membership {
    /// A person joins a tenant with `grants`.
    pub fn join(id: MembershipId, tenant: TenantId, user: UserId, grants: Vec<Grant>, at: Timestamp) -> Self {
        let event = MembershipEvent::Joined {
            user,
            grants: grants.clone(),
        };
        Self::born(
            MembershipState {
                id,
                tenant,
                user,
                grants,
                created_at: at,
            },
            event,
        )
    }
}

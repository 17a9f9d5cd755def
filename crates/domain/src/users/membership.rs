use crate::{
    Change, MembershipId, TenantId, Timestamp, UserId,
    access::{Grant, GrantScope, Role},
    aggregate::aggregate,
};

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

impl MembershipState {
    /// Whether the person owns the tenant.
    pub fn is_owner(&self) -> bool {
        self.grants.iter().any(|grant| {
            *grant
                == Grant {
                    role: Role::Owner,
                    scope: GrantScope::Tenant,
                }
        })
    }
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
    /// What the person may do was changed.
    GrantsChanged {
        /// The person.
        user: UserId,
        /// What they may do now.
        grants: Vec<Grant>,
    },
    /// The person was removed from the tenant.
    Removed {
        /// The person.
        user: UserId,
    },
}

aggregate!(
    /// A person's place in one tenant.
    Membership, MembershipState, MembershipEvent
);

/// A tenant always has an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tenant would have no owner")]
pub struct LastOwner;

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

    /// Gives the person these grants instead of the ones held. `owners` is how many owners the tenant has, this
    /// one included.
    pub fn change_grants(&mut self, grants: Vec<Grant>, owners: u32) -> Result<Change, LastOwner> {
        if self.state.grants == grants {
            return Ok(Change::None);
        }
        let after = MembershipState {
            grants: grants.clone(),
            ..self.state.clone()
        };
        if self.state.is_owner() && !after.is_owner() && owners <= 1 {
            return Err(LastOwner);
        }
        self.state = after;
        let user = self.state.user;
        self.pending.push(MembershipEvent::GrantsChanged { user, grants });
        Ok(Change::Made)
    }

    /// Removes the person from the tenant; the row is to be deleted. `owners` as in [`Self::change_grants`].
    pub fn remove(&mut self, owners: u32) -> Result<(), LastOwner> {
        if self.state.is_owner() && owners <= 1 {
            return Err(LastOwner);
        }
        let user = self.state.user;
        self.pending.push(MembershipEvent::Removed { user });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Aggregate as _;
    use uuid::Uuid;

    fn member(role: Role) -> Membership {
        let uuid = Uuid::from_u128(1);
        let mut member = Membership::join(
            MembershipId::from_uuid(uuid),
            TenantId::from_uuid(uuid),
            UserId::from_uuid(uuid),
            vec![Grant::tenant(role)],
            Timestamp::from_micros(1),
        );
        member.take_events();
        member
    }

    #[test]
    fn the_last_owner_stays_an_owner() {
        let viewer = || vec![Grant::tenant(Role::Viewer)];
        let mut owner = member(Role::Owner);
        assert_eq!(owner.change_grants(viewer(), 1), Err(LastOwner));
        assert_eq!(owner.remove(1), Err(LastOwner));
        assert!(owner.take_events().is_empty() && owner.state().is_owner());
        assert_eq!(owner.change_grants(viewer(), 2), Ok(Change::Made));
        assert!(!owner.state().is_owner());
        assert_eq!(member(Role::Owner).remove(2), Ok(()));
        assert_eq!(member(Role::Admin).remove(1), Ok(()));
    }

    #[test]
    fn an_owner_of_one_application_owns_no_tenant() {
        let application = crate::ApplicationId::from_uuid(Uuid::from_u128(1));
        let mut owner = member(Role::Owner);
        let local = vec![Grant::application(Role::Owner, application)];
        assert_eq!(owner.change_grants(local, 1), Err(LastOwner));
    }

    #[test]
    fn the_same_grants_are_no_change() {
        let mut admin = member(Role::Admin);
        let same = vec![Grant::tenant(Role::Admin)];
        assert_eq!(admin.change_grants(same, 1), Ok(Change::None));
        assert!(admin.take_events().is_empty());
    }
}

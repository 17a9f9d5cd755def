//! Tenants: the companies that send webhooks through Postrider, and the isolation boundary.

use crate::{Name, TenantId, Timestamp, aggregate::aggregate};

/// All stored facts of a [`Tenant`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantState {
    /// Its id.
    pub id: TenantId,
    /// Its display name.
    pub name: Name,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What can happen to a [`Tenant`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantEvent {
    /// It was created by an operator.
    Created {
        /// Its display name.
        name: Name,
    },
}

aggregate!(
    /// A company that sends webhooks.
    Tenant, TenantState, TenantEvent
);

impl Tenant {
    /// A new tenant.
    pub fn create(id: TenantId, name: Name, at: Timestamp) -> Self {
        let event = TenantEvent::Created { name: name.clone() };
        Self::born(
            TenantState {
                id,
                name,
                created_at: at,
            },
            event,
        )
    }
}

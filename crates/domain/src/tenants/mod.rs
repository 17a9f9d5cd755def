//! Tenants: the companies that send webhooks through Postrider, and the isolation boundary.

mod settings;

pub use settings::{SchemaValidation, TenantSettings, UnregisteredEventTypes};

use crate::{Change, InvalidValue, Name, Rule, TenantId, Timestamp, aggregate::aggregate};

/// What a tenant may do at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TenantStatus {
    /// Everything.
    Active,
    /// It reads, and neither changes nor publishes anything. What was published before is still delivered.
    Suspended,
    /// Nothing: it is being erased, and there is no way back.
    Deleting,
}

impl TenantStatus {
    /// Every status there is.
    pub const ALL: [Self; 3] = [Self::Active, Self::Suspended, Self::Deleting];

    /// The public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleting => "deleting",
        }
    }

    /// The status of that public name.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| InvalidValue::new(Rule::Unknown, "must be one of active, suspended, deleting"))
    }
}

/// All stored facts of a [`Tenant`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantState {
    /// Its id.
    pub id: TenantId,
    /// Its display name.
    pub name: Name,
    /// What it may do at all.
    pub status: TenantStatus,
    /// Since when.
    pub status_since: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// How it wants its messages to be treated.
    pub settings: TenantSettings,
}

/// What can happen to a [`Tenant`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantEvent {
    /// It was created by an operator.
    Created {
        /// Its display name.
        name: Name,
    },
    /// It changed its name or its settings.
    Updated {
        /// Its display name now.
        name: Name,
        /// Its settings now.
        settings: TenantSettings,
    },
    /// An operator suspended it.
    Suspended {
        /// When.
        at: Timestamp,
    },
    /// An operator let it go on.
    Resumed {
        /// When.
        at: Timestamp,
    },
    /// An operator ordered that it be erased.
    DeletionOrdered {
        /// When.
        at: Timestamp,
    },
}

aggregate!(
    /// A company that sends webhooks.
    Tenant, TenantState, TenantEvent
);

/// A tenant that is being erased changes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tenant is being deleted")]
pub struct BeingDeleted;

impl Tenant {
    /// A new tenant.
    pub fn create(id: TenantId, name: Name, at: Timestamp) -> Self {
        let event = TenantEvent::Created { name: name.clone() };
        Self::born(
            TenantState {
                id,
                name,
                status: TenantStatus::Active,
                status_since: at,
                created_at: at,
                settings: TenantSettings::default(),
            },
            event,
        )
    }

    /// Has this name and these settings from now on.
    pub fn update(&mut self, name: Name, settings: TenantSettings) -> Result<Change, BeingDeleted> {
        if self.state.status == TenantStatus::Deleting {
            return Err(BeingDeleted);
        }
        if self.state.name == name && self.state.settings == settings {
            return Ok(Change::None);
        }
        self.record(TenantEvent::Updated { name, settings });
        Ok(Change::Made)
    }

    /// From now on it only reads.
    pub fn suspend(&mut self, at: Timestamp) -> Result<Change, BeingDeleted> {
        self.become_status(TenantStatus::Suspended, TenantEvent::Suspended { at })
    }

    /// From now on it may do everything again.
    pub fn resume(&mut self, at: Timestamp) -> Result<Change, BeingDeleted> {
        self.become_status(TenantStatus::Active, TenantEvent::Resumed { at })
    }

    /// From now on it does nothing, and is erased.
    pub fn order_deletion(&mut self, at: Timestamp) -> Change {
        if self.state.status == TenantStatus::Deleting {
            return Change::None;
        }
        self.record(TenantEvent::DeletionOrdered { at });
        Change::Made
    }

    fn become_status(&mut self, wanted: TenantStatus, event: TenantEvent) -> Result<Change, BeingDeleted> {
        match self.state.status {
            TenantStatus::Deleting => Err(BeingDeleted),
            status if status == wanted => Ok(Change::None),
            TenantStatus::Active | TenantStatus::Suspended => {
                self.record(event);
                Ok(Change::Made)
            }
        }
    }

    fn record(&mut self, event: TenantEvent) {
        let changed = match &event {
            TenantEvent::Created { .. } => None,
            TenantEvent::Updated { name, settings } => {
                (self.state.name, self.state.settings) = (name.clone(), *settings);
                None
            }
            TenantEvent::Suspended { at } => Some((TenantStatus::Suspended, *at)),
            TenantEvent::Resumed { at } => Some((TenantStatus::Active, *at)),
            TenantEvent::DeletionOrdered { at } => Some((TenantStatus::Deleting, *at)),
        };
        if let Some((status, since)) = changed {
            self.state.status = status;
            self.state.status_since = since;
        }
        self.pending.push(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Aggregate as _;
    use uuid::Uuid;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn tenant() -> Tenant {
        let id = TenantId::from_uuid(Uuid::from_u128(1));
        Tenant::create(id, Name::parse("Acme").unwrap(), at(1))
    }

    #[test]
    fn is_suspended_and_resumed_once_each() {
        let mut tenant = tenant();
        assert_eq!(tenant.resume(at(2)), Ok(Change::None));
        assert_eq!(tenant.suspend(at(3)), Ok(Change::Made));
        assert_eq!(tenant.suspend(at(4)), Ok(Change::None));
        assert_eq!(
            (tenant.state().status, tenant.state().status_since),
            (TenantStatus::Suspended, at(3))
        );
        assert_eq!(tenant.resume(at(5)), Ok(Change::Made));
        assert_eq!(tenant.take_events().len(), 3);
    }

    #[test]
    fn a_change_is_made_once_and_not_of_one_that_goes() {
        let mut tenant = tenant();
        let (name, settings) = (Name::parse("Beta").unwrap(), TenantSettings::default());
        assert_eq!(tenant.update(name.clone(), settings), Ok(Change::Made));
        assert_eq!(tenant.update(name.clone(), settings), Ok(Change::None));
        let strict = TenantSettings {
            schema_validation: SchemaValidation::Enforce,
            ..settings
        };
        assert_eq!(tenant.update(name.clone(), strict), Ok(Change::Made));
        assert_eq!(tenant.state().settings, strict);
        assert_eq!(tenant.order_deletion(at(2)), Change::Made);
        assert_eq!(tenant.update(name, settings), Err(BeingDeleted));
    }

    #[test]
    fn there_is_no_way_back_from_deletion() {
        let mut tenant = tenant();
        assert_eq!(tenant.order_deletion(at(2)), Change::Made);
        assert_eq!(tenant.order_deletion(at(3)), Change::None);
        assert_eq!(tenant.suspend(at(3)), Err(BeingDeleted));
        assert_eq!(tenant.resume(at(3)), Err(BeingDeleted));
        assert_eq!(tenant.state().status_since, at(2));
    }

    #[test]
    fn statuses_survive_the_round_trip() {
        for status in TenantStatus::ALL {
            assert_eq!(TenantStatus::parse(status.as_str()), Ok(status));
        }
        assert!(TenantStatus::parse("gone").is_err());
    }
}

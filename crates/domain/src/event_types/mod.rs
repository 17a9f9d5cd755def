//! Event types: what can happen in a tenant's product, by name.

use std::fmt;

use crate::{Description, InvalidValue, Rule, TenantId, Timestamp, aggregate::aggregate, text::check_token};

/// The name of an event type: `invoice.paid`. Full-stop delimited groups of `A-Z a-z 0-9 _ -`, at most 128
/// characters, as Standard Webhooks recommends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventTypeName(String);

impl EventTypeName {
    /// The most characters of a name.
    pub const MAX_CHARS: usize = 128;

    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        check_token(text, Self::MAX_CHARS, "._-")?;
        if text.split('.').any(str::is_empty) {
            return Err(InvalidValue::new(
                Rule::Format,
                "must be groups joined by single full stops",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventTypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All stored facts of an [`EventType`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTypeState {
    /// The tenant whose product it is.
    pub tenant: TenantId,
    /// Its name, the key within the tenant.
    pub name: EventTypeName,
    /// What it means.
    pub description: Description,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// What can happen to an [`EventType`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventTypeEvent {
    /// It was registered.
    Registered {
        /// What it means.
        description: Description,
    },
}

aggregate!(
    /// What can happen in a tenant's product, by name.
    EventType, EventTypeState, EventTypeEvent
);

impl EventType {
    /// A new event type.
    pub fn register(tenant: TenantId, name: EventTypeName, description: Description, at: Timestamp) -> Self {
        let event = EventTypeEvent::Registered {
            description: description.clone(),
        };
        Self::born(
            EventTypeState {
                tenant,
                name,
                description,
                created_at: at,
            },
            event,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_groups_joined_by_full_stops() {
        for good in ["invoice.paid", "a", "user.sign-up.v2", "branch_protection"] {
            assert!(EventTypeName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "invoice.",
            ".paid",
            "a..b",
            "a b",
            "a/b",
            "ä",
            &"x".repeat(129),
        ] {
            assert!(EventTypeName::parse(bad).is_err(), "{bad}");
        }
    }
}

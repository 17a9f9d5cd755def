//! Event types: what can happen in a tenant's product, by name.

mod schema;

use std::fmt;

pub use schema::{Example, SchemaText, SchemaVersion};

use crate::{
    Change, Description, InvalidValue, Rule, TenantId, Timestamp, aggregate::aggregate, text::check_token,
};

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

impl std::str::FromStr for EventTypeName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Self::parse(text)
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
    /// Since when it is not to be published any more.
    pub archived_at: Option<Timestamp>,
    /// The number of its latest schema; 0 if it never had one.
    pub latest_schema: u32,
}

/// What can happen to an [`EventType`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventTypeEvent {
    /// It was registered.
    Registered {
        /// What it means.
        description: Description,
    },
    /// It was described anew.
    Described {
        /// What it means now.
        description: Description,
    },
    /// It got a schema.
    SchemaAdded {
        /// The schema's number, from 1.
        number: u32,
    },
    /// It is not to be published any more.
    Archived {
        /// Since when.
        at: Timestamp,
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
                archived_at: None,
                latest_schema: 0,
            },
            event,
        )
    }

    /// It means this from now on.
    pub fn describe(&mut self, description: Description) -> Change {
        if self.state.description == description {
            return Change::None;
        }
        self.record(EventTypeEvent::Described { description });
        Change::Made
    }

    /// It has another schema from now on; the schema's number.
    pub fn add_schema(&mut self) -> u32 {
        let number = self.state.latest_schema.saturating_add(1);
        self.record(EventTypeEvent::SchemaAdded { number });
        number
    }

    /// It is not to be published any more.
    pub fn archive(&mut self, at: Timestamp) -> Change {
        if self.state.archived_at.is_some() {
            return Change::None;
        }
        self.record(EventTypeEvent::Archived { at });
        Change::Made
    }

    fn record(&mut self, event: EventTypeEvent) {
        match &event {
            EventTypeEvent::Registered { .. } => {}
            EventTypeEvent::Described { description } => self.state.description = description.clone(),
            EventTypeEvent::SchemaAdded { number } => self.state.latest_schema = *number,
            EventTypeEvent::Archived { at } => self.state.archived_at = Some(*at),
        }
        self.pending.push(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Aggregate as _;
    use uuid::Uuid;

    #[test]
    fn schemas_are_numbered_and_archiving_is_done_once() {
        let at = Timestamp::from_micros;
        let tenant = TenantId::from_uuid(Uuid::from_u128(1));
        let name = EventTypeName::parse("invoice.paid").unwrap();
        let mut event_type = EventType::register(tenant, name, Description::default(), at(1));
        assert_eq!((event_type.add_schema(), event_type.add_schema()), (1, 2));
        assert_eq!(event_type.state().latest_schema, 2);
        assert_eq!(event_type.archive(at(3)), Change::Made);
        assert_eq!(event_type.archive(at(4)), Change::None);
        assert_eq!(event_type.state().archived_at, Some(at(3)));
        assert_eq!(event_type.describe(Description::default()), Change::None);
        assert_eq!(
            event_type.describe(Description::parse("Paid").unwrap()),
            Change::Made
        );
        assert_eq!(event_type.take_events().len(), 5);
    }

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

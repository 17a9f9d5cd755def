use crate::{InvalidValue, Rule};

/// Names a set of words, for what tenants choose from.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $list:literal, $($(#[$of:meta])* $variant:ident = $word:literal,)+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub enum $name {
            $($(#[$of])* $variant,)+
        }

        impl $name {
            /// Every one there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The public name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The one of that public name.
            pub fn parse(text: &str) -> Result<Self, InvalidValue> {
                let found = Self::ALL.iter().copied().find(|one| one.as_str() == text);
                found.ok_or_else(|| InvalidValue::new(Rule::Unknown, concat!("must be one of ", $list)))
            }
        }
    };
}

words! {
    /// What a tenant wants to be done with a payload that its event type's schema does not allow.
    SchemaValidation: "off, warn, enforce",
    /// Payloads are not looked at.
    #[default]
    Off = "off",
    /// It is accepted, and the answer says what is wrong with it.
    Warn = "warn",
    /// It is refused.
    Enforce = "enforce",
}

words! {
    /// What a tenant wants to be done with a message of an event type that is not registered, or was archived.
    UnregisteredEventTypes: "accept, reject",
    /// It is accepted.
    #[default]
    Accept = "accept",
    /// It is refused.
    Reject = "reject",
}

/// How a tenant wants its messages to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TenantSettings {
    /// Payloads that their event type's schema does not allow.
    pub schema_validation: SchemaValidation,
    /// Event types that are not registered, or were archived.
    pub unregistered_event_types: UnregisteredEventTypes,
}

impl TenantSettings {
    /// Whether the event type must be known before a message can be accepted.
    pub fn asks_for_event_type(self) -> bool {
        self != Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_round_trip() {
        for one in SchemaValidation::ALL {
            assert_eq!(SchemaValidation::parse(one.as_str()), Ok(*one));
        }
        for one in UnregisteredEventTypes::ALL {
            assert_eq!(UnregisteredEventTypes::parse(one.as_str()), Ok(*one));
        }
        assert_eq!(SchemaValidation::parse("on").unwrap_err().rule, Rule::Unknown);
        assert!(!TenantSettings::default().asks_for_event_type());
    }
}

use std::{fmt, sync::Arc};

use crate::{InvalidValue, Rule, Timestamp};

/// A bounded text, taken for JSON by whoever made it.
macro_rules! json_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The most bytes of it.
            pub const MAX_BYTES: usize = 64 * 1024;

            /// Bounds the text. That it is JSON is for the caller to know.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, InvalidValue> {
                let text = text.into();
                if text.len() > Self::MAX_BYTES {
                    let message = format!("must be at most {} bytes", Self::MAX_BYTES);
                    return Err(InvalidValue::new(Rule::TooLong, message));
                }
                Ok(Self(text))
            }

            /// The text, as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, shared.
            pub const fn shared(&self) -> &Arc<str> {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            /// Size only: what a tenant writes has no place in a log.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({} bytes)", stringify!($name), self.0.len())
            }
        }
    };
}

json_text! {
    /// A JSON Schema (2020-12) as the tenant wrote it. Whether it can be applied is a question of its own.
    SchemaText
}
json_text! {
    /// A payload as it may look.
    Example
}

/// A version of an event type's schema. Never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaVersion {
    /// Its number, from 1.
    pub number: u32,
    /// What payloads must be like.
    pub schema: SchemaText,
    /// A payload that is like that.
    pub example: Option<Example>,
    /// When it was added.
    pub created_at: Timestamp,
}

impl SchemaVersion {
    /// The most versions of an event type that are kept: the oldest goes when one more comes.
    pub const MAX_KEPT: u32 = 50;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_and_hide_in_debug() {
        assert_eq!(
            SchemaText::new("x".repeat(64 * 1024 + 1)).unwrap_err().rule,
            Rule::TooLong
        );
        assert_eq!(format!("{:?}", Example::new("{}").unwrap()), "Example(2 bytes)");
    }
}

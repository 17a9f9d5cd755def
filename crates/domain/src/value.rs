//! How a value object says that it cannot exist.

use thiserror::Error;

/// The rule that a rejected value broke. Stable: API consumers match on [`Rule::code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Nothing was given where something is required.
    Required,
    /// Longer, or more of them, than allowed.
    TooLong,
    /// Shorter, or fewer of them, than allowed.
    TooShort,
    /// A character that is not allowed here.
    Charset,
    /// Not of the form that the field has.
    Format,
    /// A number outside its range.
    Range,
    /// Well-formed, but an address that the installation does not deliver to.
    AddressNotAllowed,
    /// The same value twice where each may stand once.
    Duplicate,
    /// A value that names nothing that exists.
    Unknown,
    /// Well-formed, but more than the caller may give.
    NotHeld,
    /// Well-formed, but kept for Postrider itself.
    Reserved,
    /// Well-formed, but not to be changed in this way.
    Fixed,
}

impl Rule {
    /// The stable, machine-readable name of the rule.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::TooLong => "too_long",
            Self::TooShort => "too_short",
            Self::Charset => "charset",
            Self::Format => "format",
            Self::Range => "range",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::Duplicate => "duplicate",
            Self::Unknown => "unknown",
            Self::NotHeld => "not_held",
            Self::Reserved => "reserved",
            Self::Fixed => "fixed",
        }
    }
}

/// Why a value object refused its input: a rule, and a sentence for people.
///
/// The sentence never repeats the value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct InvalidValue {
    /// The broken rule.
    pub rule: Rule,
    /// One sentence for people.
    pub message: String,
}

impl InvalidValue {
    /// A refusal by `rule`, explained by `message`.
    pub fn new(rule: Rule, message: impl Into<String>) -> Self {
        Self {
            rule,
            message: message.into(),
        }
    }
}

//! What a caller may say about a change of something that may be there already, and what is answered.

use std::collections::BTreeMap;

use postrider_domain::{Change, Metadata, Version};

use crate::{Error, ErrorCode, Result};

/// A resource, and which version of it: what a caller who changes it may name ([`IfMatch`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The resource.
    pub value: T,
    /// How often it has been saved.
    pub version: Version,
}

impl<T> Versioned<T> {
    /// The same version of something else.
    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> Versioned<U> {
        Versioned {
            value: to(self.value),
            version: self.version,
        }
    }
}

/// The version that an aggregate has after it was saved, if there was anything to save.
pub(crate) const fn version_after(read: Version, change: Change) -> Version {
    match change {
        Change::Made => read.next(),
        Change::None => read,
    }
}

/// What became of something that is created unless it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upserted<C, R> {
    /// It was created.
    Created(C),
    /// It was there, and is as it was asked for now.
    Replaced(R),
}

/// Which version the caller means to change (RFC 9110, section 13.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum IfMatch {
    /// Whatever is there, or nothing.
    #[default]
    Unsaid,
    /// Whatever is there; but something must be.
    Any,
    /// One of these.
    OneOf(Vec<Version>),
}

impl IfMatch {
    /// Refuses a resource that is not as the caller presumes; `None` if there is none.
    pub fn check(&self, stored: Option<Version>) -> Result<()> {
        let holds = match (self, stored) {
            (Self::Unsaid, _) | (Self::Any, Some(_)) => true,
            (Self::OneOf(versions), Some(stored)) => versions.contains(&stored),
            (Self::Any | Self::OneOf(_), None) => false,
        };
        if holds {
            Ok(())
        } else {
            Err(Error::new(
                ErrorCode::PreconditionFailed,
                "read the resource again: it is not at the version that If-Match names",
            ))
        }
    }
}

/// What a merge patch (RFC 7396) says of one field: null is not absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// Nothing: it stays as it is.
    #[default]
    Keep,
    /// `null`: it goes, or back to its default.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether it says anything.
    pub const fn is_said(&self) -> bool {
        !matches!(self, Self::Keep)
    }

    /// What becomes of `stored`, where nothing is a value too.
    pub fn apply(self, stored: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *stored = None,
            Self::Set(value) => *stored = Some(value),
        }
    }

    /// What becomes of `stored`, which goes back to its default.
    pub fn apply_or_default(self, stored: &mut T)
    where
        T: Default,
    {
        match self {
            Self::Keep => {}
            Self::Clear => *stored = T::default(),
            Self::Set(value) => *stored = value,
        }
    }
}

/// The tenant's notes after a merge patch of them, in which those without a value go.
pub(crate) fn patched_metadata(
    stored: &Metadata,
    patch: Patch<BTreeMap<String, Option<String>>>,
) -> Result<Metadata> {
    match patch {
        Patch::Keep => Ok(stored.clone()),
        Patch::Clear => Ok(Metadata::default()),
        Patch::Set(patch) => stored
            .merged(patch)
            .map_err(|invalid| Error::invalid_field("metadata", invalid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_version_is_changed() {
        let (one, two) = (Version(1), Version(2));
        for (said, stored, holds) in [
            (IfMatch::Unsaid, None, true),
            (IfMatch::Unsaid, Some(one), true),
            (IfMatch::Any, Some(one), true),
            (IfMatch::Any, None, false),
            (IfMatch::OneOf(vec![one, two]), Some(two), true),
            (IfMatch::OneOf(vec![one]), Some(two), false),
            (IfMatch::OneOf(vec![one]), None, false),
        ] {
            let checked = said.check(stored).map_err(|error| error.code());
            assert_eq!(checked.is_ok(), holds, "{said:?} of {stored:?}");
            assert!(checked.is_ok() || checked == Err(ErrorCode::PreconditionFailed));
        }
    }

    #[test]
    fn null_is_not_absent() {
        let patched = |patch: Patch<u8>| {
            let (mut optional, mut plain) = (Some(7), 7);
            patch.clone().apply(&mut optional);
            patch.apply_or_default(&mut plain);
            (optional, plain)
        };
        assert_eq!(patched(Patch::Keep), (Some(7), 7));
        assert_eq!(patched(Patch::Clear), (None, 0));
        assert_eq!(patched(Patch::Set(9)), (Some(9), 9));
    }
}

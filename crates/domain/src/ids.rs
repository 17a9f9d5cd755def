//! Typed ids, from one registry.
//!
//! Publicly an id is a [TypeID](https://github.com/jetify-com/typeid): a prefix and the base32 of a UUIDv7,
//! `ep_01jd…`. Stored, it is the native UUID. Ids are made by the application's `Ids` port: the domain has
//! no clock and no randomness.

use std::{fmt, str::FromStr};

use thiserror::Error;
use uuid::Uuid;

/// Why a text is not an id of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is not an id of the form {prefix}_ followed by 26 characters")]
pub struct IdError {
    /// The prefix that was wanted.
    pub prefix: &'static str,
}

/// Crockford's base32 in lower case, as TypeID prescribes.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 128 bits in groups of five, the first group holding the upper three.
const SUFFIX_LEN: usize = 26;

/// The base32 form of 128 bits, 26 characters.
pub(crate) fn encode(value: u128) -> String {
    (0..SUFFIX_LEN)
        .rev()
        .map(|group| char::from(ALPHABET[((value >> (group * 5)) & 31) as usize]))
        .collect()
}

/// The value of a 26-character base32 text; nothing for any other text or a value above 128 bits.
pub(crate) fn decode(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    if bytes.len() != SUFFIX_LEN || bytes[0] > b'7' {
        return None;
    }
    bytes.iter().try_fold(0u128, |value, byte| {
        let digit = ALPHABET.iter().position(|a| a == byte)?;
        Some((value << 5) | digit as u128)
    })
}

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix of the public form.
            pub const PREFIX: &'static str = $prefix;

            /// The id that is stored as `uuid`.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The stored form.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, encode(self.0.as_u128()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix($prefix)
                    .and_then(|rest| rest.strip_prefix('_'))
                    .and_then(decode)
                    .map(|value| Self(Uuid::from_u128(value)))
                    .ok_or(IdError { prefix: $prefix })
            }
        }
    )+};
}

typed_ids! {
    /// A company that sends webhooks through Postrider.
    TenantId = "ten";
    /// A person.
    UserId = "usr";
    /// A person's place in one tenant.
    MembershipId = "mem";
    /// One login of a person to one tenant.
    SessionId = "ses";
    /// A machine principal of one tenant.
    ApiKeyId = "key";
    /// A pending invitation of a person into a tenant.
    InvitationId = "inv";
    /// A password reset that an operator issued; internal, part of its token only.
    PasswordResetId = "pwr";
    /// One of a tenant's customers.
    ApplicationId = "app";
    /// A URL of an application.
    EndpointId = "ep";
    /// One event published to one application.
    MessageId = "msg";
    /// A portal token.
    PortalTokenId = "ptk";
    /// An entry of the audit log.
    AuditEntryId = "aud";
    /// A replay of an endpoint's messages.
    ReplayId = "rpl";
    /// A row of the work queue; internal, never shown to consumers.
    WorkId = "wrk";
}

impl From<MessageId> for WorkId {
    /// The fan-out of a message is queued under the message's own id.
    fn from(message: MessageId) -> Self {
        Self(message.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_the_vectors_of_the_typeid_specification() {
        // valid.yml of the specification: nil, one, ten, max, and a UUIDv7.
        for (suffix, uuid) in [
            (
                "00000000000000000000000000",
                "00000000-0000-0000-0000-000000000000",
            ),
            (
                "00000000000000000000000001",
                "00000000-0000-0000-0000-000000000001",
            ),
            (
                "0000000000000000000000000a",
                "00000000-0000-0000-0000-00000000000a",
            ),
            (
                "7zzzzzzzzzzzzzzzzzzzzzzzzz",
                "ffffffff-ffff-ffff-ffff-ffffffffffff",
            ),
            (
                "01h455vb4pex5vsknk084sn02q",
                "01890a5d-ac96-774b-bcce-b302099a8057",
            ),
        ] {
            let id = EndpointId::from_uuid(uuid.parse().unwrap());
            assert_eq!(id.to_string(), format!("ep_{suffix}"));
            assert_eq!(format!("ep_{suffix}").parse(), Ok(id));
        }
    }

    #[test]
    fn refuses_what_is_not_of_its_kind() {
        for bad in [
            "",
            "ep",
            "ep_",
            "app_01h455vb4pex5vsknk084sn02q",
            "ep_01H455VB4PEX5VSKNK084SN02Q",
            "ep_8zzzzzzzzzzzzzzzzzzzzzzzzz",
            "ep_01h455vb4pex5vsknk084sn02",
            "ep_01h455vb4pex5vsknk084sn02qq",
            "ep_01h455vb4pex5vsknk084sn02l",
            "ep_é1h455vb4pex5vsknk084sn02",
        ] {
            assert_eq!(bad.parse::<EndpointId>(), Err(IdError { prefix: "ep" }), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_uuid_survives_the_round_trip_and_keeps_its_order(a: u128, b: u128) {
            let (x, y) = (MessageId::from_uuid(Uuid::from_u128(a)), MessageId::from_uuid(Uuid::from_u128(b)));
            prop_assert_eq!(x.to_string().parse::<MessageId>(), Ok(x));
            prop_assert_eq!(x.to_string().cmp(&y.to_string()), a.cmp(&b));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<TenantId>();
        }
    }
}

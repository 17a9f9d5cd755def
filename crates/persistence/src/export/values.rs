//! How stored values are shown in an export: public ids, times in RFC 3339, bytes as base64.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use postrider_domain::{
    ApiKeyId, ApplicationId, AuditEntryId, EndpointId, InvitationId, MembershipId, MessageId, ReplayId,
    SessionId, TenantId, UserId,
};
use sea_orm::{ColIdx, QueryResult, TryGetError, TryGetable};
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{codec::StoredGrants, events};

/// Writes a column's type by its stored one.
macro_rules! columns {
    ($($(#[$doc:meta])* $name:ident($stored:ty);)+) => {$(
        $(#[$doc])*
        pub(super) struct $name(pub(super) $stored);

        impl TryGetable for $name {
            fn try_get_by<I: ColIdx>(row: &QueryResult, column: I) -> Result<Self, TryGetError> {
                <$stored>::try_get_by(row, column).map(Self)
            }
        }
    )+};
}

columns! {
    /// A time.
    Time(i64);
    /// Bytes.
    Base64(Vec<u8>);
    /// What somebody may do.
    Grants(StoredGrants);
    /// A JSON text, as it was written.
    Json(String);
}

/// Writes a column's type for each public id.
macro_rules! ids {
    ($($name:ident: $id:ty;)+) => {
        columns! {$(
            /// A public id.
            $name(Uuid);
        )+}

        $(impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&<$id>::from_uuid(self.0))
            }
        })+
    };
}

ids! {
    Tenant: TenantId;
    User: UserId;
    Member: MembershipId;
    Invitation: InvitationId;
    Session: SessionId;
    ApiKey: ApiKeyId;
    Application: ApplicationId;
    Endpoint: EndpointId;
    Message: MessageId;
    Replay: ReplayId;
    AuditEntry: AuditEntryId;
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Beyond the year 9999 RFC 3339 has no form; such a time is shown as the last one that has.
        let last = OffsetDateTime::from_unix_timestamp(253_402_300_799).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).unwrap_or(last);
        serializer.collect_str(&format_args!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.microsecond()
        ))
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl Serialize for Grants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let held = self.0.clone().read().map_err(S::Error::custom)?;
        events::grants(&held).serialize(serializer)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.0.clone()).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_their_public_forms() {
        fn json(value: &impl Serialize) -> String {
            serde_json::to_string(value).unwrap()
        }
        assert_eq!(
            json(&Time(1_700_000_000_000_001)),
            r#""2023-11-14T22:13:20.000001Z""#
        );
        assert_eq!(json(&Time(i64::MAX)), r#""9999-12-31T23:59:59.000000Z""#);
        assert_eq!(json(&Base64(vec![0xff, 0, 1])), r#""/wAB""#);
        assert_eq!(json(&Json(r#"{"v": 1}"#.to_owned())), r#"{"v": 1}"#);
        assert_eq!(
            json(&Endpoint(Uuid::from_u128(1))),
            r#""ep_00000000000000000000000001""#
        );
        assert!(serde_json::to_string(&Json("{".to_owned())).is_err());
    }
}

//! The segments of paths.

use std::{fmt, str::FromStr};

use postrider_application::ports::DeadLetterId;
use postrider_domain::{
    ApiKeyId, ApplicationId, EndpointId, InvalidValue, InvitationId, MembershipId, MessageId, ReplayId, Rule,
    TenantId, Uid, applications::ApplicationRef, endpoints::EndpointRef, event_types::EventTypeName,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Checked, Checks};

/// Parses an id.
pub(super) fn id<T>(text: &str) -> Result<T, InvalidValue>
where
    T: FromStr<Err: fmt::Display>,
{
    text.parse()
        .map_err(|error: T::Err| InvalidValue::new(Rule::Format, error.to_string()))
}

/// Parses an id or a uid. A uid never looks like an id, so there is no doubt which it is.
fn id_or_uid<T, R>(text: &str, prefix: &str, by_uid: fn(Uid) -> R) -> Result<R, InvalidValue>
where
    T: FromStr<Err: fmt::Display> + Into<R>,
{
    let looks_like_id = text
        .strip_prefix(prefix)
        .is_some_and(|rest| rest.starts_with('_'));
    if looks_like_id {
        id::<T>(text).map(Into::into)
    } else {
        Uid::parse(text).map(by_uid)
    }
}

/// Parses how an application is named.
pub(super) fn application(text: &str) -> Result<ApplicationRef, InvalidValue> {
    id_or_uid::<ApplicationId, _>(text, ApplicationId::PREFIX, ApplicationRef::Uid)
}

/// Parses how an endpoint is named.
pub(super) fn endpoint(text: &str) -> Result<EndpointRef, InvalidValue> {
    id_or_uid::<EndpointId, _>(text, EndpointId::PREFIX, EndpointRef::Uid)
}

/// A path of one segment that is an id.
macro_rules! id_paths {
    ($($(#[$doc:meta])* $path:ident, $segment:ident: $id:ident, $what:literal, $example:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Deserialize, IntoParams)]
        #[into_params(parameter_in = Path)]
        pub(crate) struct $path {
            #[doc = $what]
            #[param(example = $example)]
            $segment: String,
        }

        impl $path {
            /// Which.
            pub(crate) fn $segment(&self, checks: &mut Checks) -> Checked<$id> {
                checks.check(stringify!($segment), id(&self.$segment))
            }

            /// Which, where nothing else can be wrong.
            #[allow(dead_code, reason = "not every path comes with a body")]
            pub(crate) fn read(&self) -> Result<$id, postrider_application::Error> {
                let mut checks = Checks::default();
                let id = self.$segment(&mut checks);
                let (id,) = checks.all((id,))?;
                Ok(id)
            }
        }
    )+};
}

id_paths! {
    /// `/v1/members/{member}`
    MemberPath, member: MembershipId, "The membership's id.", "mem_01jd8x3v9ce2sbm4w8f1q7k5zt";
    /// `/v1/invitations/{invitation}`
    InvitationPath, invitation: InvitationId, "The invitation's id.", "inv_01jd8x3v9ce2sbm4w8f1q7k5zt";
    /// `/v1/api-keys/{api_key}`
    ApiKeyPath, api_key: ApiKeyId, "The API key's id.", "key_01jd8x3v9ce2sbm4w8f1q7k5zt";
    /// `/v1/operator/dead-letters/{event}/retry`
    DeadLetterPath, event: DeadLetterId, "The dead letter's id.", "operational-webhooks.1234";
    /// `/v1/operator/tenants/{tenant}`
    TenantPath, tenant: TenantId, "The tenant's id.", "ten_01jd8x3v9ce2sbm4w8f1q7k5zt";
}

/// `/v1/event-types/{name}`
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct EventTypePath {
    /// The event type's name.
    #[param(example = "invoice.paid")]
    name: String,
}

impl EventTypePath {
    /// Which event type.
    pub(crate) fn name(&self, checks: &mut Checks) -> Checked<EventTypeName> {
        checks.check("name", EventTypeName::parse(&self.name))
    }
}

/// `/v1/event-types/{name}/schemas/{version}`
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct SchemaPath {
    /// The event type's name.
    #[param(example = "invoice.paid")]
    name: String,
    /// The version's number, from 1.
    #[param(value_type = u32, minimum = 1, example = 1)]
    version: String,
}

impl SchemaPath {
    /// Which version of which event type's schema.
    pub(crate) fn read(&self) -> Result<(EventTypeName, u32), postrider_application::Error> {
        let mut checks = Checks::default();
        let name = checks.check("name", EventTypeName::parse(&self.name));
        let version = self.version.parse().ok().filter(|version| *version > 0);
        let version = version.ok_or_else(|| InvalidValue::new(Rule::Range, "must be a whole number from 1"));
        let version = checks.check("version", version);
        checks.all((name, version))
    }
}

/// `A = /v1/applications/{application}`
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ApplicationPath {
    /// The application's id, or the uid that you gave it.
    #[param(example = "customer-42")]
    application: String,
}

impl ApplicationPath {
    /// Which application.
    pub(crate) fn application(&self, checks: &mut Checks) -> Checked<ApplicationRef> {
        checks.check("application", application(&self.application))
    }

    /// The path of the application's own things.
    pub(crate) fn location(&self, of: &str, id: impl fmt::Display) -> String {
        format!("/v1/applications/{}/{of}/{id}", self.application)
    }
}

/// `A/endpoints/{endpoint}`
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct EndpointPath {
    /// The application's id, or the uid that you gave it.
    #[param(example = "customer-42")]
    application: String,
    /// The endpoint's id, or the uid that you gave it.
    #[param(example = "billing")]
    endpoint: String,
}

impl EndpointPath {
    /// Which endpoint of which application.
    pub(crate) fn read(&self) -> Result<(ApplicationRef, EndpointRef), postrider_application::Error> {
        let mut checks = Checks::default();
        let parts = self.parts(&mut checks);
        checks.all(parts)
    }

    /// The same, where more can be wrong.
    pub(crate) fn parts(&self, checks: &mut Checks) -> (Checked<ApplicationRef>, Checked<EndpointRef>) {
        (
            checks.check("application", application(&self.application)),
            checks.check("endpoint", endpoint(&self.endpoint)),
        )
    }

    /// The path of the application's other things.
    pub(crate) fn beside(&self, of: &str, id: impl fmt::Display) -> String {
        format!("/v1/applications/{}/{of}/{id}", self.application)
    }

    /// The path of the endpoint's own things.
    pub(crate) fn location(&self, of: &str, id: impl fmt::Display) -> String {
        let (application, endpoint) = (&self.application, &self.endpoint);
        format!("/v1/applications/{application}/endpoints/{endpoint}/{of}/{id}")
    }
}

/// `A/endpoints/{endpoint}/replays/{replay}`
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ReplayPath {
    /// The application's id, or the uid that you gave it.
    #[param(example = "customer-42")]
    application: String,
    /// The endpoint's id, or the uid that you gave it.
    #[param(example = "billing")]
    endpoint: String,
    /// The replay's id.
    #[param(example = "rpl_01jd8x3v9ce2sbm4w8f1q7k5zt")]
    replay: String,
}

impl ReplayPath {
    /// Which replay of which endpoint of which application.
    pub(crate) fn read(
        &self,
    ) -> Result<(ApplicationRef, EndpointRef, ReplayId), postrider_application::Error> {
        let mut checks = Checks::default();
        let application = checks.check("application", application(&self.application));
        let endpoint = checks.check("endpoint", endpoint(&self.endpoint));
        let replay = checks.check("replay", id(&self.replay));
        checks.all((application, endpoint, replay))
    }
}

/// `A/messages/{message}`
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct MessagePath {
    /// The application's id, or the uid that you gave it.
    #[param(example = "customer-42")]
    application: String,
    /// The message's id.
    #[param(example = "msg_01jd8x3v9ce2sbm4w8f1q7k5zt")]
    message: String,
}

impl MessagePath {
    /// Which message of which application.
    pub(crate) fn read(&self, checks: &mut Checks) -> (Checked<ApplicationRef>, Checked<MessageId>) {
        (
            checks.check("application", application(&self.application)),
            checks.check("message", id(&self.message)),
        )
    }
}

/// `A/messages/{message}/deliveries/{endpoint}`
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct DeliveryPath {
    /// The application's id, or the uid that you gave it.
    #[param(example = "customer-42")]
    application: String,
    /// The message's id.
    #[param(example = "msg_01jd8x3v9ce2sbm4w8f1q7k5zt")]
    message: String,
    /// The endpoint's id, as it stands in the list of deliveries, or the uid that you gave it.
    #[param(example = "ep_01jd8x3v9ce2sbm4w8f1q7k5zv")]
    endpoint: String,
}

impl DeliveryPath {
    /// Which delivery: to which endpoint, of which message, of which application.
    pub(crate) fn read(
        &self,
        checks: &mut Checks,
    ) -> (Checked<ApplicationRef>, Checked<MessageId>, Checked<EndpointRef>) {
        (
            checks.check("application", application(&self.application)),
            checks.check("message", id(&self.message)),
            checks.check("endpoint", endpoint(&self.endpoint)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_an_id_or_a_uid_never_both() {
        let id = "app_01h455vb4pex5vsknk084sn02q";
        assert_eq!(application(id), Ok(ApplicationRef::Id(id.parse().unwrap())));
        assert_eq!(
            application("customer-42"),
            Ok(ApplicationRef::Uid(Uid::parse("customer-42").unwrap()))
        );
        // `ep_…` names no application, and no uid begins like that.
        for bad in ["app_", "app_x", "ep_01h455vb4pex5vsknk084sn02q", "a b", "é", ""] {
            assert!(application(bad).is_err(), "{bad}");
        }
        assert!(
            application("application").is_ok(),
            "only the underscore makes a prefix"
        );
    }
}

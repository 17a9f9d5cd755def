use postrider_application::{Violation, messages::Published as Outcome};
use postrider_domain::event_types::EventTypeName;
use serde::Serialize;
use utoipa::ToSchema;

/// One broken rule of a payload's schema.
#[derive(Serialize, ToSchema)]
pub(crate) struct Fault {
    /// Where.
    #[schema(examples("payload.items[2].price"))]
    field: String,
    /// The stable name of the rule: for a schema, its keyword.
    #[schema(examples("minimum"))]
    rule: String,
    /// One sentence for people.
    #[schema(examples("must be as the schema's `minimum` says"))]
    message: String,
}

impl From<&Violation> for Fault {
    fn from(violation: &Violation) -> Self {
        Self {
            field: violation.field.clone().into_owned(),
            rule: violation.rule.clone().into_owned(),
            message: violation.message.clone(),
        }
    }
}

/// A message that is durable.
#[derive(Serialize, ToSchema)]
pub(crate) struct Published {
    /// Its id, the `webhook-id` of every attempt.
    #[schema(examples("msg_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// What happened.
    #[schema(examples("invoice.paid"))]
    event_type: String,
    /// Where the payload is not as the schema of its event type says; only if there is such a place, and the tenant's
    /// `schema_validation` is `warn`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<Fault>,
}

impl Published {
    /// The message of `event_type`.
    pub(crate) fn new(published: &Outcome, event_type: &EventTypeName) -> Self {
        Self {
            id: published.id.to_string(),
            event_type: event_type.as_str().to_owned(),
            warnings: published.warnings.iter().map(Fault::from).collect(),
        }
    }
}

//! Whether an event type and a payload are what their tenant wants.

use std::{sync::Arc, time::Duration};

use postrider_domain::{
    event_types::EventTypeName,
    messages::{ContentType, Payload},
    tenants::{SchemaValidation, TenantSettings, UnregisteredEventTypes},
};

use crate::{
    Error, ErrorCode, Ports, Result, Violation,
    access::ApplicationScope,
    ports::{Clock, EventTypeDirectory, KnownEventType, SchemaError, Schemas, UseCaseMetrics},
};

/// The name under which validations are counted and timed.
const NAME: &str = "message.validate";

/// Holds messages to what their tenant set.
pub(super) struct Vetting {
    event_types: Arc<dyn EventTypeDirectory>,
    schemas: Arc<dyn Schemas>,
    metrics: Arc<dyn UseCaseMetrics>,
    clock: Arc<dyn Clock>,
}

impl Vetting {
    pub(super) fn new<S>(ports: &Ports<S>) -> Self {
        Self {
            event_types: ports.event_types.clone(),
            schemas: ports.schemas.clone(),
            metrics: ports.metrics.clone(),
            clock: ports.clock.clone(),
        }
    }

    /// What the caller is to be warned of; or an error, if the message is not to be accepted. Costs nothing where the
    /// tenant asks for nothing.
    pub(super) async fn vet(
        &self,
        scope: &ApplicationScope,
        event_type: &EventTypeName,
        payload: &Payload,
        field: &'static str,
    ) -> Result<Vec<Violation>> {
        let settings = scope.tenant_scope().settings();
        if !settings.asks_for_event_type() {
            return Ok(Vec::new());
        }
        let tenant = scope.tenant_scope();
        let known = match self.event_types.known_event_type(tenant, event_type).await {
            Ok(known) => known,
            // Nobody is refused here: who only wants to be warned does not lose the message to our not finding out.
            Err(error) if only_warned(settings) => {
                tracing::warn!(%error, "an event type cannot be read: a message is not held to its schema");
                self.metrics.record(NAME, "unread", Duration::ZERO);
                return Ok(vec![unchecked(field, "its event type cannot be read now")]);
            }
            Err(error) => return Err(error.into()),
        };
        refuse_unwanted(settings, known.as_ref())?;
        if settings.schema_validation == SchemaValidation::Off {
            return Ok(Vec::new());
        }
        let Some(schema) = known.and_then(|known| known.schema) else {
            return Ok(Vec::new());
        };
        let begun = self.clock.monotonic();
        let validated = if is_json(payload.content_type()) {
            self.schemas
                .validate(scope.tenant(), &schema, field, payload.bytes())
                .await
        } else {
            Ok(vec![Violation {
                field: field.into(),
                rule: "content_type".into(),
                message: "must be JSON: the event type has a schema".to_owned(),
            }])
        };
        let elapsed = self.clock.monotonic().saturating_sub(begun);
        let (outcome, judged) = judge(settings.schema_validation, field, validated);
        self.metrics.record(NAME, outcome, elapsed);
        judged
    }
}

/// Whether a payload of that type is held to a schema.
fn is_json(content_type: &ContentType) -> bool {
    let text = content_type.as_str();
    let essence = text.split(';').next().unwrap_or_default().trim();
    let ends = |end: &str| {
        essence
            .len()
            .checked_sub(end.len())
            .and_then(|at| essence.get(at..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    ends("/json") || ends("+json")
}

fn refuse_unwanted(settings: TenantSettings, known: Option<&KnownEventType>) -> Result<()> {
    if settings.unregistered_event_types == UnregisteredEventTypes::Accept {
        return Ok(());
    }
    let (rule, message) = match known {
        None => ("unregistered", "must be a registered event type"),
        Some(known) if known.archived => ("archived", "must not be an archived event type"),
        Some(_) => return Ok(()),
    };
    Err(Error::invalid(vec![Violation {
        field: "event_type".into(),
        rule: rule.into(),
        message: message.to_owned(),
    }]))
}

/// Whether nothing that is found out about an event type or a payload leads to a refusal.
fn only_warned(settings: TenantSettings) -> bool {
    settings.schema_validation == SchemaValidation::Warn
        && settings.unregistered_event_types == UnregisteredEventTypes::Accept
}

/// The warning that nobody looked whether the payload is as its schema says.
fn unchecked(field: &'static str, why: &str) -> Violation {
    Violation {
        field: field.into(),
        rule: "unchecked".into(),
        message: format!("was not held to its schema: {why}"),
    }
}

/// What follows of a validation, and under which name it is counted.
fn judge(
    wanted: SchemaValidation,
    field: &'static str,
    validated: Result<Vec<Violation>, SchemaError>,
) -> (&'static str, Result<Vec<Violation>>) {
    let enforced = wanted == SchemaValidation::Enforce;
    match validated {
        Ok(faults) if faults.is_empty() => ("ok", Ok(faults)),
        Ok(faults) if enforced => ("refused", Err(Error::invalid(faults))),
        Ok(faults) => ("warned", Ok(faults)),
        // Who only wants to be warned loses the message neither to our having no time nor to a fault of ours.
        Err(SchemaError::Busy) if !enforced => (
            "unchecked",
            Ok(vec![unchecked(field, "too many payloads are at the same time")]),
        ),
        Err(error @ SchemaError::Internal(_)) if !enforced => {
            // Not what caused it: a panic may have words of the payload.
            tracing::error!(%error, "a message is not held to its schema");
            (
                "internal",
                Ok(vec![unchecked(field, "the schema cannot be applied")]),
            )
        }
        Err(error @ SchemaError::Busy) => (
            "busy",
            Err(Error::new(
                ErrorCode::Unavailable,
                "the message was not accepted: too many payloads are held to their schemas; try again",
            )
            .caused_by(error)),
        ),
        Err(error @ SchemaError::Internal(_)) => ("internal", Err(Error::internal(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::{Caller, TenantScope},
        event_types::{ArchiveEventType, NewSchema, RegisterEventType},
        messages::PublishMessage,
        ports::StoreError,
        testing::{World, publish},
    };
    use postrider_domain::{
        ApplicationId, Description,
        access::{Grant, Role},
        event_types::SchemaText,
    };

    const NOTHING: UnregisteredEventTypes = UnregisteredEventTypes::Accept;

    /// Whose event type `invoice.paid` has the schema of that word, if any.
    #[expect(clippy::similar_names, reason = "the words are far apart in meaning")]
    async fn world(word: Option<&str>) -> (World, Caller, ApplicationId) {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await.id;
        if let Some(word) = word {
            let request = RegisterEventType {
                name: EventTypeName::parse("invoice.paid").unwrap(),
                description: Description::default(),
                schema: Some(NewSchema {
                    schema: SchemaText::new(word).unwrap(),
                    example: None,
                }),
            };
            world.send(&owner, request).await.unwrap();
        }
        (world, owner, application)
    }

    fn wanting(
        caller: &Caller,
        schema_validation: SchemaValidation,
        unregistered_event_types: UnregisteredEventTypes,
    ) -> Caller {
        let settings = TenantSettings {
            schema_validation,
            unregistered_event_types,
        };
        World::with_settings(caller, settings)
    }

    fn validations(world: &World) -> Vec<&'static str> {
        let records = world.metrics.records().into_iter();
        records
            .filter(|(name, ..)| *name == NAME)
            .map(|(_, outcome, _)| outcome)
            .collect()
    }

    #[tokio::test]
    async fn a_payload_that_its_schema_does_not_allow() {
        let (world, owner, application) = world(Some("word")).await;
        for (wanted, refused, warnings) in [
            (SchemaValidation::Off, false, 0),
            (SchemaValidation::Warn, false, 1),
            (SchemaValidation::Enforce, true, 0),
        ] {
            let caller = wanting(&owner, wanted, NOTHING);
            let good = world.send(&caller, publish(application, r#""word""#, None)).await;
            assert!(good.unwrap().warnings.is_empty());
            match world.send(&caller, publish(application, "{}", None)).await {
                Ok(published) => {
                    assert!(!refused);
                    assert_eq!(published.warnings.len(), warnings);
                }
                Err(error) => {
                    assert!(refused);
                    assert_eq!(error.code(), ErrorCode::ValidationFailed);
                    assert_eq!(error.violations()[0].field, "payload");
                }
            }
        }
        assert_eq!(validations(&world), ["ok", "warned", "ok", "refused"]);
        assert_eq!(world.due().await.len(), 5);
    }

    #[tokio::test]
    async fn what_there_is_no_time_for_is_told_and_not_lost() {
        let (world, owner, application) = world(Some("busy")).await;
        let request = || publish(application, "{}", None);
        let caller = wanting(&owner, SchemaValidation::Warn, NOTHING);
        let published = world.send(&caller, request()).await.unwrap();
        assert_eq!(published.warnings[0].rule, "unchecked");
        let caller = wanting(&owner, SchemaValidation::Enforce, NOTHING);
        assert_eq!(world.refusal(&caller, request()).await, ErrorCode::Unavailable);
    }

    #[tokio::test]
    async fn what_cannot_be_applied_is_told_and_not_lost() {
        // Registered once, and taken no more.
        let (world, owner, application) = world(Some("broken")).await;
        let request = || publish(application, "{}", None);
        let caller = wanting(&owner, SchemaValidation::Warn, NOTHING);
        let published = world.send(&caller, request()).await.unwrap();
        assert_eq!(published.warnings[0].rule, "unchecked");
        let caller = wanting(&owner, SchemaValidation::Enforce, NOTHING);
        assert_eq!(world.refusal(&caller, request()).await, ErrorCode::Internal);
        assert_eq!(validations(&world), ["internal", "internal"]);
        assert_eq!(world.due().await.len(), 1);
    }

    /// Answers nothing but that it cannot.
    struct Unreadable;

    #[async_trait::async_trait]
    impl EventTypeDirectory for Unreadable {
        async fn known_event_type(
            &self,
            _: &TenantScope,
            _: &EventTypeName,
        ) -> Result<Option<KnownEventType>, StoreError> {
            Err(StoreError::Unavailable("no connection is free".into()))
        }
    }

    #[tokio::test]
    async fn an_event_type_that_cannot_be_read_refuses_only_where_something_may_be_refused() {
        let world = World::new().with_event_types(Unreadable);
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await.id;
        for validation in SchemaValidation::ALL {
            for unregistered in [NOTHING, UnregisteredEventTypes::Reject] {
                let caller = wanting(&owner, *validation, unregistered);
                let sent = world.send(&caller, publish(application, "{}", None)).await;
                match (*validation, unregistered) {
                    (SchemaValidation::Off, NOTHING) => assert!(sent.unwrap().warnings.is_empty()),
                    (SchemaValidation::Warn, NOTHING) => {
                        assert_eq!(sent.unwrap().warnings[0].rule, "unchecked");
                    }
                    _ => assert_eq!(sent.unwrap_err().code(), ErrorCode::Unavailable),
                }
            }
        }
        assert_eq!(validations(&world), ["unread"]);
    }

    #[tokio::test]
    async fn only_json_is_held_to_a_schema() {
        let (world, owner, application) = world(Some("word")).await;
        let caller = wanting(&owner, SchemaValidation::Enforce, NOTHING);
        for (content_type, rule) in [
            ("text/plain", Some("content_type")),
            ("application/jsonx", Some("content_type")),
            ("application/vnd.acme+JSON; charset=utf-8", None),
        ] {
            let mut request: PublishMessage = publish(application, "word", None);
            let content_type = ContentType::parse(content_type).unwrap();
            request.message.payload = Payload::new(*b"word", content_type, 10).unwrap();
            request.message.payload_field = "raw";
            let sent = world.send(&caller, request).await;
            let found = sent.err().map(|error| error.violations()[0].clone());
            assert_eq!(found.as_ref().map(|found| &*found.rule), rule);
            assert!(found.is_none_or(|found| found.field == "raw"));
        }
    }

    #[tokio::test]
    async fn unknown_and_archived_event_types_are_refused_where_the_tenant_asks() {
        for wanted in SchemaValidation::ALL {
            let (world, owner, application) = world(None).await;
            let reject = wanting(&owner, *wanted, UnregisteredEventTypes::Reject);
            let accept = wanting(&owner, *wanted, NOTHING);
            let rule = async |caller: &Caller| {
                let sent = world.send(caller, publish(application, "{}", None)).await;
                sent.err().map(|error| error.violations()[0].rule.clone())
            };
            assert_eq!(rule(&accept).await, None);
            assert_eq!(rule(&reject).await.as_deref(), Some("unregistered"));
            let name = || EventTypeName::parse("invoice.paid").unwrap();
            let request = RegisterEventType {
                name: name(),
                description: Description::default(),
                schema: None,
            };
            world.send(&owner, request).await.unwrap();
            assert_eq!(rule(&reject).await, None);
            let archive = ArchiveEventType { name: name() };
            world.send(&owner, archive).await.unwrap();
            assert_eq!(rule(&accept).await, None);
            assert_eq!(rule(&reject).await.as_deref(), Some("archived"));
        }
    }
}

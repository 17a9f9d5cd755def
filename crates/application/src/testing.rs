//! What the use cases' tests share: all of them, over memory, with one tenant.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use postrider_domain::{
    Metadata, Name, SessionId, Timestamp, Uid,
    access::Grant,
    applications::{ApplicationRef, ApplicationState},
    endpoints::{EndpointUrl, Filter},
    event_types::EventTypeName,
    messages::{Channels, ContentType, DedupKey, Payload},
    users::Email,
};

use crate::{
    ErrorCode, Ports, Result, Settings, UseCases,
    access::{Caller, Principal, PrincipalId},
    applications::CreateApplication,
    endpoints::CreateEndpoint,
    mediator::{Mediator, Request, Serves},
    memory::{
        CountingSignal, MemoryStore, NoTrace, PlainPasswords, RecordedMetrics, SeededRandomness,
        SequentialIds, TestClock,
    },
    messages::PublishMessage,
    ports::{
        AccessClaims, AccessTokens, ClaimFrom, ClaimedWork, Clock, DeliveryQueue as _, Epoch, TokenError,
    },
    tenants::{CreateTenant, CreatedTenant},
};

/// All use cases over memory.
pub(crate) struct World {
    pub(crate) mediator: Mediator<UseCases<MemoryStore>>,
    pub(crate) store: MemoryStore,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) signal: Arc<CountingSignal>,
    pub(crate) metrics: Arc<RecordedMetrics>,
    pub(crate) trace: Arc<NoTrace>,
}

/// Tokens that say what they say in plain text.
pub(crate) struct PlainTokens;

#[async_trait]
impl AccessTokens for PlainTokens {
    fn issue(&self, claims: &AccessClaims) -> Result<String> {
        let AccessClaims {
            user,
            tenant,
            session,
            issued_at,
            expires_at,
        } = claims;
        let (issued, expires) = (issued_at.as_micros(), expires_at.as_micros());
        Ok(format!("{user} {tenant} {session} {issued} {expires}"))
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError> {
        let parts: Vec<&str> = token.split(' ').collect();
        let [user, tenant, session, issued, expires] = parts[..] else {
            return Err(TokenError::Malformed);
        };
        let time = |text: &str| {
            text.parse()
                .map(Timestamp::from_micros)
                .map_err(|_| TokenError::Malformed)
        };
        let claims = AccessClaims {
            user: user.parse().map_err(|_| TokenError::Malformed)?,
            tenant: tenant.parse().map_err(|_| TokenError::Malformed)?,
            session: session.parse().map_err(|_| TokenError::Malformed)?,
            issued_at: time(issued)?,
            expires_at: time(expires)?,
        };
        if claims.expires_at <= now {
            Err(TokenError::Expired)
        } else {
            Ok(claims)
        }
    }

    fn jwks(&self) -> String {
        r#"{"keys":[]}"#.to_owned()
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(TestClock::new());
        let store = MemoryStore::new(clock.clone());
        let (signal, metrics) = (
            Arc::new(CountingSignal::default()),
            Arc::new(RecordedMetrics::default()),
        );
        let trace = Arc::new(NoTrace::default());
        let ports = Ports {
            store: store.clone(),
            intake: Arc::new(store.clone()),
            directory: Arc::new(store.clone()),
            identities: Arc::new(store.clone()),
            passwords: Arc::new(PlainPasswords),
            tokens: Arc::new(PlainTokens),
            work_signal: signal.clone(),
            trace: trace.clone(),
            clock: clock.clone(),
            ids: Arc::new(SequentialIds::new(clock.clone())),
            randomness: Arc::new(SeededRandomness::new(7)),
        };
        let use_cases = UseCases::new(&ports, &Settings::default());
        let mediator = Mediator::new(use_cases, Arc::new(store.clone()), metrics.clone(), clock.clone());
        Self {
            mediator,
            store,
            clock,
            signal,
            metrics,
            trace,
        }
    }

    pub(crate) async fn send<R: Request>(&self, caller: &Caller, request: R) -> Result<R::Output>
    where
        UseCases<MemoryStore>: Serves<R>,
    {
        self.mediator.send(caller, request).await
    }

    /// The code that a refused request is answered with.
    pub(crate) async fn refusal<R: Request>(&self, caller: &Caller, request: R) -> ErrorCode
    where
        UseCases<MemoryStore>: Serves<R>,
    {
        match self.send(caller, request).await {
            Ok(_) => panic!("{} was not refused", R::NAME),
            Err(error) => error.code(),
        }
    }

    pub(crate) async fn tenant(&self, owner: &str) -> CreatedTenant {
        self.send(&Caller::Operator, create_tenant(owner)).await.unwrap()
    }

    /// A tenant and a caller who holds `grant` in it.
    pub(crate) async fn caller(&self, owner: &str, grant: Grant) -> Caller {
        let created = self.tenant(owner).await;
        principal(&created, grant)
    }

    pub(crate) async fn application(&self, caller: &Caller, uid: Option<&str>) -> ApplicationState {
        let request = CreateApplication {
            uid: uid.map(|text| Uid::parse(text).unwrap()),
            name: Name::parse("Customer").unwrap(),
            metadata: Metadata::default(),
        };
        self.send(caller, request).await.unwrap()
    }

    /// The rows that an engine would claim now.
    pub(crate) async fn due(&self) -> Vec<ClaimedWork> {
        self.store.claim(Epoch(1), ClaimFrom::Queue, 100).await.unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

pub(crate) fn create_tenant(owner: &str) -> CreateTenant {
    CreateTenant {
        name: Name::parse("Acme").unwrap(),
        owner_email: Email::parse(owner).unwrap(),
        owner_name: Name::parse("Ada").unwrap(),
        owner_password: "correct horse battery".into(),
    }
}

pub(crate) fn principal(created: &CreatedTenant, grant: Grant) -> Caller {
    let session = SessionId::from_uuid(created.owner.as_uuid());
    Caller::Principal(Principal {
        id: PrincipalId::User(created.owner, session),
        tenant: created.tenant,
        grants: vec![grant],
        expires_at: None,
    })
}

pub(crate) fn create_endpoint(application: impl Into<ApplicationRef>, url: &str) -> CreateEndpoint {
    CreateEndpoint {
        application: application.into(),
        uid: None,
        url: EndpointUrl::parse(url).unwrap(),
        description: postrider_domain::Description::default(),
        filter: Filter::default(),
        secret: None,
        retry_schedule: None,
        timeout: None,
        metadata: Metadata::default(),
    }
}

pub(crate) fn publish(
    application: impl Into<ApplicationRef>,
    body: &'static str,
    dedup_key: Option<DedupKey>,
) -> PublishMessage {
    PublishMessage {
        application: application.into(),
        event_type: EventTypeName::parse("invoice.paid").unwrap(),
        payload: Payload::new(body.as_bytes(), ContentType::json(), 1_024).unwrap(),
        channels: Channels::default(),
        dedup_key,
    }
}

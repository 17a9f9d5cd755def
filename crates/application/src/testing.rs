//! What the use cases' tests share: all of them, over memory, with one tenant.

use std::{sync::Arc, time::Duration};

use postrider_domain::{
    MembershipId, Metadata, Name, SessionId, TenantId, Timestamp, Uid,
    access::{Authority, Grant, Role},
    applications::{ApplicationRef, ApplicationState},
    endpoints::{CustomHeaders, EndpointUrl, Filter},
    event_types::EventTypeName,
    messages::{Channels, ContentType, DedupKey, Payload},
    tenants::{TenantSettings, TenantStatus},
    users::Email,
};

use crate::{
    ErrorCode, Ports, Result, Settings, UseCases,
    access::{Caller, Identity, Principal, PrincipalId},
    applications::CreateApplication,
    authentication::{Authenticator, IssuedTokens, LogIn},
    endpoints::{CreateEndpoint, NewSecret},
    invitations::{AcceptInvitation, Invite},
    mediator::{Mediator, MediatorPorts, Request, Serves},
    members::{GrantRequest, ListMembers},
    memory::{
        CountingSignal, MemoryStore, NoBarrier, NoKeyUses, NoThrottle, NoTrace, PlainKeyPairs,
        PlainPasswords, RecordedDenials, RecordedMetrics, SeededRandomness, SequentialIds, TestClock,
        WordSchemas,
    },
    messages::{MessageDraft, PublishMessage},
    ports::{
        ClaimFrom, ClaimedWork, Clock, DeliveryQueue as _, Epoch, EventLog as _, EventTypeDirectory, Ids,
        MessageIntake, PageRequest, SecretsReencryption,
    },
    tenants::{CreateTenant, CreatedTenant},
};

mod contended;
mod scene;
mod stand_ins;

pub(crate) use contended::Contended;
pub(crate) use scene::Scene;
use stand_ins::Elsewhere;
pub(crate) use stand_ins::PlainTokens;

/// All use cases over memory.
pub(crate) struct World {
    pub(crate) mediator: Mediator<UseCases<MemoryStore>>,
    ports: Ports<MemoryStore>,
    beside: MediatorPorts,
    pub(crate) store: MemoryStore,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) signal: Arc<CountingSignal>,
    pub(crate) metrics: Arc<RecordedMetrics>,
    pub(crate) trace: Arc<NoTrace>,
    pub(crate) denials: Arc<RecordedDenials>,
    pub(crate) barrier: Arc<NoBarrier>,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(TestClock::new());
        let store = MemoryStore::new(clock.clone());
        let (signal, metrics) = (
            Arc::new(CountingSignal::default()),
            Arc::new(RecordedMetrics::default()),
        );
        let barrier = Arc::new(NoBarrier::default());
        let trace = Arc::new(NoTrace::default());
        let denials = Arc::new(RecordedDenials::default());
        let ids = Arc::new(SequentialIds::new(clock.clone()));
        let ports = Ports {
            store: store.clone(),
            intake: Arc::new(store.clone()),
            directory: Arc::new(store.clone()),
            event_types: Arc::new(store.clone()),
            schemas: Arc::new(WordSchemas),
            metrics: metrics.clone(),
            identities: Arc::new(store.clone()),
            passwords: Arc::new(PlainPasswords),
            throttle: Arc::new(NoThrottle),
            tokens: Arc::new(PlainTokens),
            signing_keys: Arc::new(Elsewhere),
            reencryption: Arc::new(Elsewhere),
            export: Arc::new(Elsewhere),
            work_signal: signal.clone(),
            trace: trace.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            randomness: Arc::new(SeededRandomness::new(7)),
            key_pairs: Arc::new(PlainKeyPairs),
        };
        let beside = MediatorPorts {
            directory: Arc::new(store.clone()),
            metrics: metrics.clone(),
            denials: denials.clone(),
            clock: clock.clone(),
            ids,
            answers: Arc::new(store.clone()),
            answer_window: Settings::default().dedup_window,
            barrier: barrier.clone(),
        };
        Self {
            mediator: Mediator::new(UseCases::new(&ports, &Settings::default()), beside.clone()),
            ports,
            beside,
            store,
            clock,
            signal,
            metrics,
            trace,
            denials,
            barrier,
        }
    }

    /// The same world with other secrets to re-encrypt.
    pub(crate) fn with_reencryption(self, reencryption: impl SecretsReencryption + 'static) -> Self {
        let ports = Ports {
            reencryption: Arc::new(reencryption),
            ..self.ports
        };
        Self {
            mediator: Mediator::new(UseCases::new(&ports, &Settings::default()), self.beside.clone()),
            ports,
            ..self
        }
    }

    /// The same world in an installation with other settings.
    pub(crate) fn with_settings_of_installation(self, settings: &Settings) -> Self {
        Self {
            mediator: Mediator::new(UseCases::new(&self.ports, settings), self.beside.clone()),
            ..self
        }
    }

    /// The same world with others who know of event types.
    pub(crate) fn with_event_types(self, event_types: impl EventTypeDirectory + 'static) -> Self {
        let ports = Ports {
            event_types: Arc::new(event_types),
            ..self.ports
        };
        Self {
            mediator: Mediator::new(UseCases::new(&ports, &Settings::default()), self.beside.clone()),
            ports,
            ..self
        }
    }

    /// The same world with another way in for messages.
    pub(crate) fn with_intake(self, intake: impl MessageIntake + 'static) -> Self {
        let ports = Ports {
            intake: Arc::new(intake),
            ..self.ports
        };
        Self {
            mediator: Mediator::new(UseCases::new(&ports, &Settings::default()), self.beside.clone()),
            ports,
            ..self
        }
    }

    pub(crate) fn authenticator(&self) -> Authenticator {
        Authenticator::new(
            Arc::new(self.store.clone()),
            Arc::new(PlainTokens),
            Arc::new(NoKeyUses),
            self.clock.clone(),
        )
    }

    /// The caller who presents this credential.
    pub(crate) async fn known(&self, bearer: &str) -> Caller {
        self.authenticator().authenticate(bearer).await.unwrap().into()
    }

    /// Whether this credential lets anybody in.
    pub(crate) async fn is_known(&self, bearer: &str) -> bool {
        self.authenticator().authenticate(bearer).await.is_ok()
    }

    /// The kinds of all events so far.
    pub(crate) async fn kinds(&self) -> Vec<String> {
        let events = self.store.after(0, 1_000).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }

    /// The same caller, whose tenant has these settings.
    pub(crate) fn with_settings(caller: &Caller, settings: TenantSettings) -> Caller {
        let Identity::Principal(principal) = &caller.identity else {
            panic!("a principal")
        };
        Caller::principal(Principal {
            tenant_settings: settings,
            ..principal.as_ref().clone()
        })
    }

    /// Somebody of the same tenant who holds `grant` and nothing else.
    pub(crate) fn same_tenant(caller: &Caller, grant: Grant) -> Caller {
        let Identity::Principal(principal) = &caller.identity else {
            panic!("a principal")
        };
        Caller::principal(Principal {
            authority: Authority::Grants(vec![grant]),
            ..principal.as_ref().clone()
        })
    }

    /// A new person joins with `role`; their password is `bobs own password`.
    pub(crate) async fn join(&self, owner: &Caller, email: &str, role: Role) -> MembershipId {
        let token = self.send(owner, invite(email, role)).await.unwrap().token;
        let request = AcceptInvitation {
            token,
            password: "bobs own password".into(),
            name: Name::parse("Bob").unwrap(),
        };
        self.send(&Caller::anonymous(), request).await.unwrap().member
    }

    /// The membership of the person of that address.
    pub(crate) async fn member(&self, owner: &Caller, email: &str) -> MembershipId {
        let page = PageRequest::first(100);
        let members = self.send(owner, ListMembers { page }).await.unwrap();
        let member = members.items.iter().find(|member| member.email.as_str() == email);
        member.unwrap().id
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
        self.send(&operator(), create_tenant(owner)).await.unwrap()
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
        self.send(caller, request).await.unwrap().value
    }

    /// The rows that an engine would claim now.
    pub(crate) async fn due(&self) -> Vec<ClaimedWork> {
        self.store
            .claim(Epoch(1), ClaimFrom::Queue { low: None }, 100)
            .await
            .unwrap()
    }

    /// Where the world's ids come from.
    pub(crate) fn ids(&self) -> Arc<dyn Ids> {
        self.ports.ids.clone()
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
        owner_may_be_known: true,
    }
}

pub(crate) fn operator() -> Caller {
    Caller::operator("test")
}

pub(crate) fn principal(created: &CreatedTenant, grant: Grant) -> Caller {
    let session = SessionId::from_uuid(created.owner.as_uuid());
    Caller::principal(Principal {
        id: PrincipalId::User(created.owner, session),
        tenant: created.tenant,
        tenant_status: TenantStatus::Active,
        tenant_settings: TenantSettings::default(),
        authority: Authority::Grants(vec![grant]),
        expires_at: None,
    })
}

async fn try_log_in(
    world: &World,
    email: &str,
    password: &str,
    tenant: Option<TenantId>,
) -> Result<IssuedTokens> {
    let request = LogIn {
        email: Email::parse(email).unwrap(),
        password: password.into(),
        tenant,
    };
    world.send(&Caller::anonymous(), request).await
}

/// The owner of a tenant logs in.
pub(crate) async fn log_in(world: &World, email: &str) -> IssuedTokens {
    try_log_in(world, email, "correct horse battery", None)
        .await
        .unwrap()
}

/// The owner of several tenants logs in to one.
pub(crate) async fn log_in_to(world: &World, email: &str, tenant: TenantId) -> IssuedTokens {
    try_log_in(world, email, "correct horse battery", Some(tenant))
        .await
        .unwrap()
}

pub(crate) async fn log_in_with(world: &World, email: &str, password: &str) -> Result<IssuedTokens> {
    try_log_in(world, email, password, None).await
}

pub(crate) fn invite(email: &str, role: Role) -> Invite {
    Invite {
        email: Email::parse(email).unwrap(),
        grants: vec![GrantRequest {
            role,
            application: None,
        }],
    }
}

pub(crate) fn create_endpoint(application: impl Into<ApplicationRef>, url: &str) -> CreateEndpoint {
    CreateEndpoint {
        application: application.into(),
        uid: None,
        url: EndpointUrl::parse(url).unwrap(),
        description: postrider_domain::Description::default(),
        filter: Filter::default(),
        secret: NewSecret::default(),
        headers: CustomHeaders::default(),
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
        message: draft(body, dedup_key),
    }
}

pub(crate) fn draft(body: &'static str, dedup_key: Option<DedupKey>) -> MessageDraft {
    MessageDraft {
        event_type: EventTypeName::parse("invoice.paid").unwrap(),
        payload: Payload::new(body.as_bytes(), ContentType::json(), 1_024).unwrap(),
        payload_field: "payload",
        channels: Channels::default(),
        dedup_key,
        deliver_at: None,
    }
}

//! What the use cases need of the outside, and what the outside offers them.
//!
//! Ports whose adapter is chosen at compile time return `impl Future` ([`Store`], repositories, views); ports of
//! which several adapters are chosen at run time, or that are decorated, are `dyn` ([`MessageIntake`],
//! [`DeliveryQueue`], [`Credentials`]...).

mod crypto;
mod delivery;
mod event_forms;
mod guard;
mod health;
mod housekeeping;
mod identity;
mod intake;
mod paging;
mod queue;
mod relay;
mod repositories;
mod signals;
mod store;
mod system;
mod views;

pub use crypto::{
    AccessClaims, AccessTokens, InstallationFacts, MasterKeyCheck, PasswordHasher, Reencrypted,
    ReencryptionCursor, ReencryptionError, RotatedSigningKey, SealError, Sealer, SecretsReencryption,
    SigningKeyStore, SigningKeys, StoredSigningKey, Subject, TokenError, Verified, WebhookSigner,
};
pub use delivery::{
    DeliverableEndpoint, DeliveryMaterial, EndpointSet, OutgoingRequest, Sender, Sent, Standing,
};
pub use event_forms::{EVENT_FORMS, EventForm, FAILED_DELIVERIES_AT_ONCE, event_form};
pub use guard::EndpointGuard;
pub use health::{EndpointHealth, FailingEndpoint};
pub use housekeeping::{
    ErasureStep, ExportCursor, ExportPage, ExportRow, Housekeeping, Partitions, TenantExport,
};
pub use identity::{
    ApiKeyRecord, ApplicationDirectory, Credentials, Identities, KeyUses, PasswordReset, PortalRecord,
    SessionRecord, TenantInvitation, TenantMembership, Throttle,
};
pub use intake::{
    AcceptMessage, Accepted, Dedup, IntakeError, MessageIntake, MessageWriter, NewMessage, WriteError,
    Written,
};
pub use paging::{Page, PageRequest, Start};
pub use queue::{
    ClaimFrom, ClaimedWork, Concluded, DeliveryQueue, Epoch, NewWork, NodeRegistry, Retry, Settlement,
    WorkBell, WorkRef,
};
pub use relay::{
    AggregateKey, Blocked, ClusterBarrier, DeadLetterId, DeadLetterRepository, DeadLetterView, EventBell,
    EventSink, Heard, HeldCursor, NodeLife, NodeSight, NodeView, NotADeadLetter, OperatorViews, QueueDepth,
    RelayCursors, RelayMetrics, SetAside, SinkError, StartAt, StatusView, SubscriberView, Unseen,
};
pub use repositories::{
    ApplicationRepository, DeliveryRepository, MemberRepository, PersonRepository, Repository, UserRepository,
};
pub use signals::{
    DenialLog, EventLog, EventSignal, LoggedEvent, TracePropagation, UseCaseMetrics, WorkSignal,
};
pub use store::{Store, StoreError, UniqueRule, UnitOfWork};
pub use system::{Clock, Ids, Randomness};
pub use views::{
    ApiKeyView, ApplicationViews, AttemptView, AuditFilter, AuditViews, DeliveryView, EndpointView,
    EndpointViews, ErasureView, EventTypeViews, InvitationView, MemberView, MessageView, MessageViews,
    PrincipalViews, TenantViews,
};

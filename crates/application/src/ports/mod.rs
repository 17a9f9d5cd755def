//! What the use cases need of the outside, and what the outside offers them.
//!
//! Ports whose adapter is chosen at compile time return `impl Future` ([`Store`], repositories, views); ports of
//! which several adapters are chosen at run time, or that are decorated, are `dyn` ([`MessageIntake`],
//! [`DeliveryQueue`], [`Credentials`]...).

mod answers;
mod backlog;
mod crypto;
mod delivery;
mod delivery_list;
mod event_forms;
mod figures;
mod guard;
mod health;
mod housekeeping;
mod identity;
mod intake;
mod messages;
mod paging;
mod queue;
mod relay;
mod replays;
mod repositories;
mod retention;
mod schemas;
mod signals;
mod store;
mod system;
mod views;

pub use answers::{AnswerKey, Answers, KeptAnswer, NewAnswer};
pub use backlog::{Backlog, Backlogs, QueueBacklog, SubscriberBacklog};
pub use crypto::{
    AccessClaims, AccessTokens, InstallationFacts, KeyPairs, MasterKeyCheck, OldKeys, PasswordHasher,
    Reencrypted, ReencryptionCursor, ReencryptionError, RetiredKeys, RotatedSigningKey, SealError, Sealer,
    SecretsReencryption, SigningKeyStore, SigningKeys, StoredSigningKey, Subject, TokenError, Verified,
    WebhookSigner,
};
pub use delivery::{
    DeliverableEndpoint, DeliveryMaterial, EndpointSet, OutgoingRequest, ReadMessage, Sender, Sent, Standing,
};
pub use delivery_list::{DeliveryFilter, DeliveryKey, DeliveryState, DeliveryViews, ListedDelivery};
pub use event_forms::{EVENT_FORMS, EventForm, FAILED_DELIVERIES_AT_ONCE, event_form};
pub use figures::{EndpointHour, FigureStore, FigureViews, TenantDay};
pub use guard::EndpointGuard;
pub use health::{EndpointHealth, FailingEndpoint};
pub use housekeeping::{
    DELETED_APPLICATIONS_KEPT, ErasureStep, ExportCursor, ExportPage, ExportRow, Housekeeping, Partitions,
    TenantExport,
};
pub use identity::{
    ApiKeyRecord, ApplicationDirectory, Credentials, Identities, KeyUses, PasswordReset, PortalRecord,
    SessionRecord, TenantInvitation, TenantMembership, Throttle,
};
pub use intake::{
    AcceptMessage, Accepted, BatchRefused, Dedup, FoldedBatch, IntakeError, MessageIntake, MessageWriter,
    NewMessage, WriteError, Written,
};
pub use messages::{
    Cancellation, Expunged, MessageFilter, MessageRepository, MessageStatus, SchemaRepository, StoredPayload,
};
pub use paging::{Page, PageRequest, Start};
pub use queue::{
    ClaimFrom, ClaimedWork, Concluded, DeliveryQueue, Epoch, NewWork, NodeRegistry, Retry, Settlement,
    WorkBell, WorkRef,
};
pub use relay::{
    AggregateKey, Blocked, BlockedAggregate, ClusterBarrier, DeadLetterId, DeadLetterRepository,
    DeadLetterView, EventBell, EventSink, Heard, HeldCursor, NodeLife, NodeSight, NodeView, NotADeadLetter,
    OperationalApplications, OperatorViews, QueueDepth, RelayCursors, RelayMetrics, SetAside, SinkError,
    StartAt, StatusView, SubscriberView, Unseen,
};
pub use replays::{ReplayLimits, ReplayRepository, ReplayStep, ReplayViews, ReplayWorker, RunningReplays};
pub use repositories::{
    ApplicationRepository, DeliveryRepository, DirectMessages, MemberRepository, PersonRepository,
    Repository, UserRepository,
};
pub use retention::{EventReaders, Removed, Retention, RetentionPolicy};
pub use schemas::{EventTypeDirectory, KnownEventType, KnownSchema, SchemaError, Schemas};
pub use signals::{
    DenialLog, EventLog, EventSignal, LoggedEvent, TracePropagation, UseCaseMetrics, WorkSignal,
};
pub use store::{Store, StoreError, UniqueRule, UnitOfWork};
pub use system::{Clock, Ids, Randomness};
pub use views::{
    ApiKeyView, ApplicationViews, AttemptView, AuditFilter, AuditViews, DeliveryView, EndpointFilter,
    EndpointView, EndpointViews, ErasureView, EventTypeView, EventTypeViews, InvitationView, MemberView,
    MessageView, MessageViews, PrincipalViews, TenantViews,
};

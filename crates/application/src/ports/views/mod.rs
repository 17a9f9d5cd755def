//! What is looked at, and never changed by looking: a room for each kind of thing.

mod applications;
mod audit;
mod endpoints;
mod event_types;
mod messages;
mod principals;
mod tenants;

pub use applications::ApplicationViews;
pub use audit::{AuditFilter, AuditViews};
pub use endpoints::{EndpointFilter, EndpointView, EndpointViews};
pub use event_types::{EventTypeView, EventTypeViews};
pub use messages::{AttemptView, DeliveryView, MessageView, MessageViews};
pub use principals::{ApiKeyView, InvitationView, MemberView, PrincipalViews};
pub use tenants::{ErasureView, TenantViews};

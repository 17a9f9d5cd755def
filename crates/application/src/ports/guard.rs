use async_trait::async_trait;
use postrider_domain::{ApplicationId, Change, EndpointId, TenantId, Version, endpoints::DisableReason};

use super::StoreError;

/// Disables endpoints that are not worth sending to any more: what the engine decides, not what somebody asks for.
#[async_trait]
pub trait EndpointGuard: Send + Sync {
    /// Disables the endpoint, with its event, and with an entry of the audit log that names the system.
    ///
    /// Does nothing to an endpoint that is disabled already or gone, and none to one that was saved since it was
    /// `seen` at that version: what was seen of it may be true no more, as when somebody gave it another URL or has
    /// just enabled it again. Without `seen` it is disabled as it is now. Repeating it does nothing, so that after a
    /// lost answer it can be asked again.
    async fn disable(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        endpoint: EndpointId,
        why: DisableReason,
        seen: Option<Version>,
    ) -> Result<Change, StoreError>;
}

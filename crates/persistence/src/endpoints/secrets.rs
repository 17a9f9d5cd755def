use std::{fmt, sync::Arc};

use postrider_application::ports::Sealer;
use postrider_domain::{EndpointId, TenantId, endpoints::SigningSecret};
use thiserror::Error;

/// What the sealed bytes are for. Part of what is authenticated, so it never changes.
const PURPOSE: &[u8] = b"postrider endpoint secret v1";

/// Seals and opens the signing secrets of endpoints.
#[derive(Clone)]
pub(crate) struct EndpointSecrets(Arc<dyn Sealer>);

/// Why a stored secret is of no use. Says nothing of it.
#[derive(Debug, Clone, Copy, Error)]
#[error("the stored signing secret does not open: wrong master key, or altered")]
pub(crate) struct Unreadable;

impl EndpointSecrets {
    pub(crate) fn sealed_with(sealer: Arc<dyn Sealer>) -> Self {
        Self(sealer)
    }

    /// What seals everything that is stored secretly.
    pub(crate) fn sealer(&self) -> &dyn Sealer {
        &*self.0
    }

    /// The context under which the secret of that endpoint is sealed.
    pub(crate) fn context(tenant: TenantId, endpoint: EndpointId) -> Vec<u8> {
        context(tenant, endpoint)
    }

    /// The secret as it is stored. It opens for this endpoint of this tenant only: a row that is copied elsewhere
    /// is useless there.
    pub(super) fn seal(&self, tenant: TenantId, endpoint: EndpointId, secret: &SigningSecret) -> Vec<u8> {
        self.0.seal(&context(tenant, endpoint), secret.as_bytes())
    }

    /// The secret that was stored.
    pub(super) fn open(
        &self,
        tenant: TenantId,
        endpoint: EndpointId,
        sealed: &[u8],
    ) -> Result<SigningSecret, Unreadable> {
        let opened = self
            .0
            .open(&context(tenant, endpoint), sealed)
            .map_err(|_| Unreadable)?;
        SigningSecret::from_bytes(opened).map_err(|_| Unreadable)
    }
}

impl fmt::Debug for EndpointSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndpointSecrets(…)")
    }
}

/// Purpose, tenant, endpoint. The ids have a fixed length, so that no two contexts are the same bytes.
fn context(tenant: TenantId, endpoint: EndpointId) -> Vec<u8> {
    [
        PURPOSE,
        tenant.as_uuid().as_bytes(),
        endpoint.as_uuid().as_bytes(),
    ]
    .concat()
}

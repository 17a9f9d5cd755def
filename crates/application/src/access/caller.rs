use std::{net::IpAddr, sync::Arc};

use postrider_domain::{
    ApiKeyId, PortalTokenId, SessionId, TenantId, Timestamp, UserId,
    access::Authority,
    tenants::{TenantSettings, TenantStatus},
};

/// What kind of principal calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalId {
    /// A person, by one of their sessions.
    User(UserId, SessionId),
    /// A machine.
    ApiKey(ApiKeyId),
    /// One of a tenant's customers, by a token that the tenant issued.
    Portal(PortalTokenId),
}

/// Somebody known, in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub id: PrincipalId,
    /// The tenant they act in.
    pub tenant: TenantId,
    /// What the tenant may do at all.
    pub tenant_status: TenantStatus,
    /// How the tenant wants its messages to be treated.
    pub tenant_settings: TenantSettings,
    /// What they may do there.
    pub authority: Authority,
    /// When the credential itself ends, where what it makes must not outlive it: an API key's or portal token's
    /// expiry.
    pub expires_at: Option<Timestamp>,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nobody known.
    Anonymous,
    /// Whoever runs the installation; which of its tokens, or the command line.
    Operator(Arc<str>),
    /// Somebody known, in one tenant.
    Principal(Arc<Principal>),
}

/// Where a request comes from, for the audit log and the throttle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The client's address, as far as our own proxies vouch for it.
    pub address: Option<IpAddr>,
    /// The request's id.
    pub request_id: Option<Arc<str>>,
}

/// Who calls, and from where. Made by authentication, at the door, and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub identity: Identity,
    /// From where.
    pub origin: Origin,
}

impl Caller {
    /// Nobody known.
    pub fn anonymous() -> Self {
        Identity::Anonymous.into()
    }

    /// Whoever runs the installation, known by `name`: which of its tokens, or `command-line`.
    pub fn operator(name: &str) -> Self {
        Identity::Operator(name.into()).into()
    }

    /// Somebody known.
    pub fn principal(principal: Principal) -> Self {
        Identity::Principal(Arc::new(principal)).into()
    }

    /// The same, from there.
    #[must_use]
    pub fn from(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }
}

impl From<Identity> for Caller {
    fn from(identity: Identity) -> Self {
        Self {
            identity,
            origin: Origin::default(),
        }
    }
}

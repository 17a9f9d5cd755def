use super::Permission;
use crate::{InvalidValue, Rule};

/// A named set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Everything, the tenant's export included.
    Owner,
    /// Everything but the tenant's settings and export.
    Admin,
    /// Builds and debugs the integration: no members, no keys.
    Developer,
    /// Looks, without payloads and secrets.
    Viewer,
    /// Publishes; what a producing service needs and no more.
    Publisher,
}

use Permission as P;

const OWNER: &[P] = &P::ALL;
const ADMIN: &[P] = &[
    P::TenantRead,
    P::MembersRead,
    P::MembersManage,
    P::ApiKeysRead,
    P::ApiKeysManage,
    P::AuditRead,
    P::EventTypesRead,
    P::EventTypesWrite,
    P::ApplicationsRead,
    P::ApplicationsWrite,
    P::PortalTokensIssue,
    P::EndpointsRead,
    P::EndpointsWrite,
    P::SecretsRead,
    P::SecretsWrite,
    P::MessagesPublish,
    P::MessagesRead,
    P::PayloadsRead,
    P::PayloadsDelete,
    P::DeliveriesRead,
    P::DeliveriesReplay,
];
const DEVELOPER: &[P] = &[
    P::TenantRead,
    P::EventTypesRead,
    P::EventTypesWrite,
    P::ApplicationsRead,
    P::ApplicationsWrite,
    P::PortalTokensIssue,
    P::EndpointsRead,
    P::EndpointsWrite,
    P::SecretsRead,
    P::SecretsWrite,
    P::MessagesPublish,
    P::MessagesRead,
    P::PayloadsRead,
    P::DeliveriesRead,
    P::DeliveriesReplay,
];
const VIEWER: &[P] = &[
    P::TenantRead,
    P::MembersRead,
    P::EventTypesRead,
    P::ApplicationsRead,
    P::EndpointsRead,
    P::MessagesRead,
    P::DeliveriesRead,
];
const PUBLISHER: &[P] = &[
    P::ApplicationsRead,
    P::EventTypesRead,
    P::MessagesPublish,
    P::MessagesRead,
];

impl Role {
    /// Every role there is, the mightiest first.
    pub const ALL: [Self; 5] = [
        Self::Owner,
        Self::Admin,
        Self::Developer,
        Self::Viewer,
        Self::Publisher,
    ];

    /// What it confers on its scope.
    pub const fn permissions(self) -> &'static [Permission] {
        match self {
            Self::Owner => OWNER,
            Self::Admin => ADMIN,
            Self::Developer => DEVELOPER,
            Self::Viewer => VIEWER,
            Self::Publisher => PUBLISHER,
        }
    }

    /// The public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Developer => "developer",
            Self::Viewer => "viewer",
            Self::Publisher => "publisher",
        }
    }

    /// The role of that public name.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| {
                InvalidValue::new(
                    Rule::Unknown,
                    "must be one of owner, admin, developer, viewer, publisher",
                )
            })
    }
}

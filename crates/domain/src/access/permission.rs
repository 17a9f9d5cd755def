use crate::{InvalidValue, Rule};

/// What a request asks for: a resource and what is done to it. The public names are those of the API's
/// documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Read the tenant and its usage.
    TenantRead,
    /// Change the tenant's settings.
    TenantWrite,
    /// Export everything that the tenant owns.
    TenantExport,
    /// See members and invitations.
    MembersRead,
    /// Invite, remove, and change grants.
    MembersManage,
    /// See API keys (never their secrets).
    ApiKeysRead,
    /// Mint and revoke API keys.
    ApiKeysManage,
    /// Read the audit log.
    AuditRead,
    /// See event types.
    EventTypesRead,
    /// Change event types.
    EventTypesWrite,
    /// See applications.
    ApplicationsRead,
    /// Change applications.
    ApplicationsWrite,
    /// Issue and revoke portal tokens.
    PortalTokensIssue,
    /// See endpoints.
    EndpointsRead,
    /// Change endpoints.
    EndpointsWrite,
    /// See signing secrets.
    SecretsRead,
    /// Rotate signing secrets.
    SecretsWrite,
    /// Publish and cancel messages.
    MessagesPublish,
    /// See messages without their payloads.
    MessagesRead,
    /// See payloads.
    PayloadsRead,
    /// Expunge payloads.
    PayloadsDelete,
    /// See deliveries and attempts.
    DeliveriesRead,
    /// Resend and replay.
    DeliveriesReplay,
}

impl Permission {
    /// Every permission there is.
    pub const ALL: [Self; 23] = [
        Self::TenantRead,
        Self::TenantWrite,
        Self::TenantExport,
        Self::MembersRead,
        Self::MembersManage,
        Self::ApiKeysRead,
        Self::ApiKeysManage,
        Self::AuditRead,
        Self::EventTypesRead,
        Self::EventTypesWrite,
        Self::ApplicationsRead,
        Self::ApplicationsWrite,
        Self::PortalTokensIssue,
        Self::EndpointsRead,
        Self::EndpointsWrite,
        Self::SecretsRead,
        Self::SecretsWrite,
        Self::MessagesPublish,
        Self::MessagesRead,
        Self::PayloadsRead,
        Self::PayloadsDelete,
        Self::DeliveriesRead,
        Self::DeliveriesReplay,
    ];

    /// The public name, `resource:action`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenantRead => "tenant:read",
            Self::TenantWrite => "tenant:write",
            Self::TenantExport => "tenant:export",
            Self::MembersRead => "members:read",
            Self::MembersManage => "members:manage",
            Self::ApiKeysRead => "api-keys:read",
            Self::ApiKeysManage => "api-keys:manage",
            Self::AuditRead => "audit:read",
            Self::EventTypesRead => "event-types:read",
            Self::EventTypesWrite => "event-types:write",
            Self::ApplicationsRead => "applications:read",
            Self::ApplicationsWrite => "applications:write",
            Self::PortalTokensIssue => "portal-tokens:issue",
            Self::EndpointsRead => "endpoints:read",
            Self::EndpointsWrite => "endpoints:write",
            Self::SecretsRead => "secrets:read",
            Self::SecretsWrite => "secrets:write",
            Self::MessagesPublish => "messages:publish",
            Self::MessagesRead => "messages:read",
            Self::PayloadsRead => "payloads:read",
            Self::PayloadsDelete => "payloads:delete",
            Self::DeliveriesRead => "deliveries:read",
            Self::DeliveriesReplay => "deliveries:replay",
        }
    }

    /// The permission of that public name.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        Self::ALL
            .into_iter()
            .find(|permission| permission.as_str() == text)
            .ok_or_else(|| InvalidValue::new(Rule::Unknown, "is not the name of a permission"))
    }

    /// Whether it only looks: what a suspended tenant may still do.
    pub const fn is_read(self) -> bool {
        match self {
            Self::TenantRead
            | Self::TenantExport
            | Self::MembersRead
            | Self::ApiKeysRead
            | Self::AuditRead
            | Self::EventTypesRead
            | Self::ApplicationsRead
            | Self::EndpointsRead
            | Self::SecretsRead
            | Self::MessagesRead
            | Self::PayloadsRead
            | Self::DeliveriesRead => true,
            Self::TenantWrite
            | Self::MembersManage
            | Self::ApiKeysManage
            | Self::EventTypesWrite
            | Self::ApplicationsWrite
            | Self::PortalTokensIssue
            | Self::EndpointsWrite
            | Self::SecretsWrite
            | Self::MessagesPublish
            | Self::PayloadsDelete
            | Self::DeliveriesReplay => false,
        }
    }

    /// Whether a portal token may hold it: what makes sense inside one application, but for issuing more tokens.
    pub const fn in_portal(self) -> bool {
        self.within_application() && !matches!(self, Self::PortalTokensIssue)
    }

    /// Whether it makes sense inside one application; the others are the tenant's own affairs and are never
    /// conferred by a grant on an application.
    pub const fn within_application(self) -> bool {
        match self {
            Self::TenantRead
            | Self::TenantWrite
            | Self::TenantExport
            | Self::MembersRead
            | Self::MembersManage
            | Self::ApiKeysRead
            | Self::ApiKeysManage
            | Self::AuditRead
            | Self::EventTypesRead
            | Self::EventTypesWrite => false,
            Self::ApplicationsRead
            | Self::ApplicationsWrite
            | Self::PortalTokensIssue
            | Self::EndpointsRead
            | Self::EndpointsWrite
            | Self::SecretsRead
            | Self::SecretsWrite
            | Self::MessagesPublish
            | Self::MessagesRead
            | Self::PayloadsRead
            | Self::PayloadsDelete
            | Self::DeliveriesRead
            | Self::DeliveriesReplay => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_complete() {
        let names: HashSet<_> = Permission::ALL.iter().map(|p| p.as_str()).collect();
        assert_eq!(names.len(), Permission::ALL.len());
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.as_str()), Ok(permission));
        }
    }

    #[test]
    fn reading_is_named_so() {
        for permission in Permission::ALL {
            let action = permission.as_str().split_once(':').unwrap().1;
            assert_eq!(
                permission.is_read(),
                matches!(action, "read" | "export"),
                "{action}"
            );
        }
    }
}

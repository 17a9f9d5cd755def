//! What granting makes. None of these can be made outside of this crate.

use std::{fmt::Display, sync::Arc};

use postrider_domain::{
    ApplicationId, SessionId, TenantId, Timestamp, Uid, UserId,
    access::{Authority, Permission, Target, Visibility},
    applications::is_operational,
    tenants::TenantSettings,
};

use super::{Origin, Principal, PrincipalId, rules::permit};
use crate::{
    Error, ErrorCode, Result,
    audit::{Actor, ActorKind, Asked, Occasion, Record},
};

/// How each scope comes by its occasion.
macro_rules! asked {
    ($($scope:ty: $self:ident => $occasion:expr;)+) => {
        $(impl Asked for $scope {
            fn occasion(&$self) -> &Occasion {
                $occasion
            }
        })+
    };
}

asked! {
    TenantScope: self => &self.occasion;
    ApplicationScope: self => &self.tenant.occasion;
    PrincipalScope: self => &self.tenant.occasion;
    PersonScope: self => &self.occasion;
    OperatorScope: self => &self.occasion;
}

/// Proof that a principal was allowed in, and the tenant that it is confined to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantScope {
    tenant: TenantId,
    /// Who; nobody in the scopes that an operator, a login or the system makes.
    principal: Option<Arc<Principal>>,
    occasion: Arc<Occasion>,
}

/// What those hold who hold nothing.
const NOTHING: &Authority = &Authority::Grants(Vec::new());

impl TenantScope {
    pub(super) fn of(principal: &Arc<Principal>, occasion: &Arc<Occasion>) -> Self {
        Self {
            tenant: principal.tenant,
            principal: Some(principal.clone()),
            occasion: occasion.clone(),
        }
    }

    /// The scope of what the system does of its own accord in one tenant: nobody asked, so there is nobody to let in
    /// or to keep out, and no authority comes with it. It is sound because none but this crate can make one, and
    /// because whoever does so takes the tenant from a row that the system itself keeps, never from a caller.
    pub(crate) fn of_system(tenant: TenantId, occasion: Occasion) -> Self {
        Self {
            tenant,
            principal: None,
            occasion: Arc::new(occasion),
        }
    }

    /// Whether the system itself acts, and not a caller.
    pub fn is_systems(&self) -> bool {
        self.occasion.actor.kind == ActorKind::System
    }

    /// The tenant.
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// What the principal may do there; nothing for scopes that no principal holds.
    pub fn authority(&self) -> &Authority {
        self.principal
            .as_ref()
            .map_or(NOTHING, |principal| &principal.authority)
    }

    /// Refuses what gives or takes the uid of the application that hears of all the others, unless the principal may
    /// write all of them: whoever acts in one application must not come to hear of another.
    pub(crate) fn may_rename(&self, from: Option<&Uid>, to: Option<&Uid>) -> Result<()> {
        if is_operational(from) == is_operational(to) {
            return Ok(());
        }
        let permitted = self.principal.as_ref().is_some_and(|principal| {
            permit(principal, Permission::ApplicationsWrite, Target::Tenant).is_ok()
        });
        if permitted {
            return Ok(());
        }
        let detail = "the uid `operational` is reserved: applications:write on the whole tenant is needed";
        Err(Error::new(ErrorCode::Forbidden, detail))
    }

    /// When the credential ends that the caller came with; what is minted with it may not last longer.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.principal.as_ref().and_then(|principal| principal.expires_at)
    }

    /// How the tenant wants its messages to be treated, as it was when the caller was let in; the defaults in scopes
    /// that no principal holds.
    pub fn settings(&self) -> TenantSettings {
        self.principal
            .as_ref()
            .map_or_else(TenantSettings::default, |principal| principal.tenant_settings)
    }

    /// Who acts, as the audit log names them.
    pub fn actor(&self) -> &Actor {
        &self.occasion.actor
    }

    /// What the audit log says when the command is done to `target`.
    pub fn did(&self, target: impl Display) -> Record {
        self.occasion.done(Some(self.tenant), target)
    }
}

/// Proof that a principal was allowed in to one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationScope {
    tenant: TenantScope,
    application: ApplicationId,
}

impl ApplicationScope {
    pub(super) const fn of(tenant: TenantScope, application: ApplicationId) -> Self {
        Self { tenant, application }
    }

    /// The scope of what the system does of its own accord in an application that it looked up in that tenant; sound as
    /// [`TenantScope::of_system`] is.
    pub(crate) const fn of_system(tenant: TenantScope, application: ApplicationId) -> Self {
        Self { tenant, application }
    }

    /// The tenant's scope.
    pub const fn tenant_scope(&self) -> &TenantScope {
        &self.tenant
    }

    /// The tenant.
    pub const fn tenant(&self) -> TenantId {
        self.tenant.tenant
    }

    /// The application.
    pub const fn application(&self) -> ApplicationId {
        self.application
    }

    /// What the audit log says when the command is done to `target`.
    pub fn did(&self, target: impl Display) -> Record {
        self.tenant.did(target)
    }
}

/// Proof that a principal was allowed in, and which applications a list may show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisibleScope {
    pub(super) tenant: TenantScope,
    pub(super) visible: Visibility,
}

impl VisibleScope {
    /// The tenant's scope.
    pub const fn tenant_scope(&self) -> &TenantScope {
        &self.tenant
    }

    /// What may be shown.
    pub const fn visible(&self) -> &Visibility {
        &self.visible
    }
}

/// Somebody known, whatever they may do: for what is their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalScope {
    pub(super) principal: Arc<Principal>,
    pub(super) tenant: TenantScope,
}

impl PrincipalScope {
    /// Who.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The tenant's scope.
    pub const fn tenant_scope(&self) -> &TenantScope {
        &self.tenant
    }
}

/// Proof that a person acts in their own affairs, in any tenant: by a session, or by what they just proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonScope {
    user: UserId,
    session: Option<SessionId>,
    tenant: Option<TenantId>,
    occasion: Arc<Occasion>,
}

impl PersonScope {
    pub(super) fn of(user: UserId, session: SessionId, tenant: TenantId, occasion: &Arc<Occasion>) -> Self {
        Self {
            user,
            session: Some(session),
            tenant: Some(tenant),
            occasion: occasion.clone(),
        }
    }

    /// The person.
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// The session that they act by, if it is by one.
    pub const fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// The tenant that they act in, if it is in one: rows of others are not written.
    pub const fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    /// The scope of the tenant that they act in: for their session, membership and invitation.
    pub(crate) fn tenant_scope(&self) -> Option<TenantScope> {
        self.tenant.map(|tenant| TenantScope {
            tenant,
            principal: None,
            occasion: self.occasion.clone(),
        })
    }

    /// From where they act.
    pub fn origin(&self) -> &Origin {
        self.occasion.origin()
    }

    /// What the audit log says when the command is done to `target`.
    pub fn did(&self, target: impl Display) -> Record {
        self.occasion.done(self.tenant, target)
    }

    /// What the audit log says when something else than was asked for is done to `target`.
    pub fn did_instead(&self, action: &'static str, target: impl Display) -> Record {
        self.occasion.instead(action).done(self.tenant, target)
    }
}

/// Proof that the installation's operator calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorScope {
    pub(super) occasion: Arc<Occasion>,
}

impl OperatorScope {
    /// The scope of one tenant, to write its rows: its name and status, never its messages.
    pub(crate) fn in_tenant(&self, tenant: TenantId) -> TenantScope {
        TenantScope {
            tenant,
            principal: None,
            occasion: self.occasion.clone(),
        }
    }

    /// What the installation's own audit log says when the command is done to `target`.
    pub fn did(&self, target: impl Display) -> Record {
        self.occasion.done(None, target)
    }
}

/// For requests that anybody may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicScope {
    pub(super) occasion: Arc<Occasion>,
}

impl PublicScope {
    /// From where it is asked.
    pub fn origin(&self) -> &Origin {
        self.occasion.origin()
    }

    /// The scope of a person who just proved who they are, in one of their tenants or in none.
    pub(crate) fn proved(&self, user: UserId, tenant: Option<TenantId>) -> PersonScope {
        // Which session does not matter to the audit log, which names the person.
        let nil = SessionId::from_uuid(uuid::Uuid::nil());
        PersonScope {
            user,
            session: None,
            tenant,
            occasion: Arc::new(self.occasion.by(Actor::principal(&PrincipalId::User(user, nil)))),
        }
    }
}

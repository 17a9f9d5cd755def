//! The audit log: who did what to what, from where, when, and whether they were let.
//!
//! It is written in the command's own transaction: a unit of work cannot be committed without saying what it is
//! for ([`crate::ports::UnitOfWork::commit`]). Denials are written later and never hold a request up
//! ([`crate::ports::DenialLog`]).

use std::{borrow::Cow, fmt::Display, net::IpAddr, sync::Arc};

use postrider_domain::{AuditEntryId, TenantId, Timestamp};

use crate::{
    access::{Caller, Identity, Origin, PrincipalId},
    once::Asking,
    ports::NewAnswer,
};

/// Kinds of those who act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActorKind {
    /// Nobody known.
    Anonymous,
    /// Whoever runs the installation.
    Operator,
    /// A person.
    User,
    /// A machine.
    ApiKey,
    /// One of a tenant's customers.
    Portal,
    /// The system itself: a chore, or the engine.
    System,
}

impl ActorKind {
    /// Every kind there is.
    pub const ALL: [Self; 6] = [
        Self::Anonymous,
        Self::Operator,
        Self::User,
        Self::ApiKey,
        Self::Portal,
        Self::System,
    ];

    /// The public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Operator => "operator",
            Self::User => "user",
            Self::ApiKey => "api_key",
            Self::Portal => "portal",
            Self::System => "system",
        }
    }

    /// The kind of that public name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    /// What kind.
    pub kind: ActorKind,
    /// Their public id; the name of an operator's token; empty for nobody.
    pub id: Arc<str>,
}

impl Actor {
    /// Who calls.
    pub fn of(caller: &Caller) -> Self {
        match &caller.identity {
            Identity::Anonymous => Self {
                kind: ActorKind::Anonymous,
                id: "".into(),
            },
            Identity::Operator(name) => Self {
                kind: ActorKind::Operator,
                id: name.clone(),
            },
            Identity::Principal(principal) => Self::principal(&principal.id),
        }
    }

    /// The system itself; `part` names which of its parts, or is empty.
    pub fn system(part: &'static str) -> Self {
        Self {
            kind: ActorKind::System,
            id: part.into(),
        }
    }

    /// A principal.
    pub(crate) fn principal(id: &PrincipalId) -> Self {
        let (kind, id) = match id {
            PrincipalId::User(user, _) => (ActorKind::User, user.to_string()),
            PrincipalId::ApiKey(key) => (ActorKind::ApiKey, key.to_string()),
            PrincipalId::Portal(token) => (ActorKind::Portal, token.to_string()),
        };
        Self { kind, id: id.into() }
    }
}

/// Whether they were let.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// They may not.
    Denied,
}

impl AuditOutcome {
    /// The public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Denied => "denied",
        }
    }

    /// The outcome of that public name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Done, Self::Denied]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

/// An entry of the audit log. Holds names and ids, never secrets, addresses of people, or payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditEntryId,
    /// The tenant whose log it is in; none: the installation's.
    pub tenant: Option<TenantId>,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What: a request's name, `resource.verb`.
    pub action: Cow<'static, str>,
    /// To what: a public id or name.
    pub target: Option<String>,
    /// Whether they were let.
    pub outcome: AuditOutcome,
    /// How often; above 1 only for denials, of which those alike are counted.
    pub times: u32,
    /// From where.
    pub address: Option<IpAddr>,
    /// In which request.
    pub request_id: Option<Arc<str>>,
}

/// What a unit of work leaves in the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a unit of work is committed with it"]
pub enum Record {
    /// This entry.
    Entry(Box<AuditEntry>),
    /// Nothing: the message or delivery itself is the record.
    InHistory,
}

impl Record {
    /// The same, and what is answered: kept for whoever repeats the command with the key that it came with, if it came
    /// with one. `output` is what the handler is about to answer.
    pub fn answering<T: 'static>(self, scope: &impl Asked, output: &T) -> Conclusion {
        let asking = scope.occasion().asking.as_ref();
        Conclusion {
            record: self,
            answer: asking.and_then(|asking| asking.answer(output)),
        }
    }
}

/// What a unit of work is committed with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a unit of work is committed with it"]
pub struct Conclusion {
    /// What it leaves in the audit log.
    pub record: Record,
    /// What it leaves for whoever repeats the command.
    pub answer: Option<NewAnswer>,
}

impl From<Record> for Conclusion {
    fn from(record: Record) -> Self {
        Self { record, answer: None }
    }
}

/// A scope of something that was asked for.
pub trait Asked {
    /// When, by whom and what.
    fn occasion(&self) -> &Occasion;
}

/// One asking of one request: what the audit log will say if it is done. Made by the mediator; by a use case of the
/// system for what it does of its own accord.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occasion {
    pub(crate) id: AuditEntryId,
    pub(crate) at: Timestamp,
    pub(crate) action: &'static str,
    pub(crate) actor: Actor,
    pub(crate) origin: Origin,
    /// The idempotency key that it was asked with.
    pub(crate) asking: Option<Asking>,
}

impl Occasion {
    /// From where it is asked.
    pub(crate) const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The same, asked by somebody who has just proved who they are.
    pub(crate) fn by(&self, actor: Actor) -> Self {
        Self {
            actor,
            ..self.clone()
        }
    }

    /// The same, but what was done is something else than was asked for.
    pub(crate) fn instead(&self, action: &'static str) -> Self {
        Self {
            action,
            ..self.clone()
        }
    }

    pub(crate) fn done(&self, tenant: Option<TenantId>, target: impl Display) -> Record {
        if let Some(asking) = &self.asking {
            asking.changes_something();
        }
        Record::Entry(Box::new(self.entry(
            tenant,
            Some(target.to_string()),
            AuditOutcome::Done,
        )))
    }

    pub(crate) fn denied(&self, tenant: TenantId, target: Option<String>) -> AuditEntry {
        self.entry(Some(tenant), target, AuditOutcome::Denied)
    }

    fn entry(&self, tenant: Option<TenantId>, target: Option<String>, outcome: AuditOutcome) -> AuditEntry {
        AuditEntry {
            id: self.id,
            tenant,
            at: self.at,
            actor: self.actor.clone(),
            action: self.action.into(),
            target,
            outcome,
            times: 1,
            address: self.origin.address,
            request_id: self.origin.request_id.clone(),
        }
    }
}

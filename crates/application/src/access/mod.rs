//! Who calls, what a request demands, and the scopes that only granting makes.
//!
//! A request names its rule as a *type* ([`crate::mediator::Request::Access`]); what the rule grants is what its
//! handler receives. A [`TenantScope`] has no public constructor: holding one is proof that somebody was allowed
//! in, and every repository call demands one.

mod caller;
mod rules;
mod scopes;
mod upsert;

pub use caller::{Caller, Identity, Origin, Principal, PrincipalId};
pub use rules::{
    AccessRule, AsOperator, AsPerson, AsPrincipal, OnApplication, OnTenant, OnVisibleApplications, Public,
};
pub use scopes::{
    ApplicationScope, OperatorScope, PersonScope, PrincipalScope, PublicScope, TenantScope, VisibleScope,
};
pub use upsert::{OnApplicationOrNew, UpsertScope};

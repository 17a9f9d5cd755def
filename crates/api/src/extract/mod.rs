//! What a request carries, read strictly: bodies, queries, and the caller that authentication left.

mod body;
mod caller;
mod json;
mod query;

pub(crate) use body::Json;
pub(crate) use caller::{Anybody, Authenticated};
pub(crate) use query::{AuditQuery, PageQuery};

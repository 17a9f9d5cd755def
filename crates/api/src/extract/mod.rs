//! What a request carries, read strictly: bodies, queries, and the caller that authentication left.

mod body;
mod caller;
mod if_match;
mod json;
mod query;

pub(crate) use body::Json;
pub(crate) use caller::{Anybody, Authenticated};
pub(crate) use if_match::{Presumed, etag};
pub(crate) use query::{AuditQuery, EndpointsQuery, PageQuery};

//! What a request carries, read strictly: bodies, queries, and the caller that authentication left.

mod body;
mod caller;
mod if_match;
mod json;
mod listing;
mod query;
mod repeatable;
mod strict;

pub(crate) use body::{Json, MERGE_PATCH};
pub(crate) use caller::{Anybody, Authenticated};
pub(crate) use if_match::{Presumed, etag};
pub(crate) use json::part;
pub(crate) use listing::Listing;
pub(crate) use query::{
    AuditQuery, DeliveryQuery, EndpointsQuery, EventTypeQuery, MessageQuery, PageQuery, StatsQuery,
    UsageQuery,
};
pub(crate) use repeatable::{BodyHash, Repeatable};
pub(crate) use strict::MAX_DEPTH;

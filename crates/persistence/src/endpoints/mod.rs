//! Endpoints, their sealed secrets, and what the engine reads of them.

mod material;
mod repository;
mod row;
mod secrets;
mod views;

pub(crate) use repository::{count, delete_all};
pub(crate) use secrets::{EndpointSecrets, Purpose};

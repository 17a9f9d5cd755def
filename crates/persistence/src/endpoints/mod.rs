//! Endpoints, their sealed secrets, and what the engine reads of them.

mod material;
mod repository;
mod row;
mod secrets;
mod views;

pub(crate) use repository::count;
pub(crate) use secrets::EndpointSecrets;

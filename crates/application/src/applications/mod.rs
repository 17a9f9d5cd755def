//! Applications: a tenant's customers.

mod create;
mod get;

pub use create::{CreateApplication, CreateApplicationHandler};
pub use get::{GetApplication, GetApplicationHandler};

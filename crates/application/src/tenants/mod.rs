//! Tenants: made by the operator, never by signing up.

mod create;

pub use create::{CreateTenant, CreateTenantHandler, CreatedTenant};

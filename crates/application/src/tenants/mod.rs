//! Tenants: made, suspended and deleted by the operator, never by signing up. What a tenant owns is its own to take
//! along.

mod create;
mod delete;
mod export;
mod get;
mod list;
mod set_status;
mod show;
mod update;
mod usage;

pub use create::{CreateTenant, CreateTenantHandler, CreatedTenant};
pub use delete::{DeleteTenant, DeleteTenantHandler};
pub use export::{EXPORTS_AT_ONCE, ExportTenant, ExportTenantHandler, TenantExporter};
pub use get::{GetTenant, GetTenantHandler};
pub use list::{ListTenants, ListTenantsHandler};
pub use set_status::{ResumeTenant, ResumeTenantHandler, SuspendTenant, SuspendTenantHandler};
pub use show::{FoundTenant, ShowTenant, ShowTenantHandler};
pub use update::{UpdateTenant, UpdateTenantHandler};
pub use usage::{GetUsage, GetUsageHandler, MOST_USAGE_DAYS, Usage};

//! The people of a tenant: who they are and what they may do.

mod change_grants;
mod grants;
mod list;
mod remove;

pub use change_grants::{ChangeGrants, ChangeGrantsHandler};
pub use grants::GrantRequest;
pub(crate) use grants::{GrantResolver, confers_all};
pub use list::{ListMembers, ListMembersHandler};
pub use remove::{RemoveMember, RemoveMemberHandler};

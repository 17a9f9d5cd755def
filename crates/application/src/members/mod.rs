//! The people of a tenant: who they are and what they may do.

mod change_grants;
mod grants;
mod invitations_of;
mod list;
mod remove;

pub use change_grants::{ChangeGrants, ChangeGrantsHandler};
pub use grants::GrantRequest;
pub(crate) use grants::{GrantResolver, confers_all, only_lasting};
pub(crate) use invitations_of::withdraw_invitations_of;
pub use list::{ListMembers, ListMembersHandler};
pub use remove::{RemoveMember, RemoveMemberHandler};

//! Invitations: how people come into a tenant. There is no mail server: the token goes to the inviter, once, who
//! hands it on.

mod accept;
mod invite;
mod list;
mod withdraw;

pub use accept::{AcceptInvitation, AcceptInvitationHandler, AcceptedInvitation};
pub use invite::{Invite, InviteHandler, Invited};
pub use list::{ListInvitations, ListInvitationsHandler};
pub use withdraw::{WithdrawInvitation, WithdrawInvitationHandler};

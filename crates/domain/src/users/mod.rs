//! People: users are global by e-mail address; a membership is a person's place in one tenant, an invitation
//! leads to one; a session is one login.

mod email;
mod invitation;
mod membership;
mod session;
mod user;

pub use email::Email;
pub use invitation::{Invitation, InvitationEvent, InvitationState, NewInvitation, NotAcceptable};
pub use membership::{LastOwner, Membership, MembershipEvent, MembershipState};
pub use session::{Refresh, RefreshHashes, Session, SessionEnd, SessionEvent, SessionLifetime, SessionState};
pub use user::{PasswordHash, User, UserEvent, UserState};

//! People: users are global by e-mail address; a membership is a person's place in one tenant; a session is
//! one login.

mod email;
mod membership;
mod session;
mod user;

pub use email::Email;
pub use membership::{Membership, MembershipEvent, MembershipState};
pub use session::{Session, SessionEvent, SessionState};
pub use user::{PasswordHash, User, UserEvent, UserState};

//! What anybody known may see and do about themselves.

mod change_password;
mod end_sessions;
mod get;

pub use change_password::{ChangePassword, ChangePasswordHandler};
pub use end_sessions::{EndMySessions, EndMySessionsHandler};
pub use get::{GetMe, GetMeHandler, Me};

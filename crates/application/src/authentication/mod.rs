//! Who is calling: logging in with a password, keeping and ending sessions, and recognising the tokens and keys
//! that requests carry.

mod authenticate;
mod issue;
mod log_in;
mod log_out;
mod password;
mod prove;
mod refresh;
mod reset_password;
mod secrets;

pub use authenticate::Authenticator;
pub use issue::IssuedTokens;
pub use log_in::{LogIn, LogInHandler};
pub use log_out::{LogOut, LogOutHandler};
pub use password::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS, check_new_password};
pub(crate) use prove::{PasswordProof, still_proved};
pub use refresh::{RefreshSession, RefreshSessionHandler};
pub use reset_password::{ResetPassword, ResetPasswordHandler};
pub(crate) use secrets::hash_secret;

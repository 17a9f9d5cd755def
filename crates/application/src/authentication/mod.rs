//! Who is calling: logging in with a password, and recognising the tokens and keys that requests carry.

mod authenticate;
mod log_in;
mod password;

pub use authenticate::Authenticator;
pub use log_in::{LogIn, LogInHandler, LoggedIn};
pub use password::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS, check_new_password};

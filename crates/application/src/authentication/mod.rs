//! Who is calling: logging in with a password, and recognising the tokens and keys that requests carry.

mod authenticate;
mod log_in;

pub use authenticate::Authenticator;
pub use log_in::{LogIn, LogInHandler, LoggedIn};

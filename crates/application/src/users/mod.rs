//! People, as far as the operator has to do with them.

mod issue_password_reset;

pub use issue_password_reset::{IssuePasswordReset, IssuePasswordResetHandler, IssuedPasswordReset};

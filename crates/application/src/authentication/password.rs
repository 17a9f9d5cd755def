use postrider_domain::{InvalidValue, Rule};
use secrecy::{ExposeSecret as _, SecretString};

/// The fewest characters of a new password (NIST SP 800-63B, section 5.1.1.1, asks for at least 8).
pub const MIN_PASSWORD_CHARS: usize = 12;
/// The most bytes of a password: hashing must stay cheap to refuse.
pub const MAX_PASSWORD_BYTES: usize = 1_024;

/// Whether a password may be set. Length is the rule; composition rules make worse passwords.
pub fn check_new_password(password: &SecretString) -> Result<(), InvalidValue> {
    let text = password.expose_secret();
    if text.len() > MAX_PASSWORD_BYTES {
        return Err(InvalidValue::new(Rule::TooLong, "must be at most 1024 bytes"));
    }
    if text.chars().count() < MIN_PASSWORD_CHARS {
        return Err(InvalidValue::new(
            Rule::TooShort,
            "must be at least 12 characters",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_the_rule() {
        assert!(check_new_password(&"correct horse".into()).is_ok());
        assert_eq!(
            check_new_password(&"kort".into()).unwrap_err().rule,
            Rule::TooShort
        );
        assert_eq!(
            check_new_password(&"x".repeat(1_025).into()).unwrap_err().rule,
            Rule::TooLong
        );
    }
}

use std::fmt;

use super::Email;
use crate::{Name, Timestamp, UserId, aggregate::aggregate};

/// A password hash in PHC string form, as the crypto adapter made it; opaque here and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps a PHC string.
    pub fn from_phc(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string.
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// All stored facts of a [`User`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserState {
    /// Its id.
    pub id: UserId,
    /// The address that it logs in with, unique in the installation.
    pub email: Email,
    /// Display name.
    pub name: Name,
    /// The hash of its password.
    pub password: PasswordHash,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What can happen to a [`User`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserEvent {
    /// The person was registered.
    Registered,
    /// The person has another password.
    PasswordChanged,
}

aggregate!(
    /// A person, global by normalised e-mail address.
    User, UserState, UserEvent
);

impl User {
    /// A new person with a password.
    pub fn register(id: UserId, email: Email, name: Name, password: PasswordHash, at: Timestamp) -> Self {
        Self::born(
            UserState {
                id,
                email,
                name,
                password,
                created_at: at,
            },
            UserEvent::Registered,
        )
    }

    /// Gives the person another password.
    pub fn change_password(&mut self, password: PasswordHash) {
        self.state.password = password;
        self.pending.push(UserEvent::PasswordChanged);
    }

    /// Keeps the same password under a hash with today's parameters. No event: nothing follows from it.
    pub fn rehash_password(&mut self, password: PasswordHash) {
        self.state.password = password;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Aggregate as _;
    use uuid::Uuid;

    #[test]
    fn another_password_is_an_event_another_hash_of_it_is_none_and_no_hash_is_printed() {
        let hash = |text: &str| PasswordHash::from_phc(text.to_owned());
        let mut user = User::register(
            UserId::from_uuid(Uuid::from_u128(1)),
            Email::parse("ada@acme.example").unwrap(),
            Name::parse("Ada").unwrap(),
            hash("$argon2id$1"),
            Timestamp::from_micros(1),
        );
        user.change_password(hash("$argon2id$2"));
        user.rehash_password(hash("$argon2id$3"));
        assert_eq!(user.state().password.as_phc(), "$argon2id$3");
        assert_eq!(
            user.take_events(),
            [UserEvent::Registered, UserEvent::PasswordChanged]
        );
        assert!(!format!("{:?}", user.state()).contains("argon2"));
    }
}

//! Events that a subscriber could not take, as the operator deals with them.

use std::{fmt, str::FromStr};

use postrider_domain::{TenantId, Timestamp};

use crate::{access::OperatorScope, ports::StoreError};

/// Names an event that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeadLetterId {
    /// Its position in the log.
    pub position: i64,
    /// Who could not take it.
    pub subscriber: String,
}

/// Text that names no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a subscriber and a position, as in `operational-webhooks.1234`")]
pub struct NotADeadLetter;

impl DeadLetterId {
    /// The most characters of a subscriber's name.
    pub const MAX_NAME: usize = 64;
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.subscriber, self.position)
    }
}

impl FromStr for DeadLetterId {
    type Err = NotADeadLetter;

    fn from_str(text: &str) -> Result<Self, NotADeadLetter> {
        let (subscriber, position) = text.rsplit_once('.').ok_or(NotADeadLetter)?;
        let in_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let named = (1..=Self::MAX_NAME).contains(&subscriber.len()) && subscriber.chars().all(in_name);
        let digits = !position.is_empty() && position.bytes().all(|byte| byte.is_ascii_digit());
        if !named || !digits || (position.len() > 1 && position.starts_with('0')) {
            return Err(NotADeadLetter);
        }
        Ok(Self {
            subscriber: subscriber.to_owned(),
            position: position.parse().map_err(|_| NotADeadLetter)?,
        })
    }
}

/// An event that a subscriber could not take, as the operator sees it: never its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterView {
    /// Its name.
    pub id: DeadLetterId,
    /// The tenant that it concerns.
    pub tenant: Option<TenantId>,
    /// What happened.
    pub kind: String,
    /// To what.
    pub aggregate: String,
    /// How often it was refused.
    pub attempts: u32,
    /// The code of its last error.
    pub error: String,
    /// When it was set aside.
    pub set_aside_at: Timestamp,
    /// How many later events of its aggregate wait for it.
    pub holds_back: u32,
    /// Whether it is to be delivered again.
    pub again: bool,
}

/// Events that were set aside, in a transaction of the operator's.
pub trait DeadLetterRepository: Send {
    /// Wants an event delivered again, and after it those that wait for it; `false` if it is not set aside, or was
    /// discarded. Whoever runs the subscriber is told at the commit.
    fn deliver_again(
        &mut self,
        scope: &OperatorScope,
        id: &DeadLetterId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Gives an event up: whoever runs the subscriber is told at the commit, passes it over and delivers those that wait
    /// for it. Answers how many of them are written down; none if it is not set aside, or was discarded before.
    fn discard(
        &mut self,
        scope: &OperatorScope,
        id: &DeadLetterId,
    ) -> impl Future<Output = Result<Option<u32>, StoreError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_it_was_written_from_and_nothing_else_is_one() {
        let id = DeadLetterId {
            subscriber: "operational-webhooks".to_owned(),
            position: 1234,
        };
        assert_eq!(id.to_string(), "operational-webhooks.1234");
        assert_eq!("operational-webhooks.1234".parse(), Ok(id));
        for text in [
            "",
            ".",
            "a.",
            ".1",
            "a",
            "a.b",
            "a.-1",
            "a.+1",
            "a.01",
            "A.1",
            "a b.1",
            "a.1.2",
            "a.99999999999999999999",
        ] {
            assert_eq!(text.parse::<DeadLetterId>(), Err(NotADeadLetter), "{text}");
        }
        assert_eq!(
            format!("{}.1", "a".repeat(65)).parse::<DeadLetterId>(),
            Err(NotADeadLetter)
        );
    }
}

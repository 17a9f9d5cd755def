//! Events that a subscriber could not take: looking at them, having them delivered again, and giving them up.

mod discard;
mod list;
mod retry;

#[cfg(test)]
mod testing;

pub use discard::{DiscardDeadLetter, DiscardDeadLetterHandler, DiscardedDeadLetter};
pub use list::{ListDeadLetters, ListDeadLettersHandler};
pub use retry::{RetryDeadLetter, RetryDeadLetterHandler};

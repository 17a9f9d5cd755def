//! What the operator sees of how the installation runs, and does about it.

mod dead_letters;
mod status;

pub use dead_letters::{
    DiscardDeadLetter, DiscardDeadLetterHandler, DiscardedDeadLetter, ListDeadLetters,
    ListDeadLettersHandler, RetryDeadLetter, RetryDeadLetterHandler,
};
pub use status::{ShowStatus, ShowStatusHandler};

//! Postrider's test kit: what tests of all crates stand on.
//!
//! | module | what lives there |
//! |---|---|
//! | [`memory`] | real in-memory adapters of every stateful port, a clock that the test owns, plain fakes |
//! | [`contract`] | the cases that hold memory, SQLite and PostgreSQL to one behaviour, written once |
//! | [`TokioClock`] | a clock that follows tokio's (paused) time |
//! | [`RecordingSender`] | answers webhooks from a script and remembers what was sent |

pub mod contract;
pub mod memory;
mod sender;
mod tokio_clock;

pub use sender::{Answer, Gate, RecordedRequest, RecordingSender};
pub use tokio_clock::TokioClock;

//! Postrider's engine: takes messages in, fans out, sends, settles.
//!
//! [`Intake::run`] stores accepted messages by the batch, and hands them to the engine through memory if it has room.
//!
//! [`Engine::run`] lives one *life* after the other. A life joins with a lease, takes what is handed to it, claims other
//! due rows as far as it has room, reads what is not in memory by the batch, sends with bounded concurrency, and settles
//! by the batch. It ends when the lease is lost (everything under way is dropped, another node takes over), or at
//! shutdown (what is under way comes to its end, the rest is handed back). Rows that a lost answer may have left to it
//! are looked for, and adopted.
//!
//! One task owns all state; what it decides from is pure and apart: how much room there is and whose turn it is,
//! when to claim, what waits for the store, what a row needs. No connection is held during HTTP, and every queue,
//! batch, wait and body has a bound ([`EngineOptions`], [`HttpOptions`]).
//!
//! At least once: an attempt whose outcome could not be written is repeated. The claim number guards the database,
//! so that a node which lost a row writes nothing.

mod attempt;
mod backlog;
mod backoff;
mod batches;
mod budget;
mod chore_notes;
mod chores;
mod claims;
mod congestion;
mod door;
mod engine;
mod figures;
mod handle;
mod intake;
mod lanes;
mod lease;
mod life;
mod metrics;
mod options;
mod plan;
mod ports;
mod replays;
mod retention;
mod sender;
mod store_calls;
mod trace;

pub use backlog::{BacklogOptions, BacklogWatch};
pub use chores::{Chores, ChoresOptions, ChoresPorts};
pub use engine::{Engine, EngineError};
pub use figures::{FigureOptions, FigureWriter};
pub use handle::{EngineHandle, EngineStatus};
pub use intake::{Intake, IntakeHandle, IntakeOptions};
pub use options::{CaptureHeaders, EngineOptions, HttpOptions, OptionsError};
pub use ports::EnginePorts;
pub use replays::{Replays, ReplaysOptions, ReplaysPorts};
pub use retention::{RetentionChore, RetentionOptions, RetentionPorts};
pub use sender::{HttpSender, HttpSenderError};
pub use trace::next_span_id;

//! Replays: many messages delivered to one endpoint once more, or what it never got, as a job.

mod replay;

pub use replay::{
    NewReplay, Progress, Replay, ReplayEvent, ReplayFailure, ReplayLimit, ReplayMode, ReplayState,
    ReplayStatus,
};

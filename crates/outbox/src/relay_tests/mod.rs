//! Given, when, then over memory; the clock is tokio's and stands still, so that pauses pass at once.

mod nodes;
mod set_aside;
mod taking;

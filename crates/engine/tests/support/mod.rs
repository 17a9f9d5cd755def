//! What the engine's tests stand on.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

pub(crate) mod faulty;
pub(crate) mod node;
pub(crate) mod receiver;
pub(crate) mod receivers;
pub(crate) mod secrets;
pub(crate) mod world;

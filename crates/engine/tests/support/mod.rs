#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod faulty;
pub(crate) mod receiver;
pub(crate) mod world;

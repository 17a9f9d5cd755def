//! A webhook receiver that verifies every signature: `postrider receive`, and part of `postrider dev`.

mod arrival;
mod server;

pub(crate) use arrival::{Arrival, Verdict};
pub(crate) use server::{Options, Receiver};

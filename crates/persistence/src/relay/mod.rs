//! What the relay keeps: cursors and events that were set aside, how far nodes have seen the log, hearing of it, and
//! what the operator sees of all that.

mod bell;
mod cursors;
mod dead_letters;
mod listeners;
mod operator;
mod sight;

pub(crate) use self::bell::{NOTIFY_EVENTS, events_channel, notify_events};

//! Messages: the hot way in, their payloads, what became of them.

mod intake;
mod material;
mod row;
mod views;

//! Messages: the hot way in, their payloads, what became of them.

mod direct;
mod intake;
mod material;
mod row;
mod views;

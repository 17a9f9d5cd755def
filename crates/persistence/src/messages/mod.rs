//! Messages: the hot way in, their payloads, what became of them.

mod direct;
mod intake;
mod list;
mod material;
mod repository;
mod row;
mod views;

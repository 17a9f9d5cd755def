//! The API in process: actix's test server over the SQL store on SQLite, with the real cryptography. Only
//! passwords are kept in plain text, for speed; argon2 has tests of its own.

#![expect(
    clippy::unwrap_used,
    reason = "this is all tests; the lint excuses only functions marked so"
)]

mod audit;
mod bad_input;
mod batches;
mod bounds;
mod connections;
mod credentials;
mod document;
mod guard;
mod idempotency;
mod isolation;
mod lists;
mod manners;
mod markers;
mod matrix;
mod pages;
mod people;
mod platform;
mod portal;
mod publishing;
mod resources;
mod routes;
mod server;
mod sessions;
mod stations;
mod support;
mod tenants;
mod unreadable_keys;

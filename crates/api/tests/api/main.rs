//! The API in process: actix's test server over the SQL store on SQLite, with the real cryptography. Only
//! passwords are kept in plain text, for speed; argon2 has tests of its own.

mod bad_input;
mod credentials;
mod document;
mod guard;
mod isolation;
mod pages;
mod routes;
mod server;
mod stations;
mod support;
mod telemetry;

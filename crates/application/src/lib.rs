//! Postrider's use cases: what can be asked of the product, who may ask it, and what follows.
//!
//! Every request goes one way: [`mediator::Mediator::send`] opens a span, counts, validates, authorizes, and
//! hands the request with its *granted scope* to its handler. A request that nothing serves does not compile; a
//! request that says nothing of authorization does not either.
//!
//! One use case is one file: request, handler and tests together. The outside is reached through [`ports`].

// The in-memory adapters live in the testkit, which depends on this crate; its own unit tests compile them in
// (docs/adr/0014). They name the ports by this crate's public name.
#[cfg(test)]
extern crate self as postrider_application;
#[cfg(test)]
#[path = "../../testkit/src/memory/mod.rs"]
mod memory;
#[cfg(test)]
mod testing;

pub mod access;
pub mod api_keys;
pub mod applications;
pub mod audit;
pub mod audit_entries;
pub mod authentication;
mod change;
mod contention;
pub mod deliveries;
pub mod endpoints;
mod error;
pub mod event_types;
pub mod invitations;
pub mod keys;
pub mod me;
pub mod mediator;
pub mod members;
pub mod messages;
pub mod once;
pub mod operational;
pub mod operator;
pub mod ports;
pub mod replays;
pub mod tenants;
mod use_cases;
pub mod users;

pub use change::{IfMatch, Patch, Upserted, Versioned};
pub use error::{Error, ErrorCode, ErrorKind, Result, Violation, Violations};
pub use use_cases::{FullStore, FullTx, Ports, REQUEST_NAMES, Settings, UseCases};

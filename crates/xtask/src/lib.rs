//! Postrider's chores, run as `cargo xtask <command>`.
//!
//! This crate depends on none of ours: it builds in seconds, works while the rest does not compile, and looks at
//! the product only from outside. What several chores need (a throw-away PostgreSQL, a server process with a guard, a
//! blocking HTTP client) lives here as ordinary modules.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer tool talks to the developer's terminal"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "time-outs of a developer tool are measured on the real clock; the Clock port belongs to the product"
)]

pub mod arch;
#[cfg(target_os = "linux")]
pub mod bench;
pub mod cache;
pub mod cargo;
pub mod chance;
pub mod check_arch;
pub mod check_docs;
pub mod collector;
pub mod conformance;
mod debian;
pub mod deploy;
pub mod docs;
pub mod faults;
pub mod follow;
pub mod generate;
pub mod http;
pub mod interrupt;
pub(crate) mod metrics_page;
pub mod postgres;
pub mod postgres_ways;
pub mod process;
pub mod product;
pub mod proxy;
pub mod receiver;
pub mod recovery;
pub mod sbom;
pub mod server;
pub mod tenancy;
pub mod test;
pub mod watchdog;

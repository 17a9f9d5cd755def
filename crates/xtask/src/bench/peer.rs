//! The strongest open-source peer: Svix's server with PostgreSQL and Redis on a machine with two cores, everything on
//! that machine, 1 KiB payloads. Figures of the peer on such a machine; they are constants here.

/// Messages a second delivered to one endpoint, 64 connections.
pub(super) const ONE_ENDPOINT_PER_S: f64 = 1_000.0;
/// Messages a second delivered to five endpoints, 64 connections.
pub(super) const FIVE_ENDPOINTS_PER_S: f64 = 465.0;
/// Messages a second from a single client.
pub(super) const SINGLE_CLIENT_PER_S: f64 = 463.0;
/// CPU of its server a message, in microseconds.
pub(super) const SERVER_CPU_US: f64 = 900.0;
/// CPU of PostgreSQL a message, in microseconds.
pub(super) const DATABASE_CPU_US: f64 = 820.0;
/// From scheduled send to receiver at 500 messages a second, in microseconds: half are quicker.
pub(super) const OPEN_P50_US: f64 = 3_000.0;
/// And 99 of a hundred.
pub(super) const OPEN_P99_US: f64 = 11_000.0;

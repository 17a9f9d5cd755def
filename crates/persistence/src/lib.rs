//! Postrider's one SQL store, for SQLite and PostgreSQL.
//!
//! [`Database`] is the open database: pools, migrations, and the facts of the installation that are needed before
//! anything can be unsealed. [`SqlStore`] is what the rest of the product holds: every storage port of the
//! application on one cheap handle. The database is chosen at run time; [`Dialect`] is the only thing that knows
//! which it is, and statements are written twice only where they must be.
//!
//! | module | what lives there |
//! |---|---|
//! | `connection` | opening, migrating, pools and roles, the data directory, where transactions begin |
//! | `stored`, `unit_of_work` | saving an aggregate: a version-guarded row and its events, in one transaction |
//! | `tenants`, `users`, `api_keys`, `applications`, `event_types`, `endpoints` | rows, repositories and views |
//! | `messages` | the hot way in, payloads, what became of a message |
//! | `deliveries` | the queue (claim, settle), history, resending |
//! | `figures` | what endpoints and tenants did, added up |
//! | `replays` | jobs that queue many deliveries, step by step |
//! | `retention` | what is old enough goes: days with their partition, rows by the batch |
//! | `nodes`, `bell`, `health` | leases; waking other nodes; which endpoints fail |
//! | `events`, `event_forms`, `event_log` | how events are stored, older forms, and reading them by position |
//! | `relay` | cursors of the log's subscribers, events that were set aside, how far nodes have seen the log |
//! | `backlog` | what waits, as figures |
//! | `audit` | the audit log: appending, and looking at it |
//! | `housekeeping` | what is done in small batches: forgetting, erasing tenants and proving it |
//! | `export` | everything that a tenant owns, secrets excepted |
//! | `installation`, `reencryption` | signing keys and small facts; sealing anew what another master key sealed |
//! | `codec`, `batch`, `windows` | stored forms of lists; batches as parameters; walking through a table in pieces |
//! | `paging`, `conditions`, `times_of_ids` | pages of lists; conditions of a statement; between which ids a time lies |
//! | `advisory_lock` | the locks by which nodes take turns |
//! | `trace` | spans of transactions, where somebody records them |
//! | `error` | what database errors mean |

mod advisory_lock;
mod answers;
mod api_keys;
mod applications;
mod audit;
mod backlog;
mod batch;
mod bell;
mod codec;
mod conditions;
mod connection;
mod deliveries;
mod endpoints;
mod error;
mod event_forms;
mod event_log;
mod event_types;
mod events;
mod export;
mod figures;
mod health;
mod housekeeping;
mod installation;
mod messages;
mod nodes;
mod paging;
mod partitions;
mod reencryption;
mod relay;
mod replays;
mod retention;
mod store;
mod stored;
mod tenants;
mod times_of_ids;
mod trace;
mod unit_of_work;
mod users;
mod windows;

pub use connection::{
    ConnectError, Database, DatabaseOptions, Dialect, PostgresOptions, Reached, Schema, SchemaState,
    SqliteOptions, TooMuch, reach,
};
pub use store::SqlStore;
pub use unit_of_work::SqlUnitOfWork;

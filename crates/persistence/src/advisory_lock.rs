//! The locks by which nodes take turns on PostgreSQL. Numbers of our own choosing, one for each purpose, for ever: nodes of
//! two versions must meet at the same one. They are the database's, whatever the schema, so that there is one installation
//! in a database.

/// Held by whoever applies migrations.
pub(crate) const MIGRATIONS: i64 = 0x706f_7374_0001;
/// Held from appending events to the end of the transaction, so that position order is commit order.
pub(crate) const EVENT_LOG: i64 = 0x706f_7374_0002;
/// Held by whoever adds a signing key.
pub(crate) const SIGNING_KEYS: i64 = 0x706f_7374_0003;
/// Held by whoever erases a tenant.
pub(crate) const ERASURE: i64 = 0x706f_7374_0004;
/// Held by whoever makes partitions.
pub(crate) const PARTITIONS: i64 = 0x706f_7374_0005;
/// Held by whoever takes a step of a replay.
pub(crate) const REPLAYS: i64 = 0x706f_7374_0019;
/// Held by whoever adds to the figures of endpoints.
pub(crate) const FIGURES: i64 = 0x706f_7374_001a;
/// Held by whoever removes history that is old enough.
pub(crate) const RETENTION: i64 = 0x706f_7374_001b;

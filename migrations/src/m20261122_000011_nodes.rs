//! Why: leases are the nodes', not the rows'. An epoch is one life of one node and is never reused, so that the
//! rows of a dead one can be told from those of its successor for ever.

use crate::ddl::is_postgres;

const ON_POSTGRES: &str = "CREATE TABLE nodes (
        epoch bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT nodes_pkey PRIMARY KEY,
        joined_at bigint NOT NULL,
        lease_until bigint NOT NULL,
        dead boolean NOT NULL DEFAULT false
    )";
const ON_SQLITE: &str = "CREATE TABLE nodes (
        epoch INTEGER PRIMARY KEY AUTOINCREMENT,
        joined_at INTEGER NOT NULL,
        lease_until INTEGER NOT NULL,
        dead INTEGER NOT NULL DEFAULT 0
    ) STRICT";
/// The dead stay until a chore removes them; the living, which are looked through at every beat, are few.
const LIVING: &str = "CREATE INDEX nodes_living ON nodes (lease_until) WHERE dead = @false";

crate::ddl::migration!(manager => [if is_postgres(manager) { ON_POSTGRES } else { ON_SQLITE }, LIVING]);

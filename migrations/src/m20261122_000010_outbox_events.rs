//! Why: the log of aggregates' events, written in the same commit as the change. Position order is commit order
//! (the writer sees to it), so that a subscriber is a cursor. The body is kept as the text that was written.

use crate::ddl::is_postgres;

const ON_POSTGRES: &str = "CREATE TABLE outbox_events (
        pos bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT outbox_events_pkey PRIMARY KEY,
        tenant uuid,
        aggregate text NOT NULL,
        version integer NOT NULL,
        kind text NOT NULL,
        body json NOT NULL,
        recorded_at bigint NOT NULL
    )";
const ON_SQLITE: &str = "CREATE TABLE outbox_events (
        pos INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant BLOB,
        aggregate TEXT NOT NULL,
        version INTEGER NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL,
        recorded_at INTEGER NOT NULL
    ) STRICT";

crate::ddl::migration!(manager => [if is_postgres(manager) { ON_POSTGRES } else { ON_SQLITE }]);

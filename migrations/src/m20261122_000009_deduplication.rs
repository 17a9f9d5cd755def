//! Why: a publish with a key is done once. A table of its own, because a unique constraint cannot span history
//! that is partitioned by time. An expired row is overwritten in place.

crate::ddl::migration!(
    "CREATE TABLE dedup (
        tenant @uuid NOT NULL,
        app @uuid NOT NULL,
        key_hash @bytes NOT NULL,
        body_hash @bytes NOT NULL,
        message @uuid NOT NULL,
        expires_at @time NOT NULL,
        CONSTRAINT dedup_pkey PRIMARY KEY (tenant, app, key_hash)
    ) @keyed",
    "CREATE INDEX dedup_expires_at ON dedup (expires_at)",
);

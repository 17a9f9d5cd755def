//! Why: where each message stands with each endpoint, and every try. Written when an attempt is settled, in the same
//! transaction that deletes the queue's row (and, for a retry, adds the next one); a delivery that was neither attempted
//! nor asked for again is in the queue only.
//!
//! `due_at` is set exactly while the delivery is pending. `latency_us` is in microseconds.

crate::ddl::migration!(
    "CREATE TABLE deliveries (
        message @uuid NOT NULL,
        endpoint @uuid NOT NULL,
        tenant @uuid NOT NULL,
        app @uuid NOT NULL,
        status @text NOT NULL,
        reason @text,
        due_at @time,
        attempts @int NOT NULL,
        failures @int NOT NULL,
        updated_at @time NOT NULL,
        CONSTRAINT deliveries_pkey PRIMARY KEY (message, endpoint)
    ) @keyed",
    "CREATE TABLE attempts (
        message @uuid NOT NULL,
        endpoint @uuid NOT NULL,
        n @int NOT NULL,
        tenant @uuid NOT NULL,
        started_at @time NOT NULL,
        latency_us @big NOT NULL,
        failure @text,
        http_status @int,
        body @bytes NOT NULL,
        body_truncated @bool NOT NULL,
        CONSTRAINT attempts_pkey PRIMARY KEY (message, endpoint, n)
    ) @keyed",
);

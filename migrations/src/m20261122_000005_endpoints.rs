//! Why: where an application wants to hear of events. The signing secret is sealed (AEAD) with the installation's
//! master key; `retry_waits` holds microseconds and is null for the installation's own schedule.

crate::ddl::migration!(
    "CREATE TABLE endpoints (
        tenant @uuid NOT NULL,
        app @uuid NOT NULL,
        id @uuid NOT NULL,
        uid @text,
        url @text NOT NULL,
        description @text NOT NULL,
        event_types @json NOT NULL,
        channels @json NOT NULL,
        sealed_secret @bytes NOT NULL,
        retry_waits @json,
        timeout_ms @int,
        metadata @json NOT NULL,
        disabled_why @text,
        disabled_at @time,
        created_at @time NOT NULL,
        version @int NOT NULL,
        CONSTRAINT endpoints_pkey PRIMARY KEY (tenant, app, id),
        CONSTRAINT endpoints_uid_key UNIQUE (tenant, app, uid),
        CONSTRAINT endpoints_app_fkey FOREIGN KEY (tenant, app) REFERENCES applications (tenant, id),
        CONSTRAINT endpoints_disabled_check CHECK ((disabled_why IS NULL) = (disabled_at IS NULL))
    ) @keyed",
);

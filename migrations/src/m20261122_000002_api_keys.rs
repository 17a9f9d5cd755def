//! Why: machine principals. Only the SHA-256 of a key's secret is stored.

crate::ddl::migration!(
    "CREATE TABLE api_keys (
        tenant @uuid NOT NULL CONSTRAINT api_keys_tenant_fkey REFERENCES tenants (id),
        id @uuid NOT NULL CONSTRAINT api_keys_id_key UNIQUE,
        name @text NOT NULL,
        secret_hash @bytes NOT NULL,
        grants @json NOT NULL,
        created_at @time NOT NULL,
        expires_at @time,
        version @int NOT NULL,
        CONSTRAINT api_keys_pkey PRIMARY KEY (tenant, id)
    ) @keyed",
);

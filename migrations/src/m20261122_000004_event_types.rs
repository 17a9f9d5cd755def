//! Why: what can happen in a tenant's product. The name is the key.

crate::ddl::migration!(
    "CREATE TABLE event_types (
        tenant @uuid NOT NULL CONSTRAINT event_types_tenant_fkey REFERENCES tenants (id),
        name @text NOT NULL,
        description @text NOT NULL,
        created_at @time NOT NULL,
        version @int NOT NULL,
        CONSTRAINT event_types_pkey PRIMARY KEY (tenant, name)
    ) @keyed",
);

//! Why: a tenant's customers. `endpoints_version` rises with every change of the application's endpoints, so that
//! a cached match set is known to be old.

crate::ddl::migration!(
    "CREATE TABLE applications (
        tenant @uuid NOT NULL CONSTRAINT applications_tenant_fkey REFERENCES tenants (id),
        id @uuid NOT NULL,
        uid @text,
        name @text NOT NULL,
        metadata @json NOT NULL,
        endpoints_version @big NOT NULL DEFAULT 0,
        created_at @time NOT NULL,
        version @int NOT NULL,
        CONSTRAINT applications_pkey PRIMARY KEY (tenant, id),
        CONSTRAINT applications_uid_key UNIQUE (tenant, uid)
    ) @keyed",
);

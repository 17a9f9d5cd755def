//! Why: the isolation boundary (tenants), people (global, by e-mail address), their place in a tenant, and their
//! logins.
//!
//! From here on every table of what a tenant configures has the tenant in its key, and refers to others of them by
//! composite foreign keys that hold it: a row can never point into another tenant. (History and the queue are keyed
//! by their ids and refer to nothing: 000006, 000008.) Sessions and keys are unique by id alone as well, because they
//! are looked up before the tenant is known. A session does not refer to its membership: it may
//! outlive it, and lets nobody in without one.

crate::ddl::migration!(
    "CREATE TABLE tenants (
        id @uuid NOT NULL CONSTRAINT tenants_pkey PRIMARY KEY,
        name @text NOT NULL,
        created_at @time NOT NULL,
        version @int NOT NULL
    ) @keyed",
    "CREATE TABLE users (
        id @uuid NOT NULL CONSTRAINT users_pkey PRIMARY KEY,
        email @text NOT NULL CONSTRAINT users_email_key UNIQUE,
        name @text NOT NULL,
        password_hash @text NOT NULL,
        created_at @time NOT NULL,
        version @int NOT NULL
    ) @keyed",
    "CREATE TABLE memberships (
        tenant @uuid NOT NULL CONSTRAINT memberships_tenant_fkey REFERENCES tenants (id),
        user_id @uuid NOT NULL CONSTRAINT memberships_user_fkey REFERENCES users (id),
        id @uuid NOT NULL,
        grants @json NOT NULL,
        created_at @time NOT NULL,
        version @int NOT NULL,
        CONSTRAINT memberships_pkey PRIMARY KEY (tenant, id),
        CONSTRAINT memberships_user_key UNIQUE (tenant, user_id)
    ) @keyed",
    "CREATE INDEX memberships_user ON memberships (user_id)",
    "CREATE TABLE sessions (
        tenant @uuid NOT NULL CONSTRAINT sessions_tenant_fkey REFERENCES tenants (id),
        id @uuid NOT NULL CONSTRAINT sessions_id_key UNIQUE,
        user_id @uuid NOT NULL CONSTRAINT sessions_user_fkey REFERENCES users (id),
        created_at @time NOT NULL,
        expires_at @time NOT NULL,
        version @int NOT NULL,
        CONSTRAINT sessions_pkey PRIMARY KEY (tenant, id)
    ) @keyed",
    "CREATE INDEX sessions_user ON sessions (tenant, user_id)",
);

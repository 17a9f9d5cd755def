//! Why: identity, complete. Tenants that are suspended or being deleted, invitations, passwords that are set anew by
//! a token, refresh tokens that rotate, when a key was last used, until when portal tokens are void, and who did what.
//!
//! Sessions are dropped and made anew: those of before have no refresh token, so **every login ends with this
//! update**. `family_hash` names all tokens of one login, `refresh_hash` is the one that may be used next;
//! `expires_at` ends the login whatever happens, `refresh_expires_at` if it is idle. Of tokens only hashes are stored.
//!
//! `audit_entries` is only ever appended to, and refers to nothing: it outlives what it tells of. Its tenant is null
//! for what the operator does to the installation. That it is not changed is a matter of rights on PostgreSQL; SQLite
//! has none, so triggers see to it: only a tenant that is being erased takes its entries along.
//!
//! `erasures` is what stays of a tenant: how far the eraser has come (`phase`, and in it the table and its last key),
//! how many rows of which table went, and in the end, when the last one did. It refers to nothing. If a step failed,
//! the tenant lets others go first until `retry_at`.
//!
//! `nodes.key_id` names the master key that a node seals with: as long as one of them does so with another key than
//! the new one, a replacement of the key is not at its end. Nodes of before do not say, and count as such.

use crate::ddl::is_postgres;

const TABLES: &[&str] = &[
    "ALTER TABLE tenants ADD COLUMN status @text NOT NULL DEFAULT 'active'
        CONSTRAINT tenants_status_check CHECK (status IN ('active', 'suspended', 'deleting'))",
    "ALTER TABLE tenants ADD COLUMN status_since @time NOT NULL DEFAULT 0",
    "UPDATE tenants SET status_since = created_at",
    "ALTER TABLE api_keys ADD COLUMN last_used_at @time",
    "ALTER TABLE applications ADD COLUMN tokens_valid_after @time NOT NULL DEFAULT 0",
    "CREATE TABLE invitations (
        tenant @uuid NOT NULL CONSTRAINT invitations_tenant_fkey REFERENCES tenants (id),
        id @uuid NOT NULL CONSTRAINT invitations_id_key UNIQUE,
        email @text NOT NULL,
        grants @json NOT NULL,
        token_hash @bytes NOT NULL,
        invited_by @text NOT NULL,
        created_at @time NOT NULL,
        expires_at @time NOT NULL,
        version @int NOT NULL,
        CONSTRAINT invitations_pkey PRIMARY KEY (tenant, id),
        CONSTRAINT invitations_email_key UNIQUE (tenant, email)
    ) @keyed",
    "CREATE INDEX invitations_expired ON invitations (expires_at)",
    "CREATE TABLE password_resets (
        user_id @uuid NOT NULL CONSTRAINT password_resets_pkey PRIMARY KEY
            CONSTRAINT password_resets_user_fkey REFERENCES users (id),
        id @uuid NOT NULL CONSTRAINT password_resets_id_key UNIQUE,
        token_hash @bytes NOT NULL,
        expires_at @time NOT NULL
    ) @keyed",
    "DROP TABLE sessions",
    "CREATE TABLE sessions (
        tenant @uuid NOT NULL CONSTRAINT sessions_tenant_fkey REFERENCES tenants (id),
        id @uuid NOT NULL CONSTRAINT sessions_id_key UNIQUE,
        user_id @uuid NOT NULL CONSTRAINT sessions_user_fkey REFERENCES users (id),
        family_hash @bytes NOT NULL,
        refresh_hash @bytes NOT NULL,
        created_at @time NOT NULL,
        expires_at @time NOT NULL,
        refresh_expires_at @time NOT NULL,
        version @int NOT NULL,
        CONSTRAINT sessions_pkey PRIMARY KEY (tenant, id)
    ) @keyed",
    "CREATE INDEX sessions_user ON sessions (tenant, user_id)",
    "CREATE INDEX sessions_of_user ON sessions (user_id)",
    "CREATE INDEX sessions_expired ON sessions (refresh_expires_at)",
    "CREATE TABLE audit_entries (
        id @uuid NOT NULL CONSTRAINT audit_entries_pkey PRIMARY KEY,
        tenant @uuid,
        at @time NOT NULL,
        actor_kind @text NOT NULL,
        actor @text NOT NULL,
        action @text NOT NULL,
        target @text,
        outcome @text NOT NULL,
        times @int NOT NULL,
        address @text,
        request_id @text
    ) @keyed",
    "CREATE INDEX audit_entries_tenant ON audit_entries (tenant, id)",
    "CREATE INDEX audit_entries_actor ON audit_entries (tenant, actor, id)",
    "CREATE INDEX audit_entries_target ON audit_entries (tenant, target, id) WHERE target IS NOT NULL",
    "CREATE TABLE erasures (
        tenant @uuid NOT NULL CONSTRAINT erasures_pkey PRIMARY KEY,
        ordered_at @time NOT NULL,
        phase @text NOT NULL,
        at_table @text,
        after_key @text,
        removed @json NOT NULL,
        erased_at @time,
        retry_at @time
    ) @keyed",
    "ALTER TABLE nodes ADD COLUMN key_id @text NOT NULL DEFAULT ''",
];

const APPEND_ONLY_ON_SQLITE: &[&str] = &[
    "CREATE TRIGGER audit_entries_are_not_changed BEFORE UPDATE ON audit_entries
     BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END",
    "CREATE TRIGGER audit_entries_are_not_removed BEFORE DELETE ON audit_entries
     WHEN NOT EXISTS (SELECT 1 FROM tenants WHERE id = OLD.tenant AND status = 'deleting')
     BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END",
];

crate::ddl::migration!(manager => if is_postgres(manager) {
    TABLES.to_vec()
} else {
    [TABLES, APPEND_ONLY_ON_SQLITE].concat()
});

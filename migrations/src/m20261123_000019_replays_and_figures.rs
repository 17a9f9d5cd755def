//! Why: many deliveries are sent again as a job (`replays`), and endpoints and tenants have figures that no scan of
//! history answers (`endpoint_stats`, `tenant_usage`). An attempt may keep the headers of the receiver's answer.
//!
//! A replay's `due_at` is when its next step may be taken, by the database's clock; `message` is the last one that was
//! looked at. Finished ones go at `expires_at`.
//!
//! Figures are added up in memory and written every few seconds: a row for each endpoint and hour, tenant and day, that
//! something happened in. Nothing that changes is indexed, so that on PostgreSQL rows are changed in their place.
//! `latencies` is a JSON array of pairs: a class of latencies, and how many attempts were in it.
//!
//! On SQLite the audit log lets nothing go but the entries of tenants that are being erased, and from now on those that
//! are older than retention allows: the installation's fact `audit_retention` says until when, and is there only in the
//! transaction that removes them.
//!
//! `attempts.response_headers` is empty for most attempts, and then costs nothing. The new column takes a moment's lock
//! of the table; if it is not to be had within seconds, the migration fails and nothing has changed.

use crate::{
    ddl::is_postgres,
    grants::{
        Command::{Insert, Select, Update},
        EVERYTHING, May, TENANTS, api, declare, engine,
    },
};

const TABLES: [&str; 9] = [
    "CREATE TABLE replays (
        tenant @uuid NOT NULL,
        id @uuid NOT NULL,
        app @uuid NOT NULL,
        endpoint @uuid NOT NULL,
        mode @text NOT NULL,
        from_at @time NOT NULL,
        to_at @time NOT NULL,
        most @big NOT NULL,
        status @text NOT NULL,
        reason @text,
        considered @big NOT NULL,
        queued @big NOT NULL,
        skipped @big NOT NULL,
        message @uuid,
        due_at @time NOT NULL DEFAULT 0,
        created_at @time NOT NULL,
        finished_at @time,
        expires_at @time,
        version @int NOT NULL,
        CONSTRAINT replays_pkey PRIMARY KEY (tenant, id)
    ) @keyed",
    "CREATE INDEX replays_by_endpoint ON replays (tenant, endpoint, id)",
    "CREATE INDEX replays_running ON replays (due_at) WHERE status = 'running'",
    "CREATE INDEX replays_over ON replays (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE TABLE endpoint_stats (
        tenant @uuid NOT NULL,
        endpoint @uuid NOT NULL,
        hour @time NOT NULL,
        app @uuid NOT NULL,
        attempts @big NOT NULL,
        delivered @big NOT NULL,
        latencies @text NOT NULL,
        failure @text,
        http_status @int,
        failed_at @time,
        delivered_at @time,
        CONSTRAINT endpoint_stats_pkey PRIMARY KEY (tenant, endpoint, hour)
    ) @keyed",
    "CREATE INDEX endpoint_stats_by_hour ON endpoint_stats (hour)",
    "CREATE TABLE tenant_usage (
        tenant @uuid NOT NULL,
        day @time NOT NULL,
        accepted @big NOT NULL,
        payload_bytes @big NOT NULL,
        attempts @big NOT NULL,
        delivered @big NOT NULL,
        failed @big NOT NULL,
        CONSTRAINT tenant_usage_pkey PRIMARY KEY (tenant, day)
    ) @keyed",
    "CREATE INDEX tenant_usage_by_day ON tenant_usage (day)",
    "ALTER TABLE attempts ADD COLUMN response_headers @text",
];

const AUDIT_ON_SQLITE: [&str; 2] = [
    "DROP TRIGGER audit_entries_are_not_removed",
    "CREATE TRIGGER audit_entries_are_not_removed BEFORE DELETE ON audit_entries
     WHEN NOT EXISTS (SELECT 1 FROM tenants WHERE id = OLD.tenant AND status = 'deleting')
        AND NOT EXISTS (SELECT 1 FROM installation
            WHERE name = 'audit_retention' AND CAST(CAST(value AS TEXT) AS INTEGER) > OLD.at)
     BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END",
];

/// A replay's steps are taken, and what is over is removed, by the tables' owner.
const GRANTS: [(&str, &[May]); 3] = [
    ("replays", &[api(&[Select, Insert, Update], TENANTS)]),
    ("endpoint_stats", &[api(&[Select], TENANTS), engine(EVERYTHING)]),
    ("tenant_usage", &[api(&[Select], TENANTS), engine(EVERYTHING)]),
];

fn statements(on_postgres: bool) -> Vec<String> {
    let tables = TABLES.iter().map(|table| (*table).to_owned());
    if !on_postgres {
        let audit = AUDIT_ON_SQLITE.iter().map(|statement| (*statement).to_owned());
        return tables.chain(audit).collect();
    }
    let grants = GRANTS.iter().flat_map(|(table, grants)| declare(table, grants));
    let first = std::iter::once("SET LOCAL lock_timeout = '3s'".to_owned());
    first.chain(tables).chain(grants).collect()
}

crate::ddl::migration!(manager => statements(is_postgres(manager)).iter().map(String::as_str).collect::<Vec<_>>());

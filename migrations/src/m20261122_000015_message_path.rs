//! Why: the message path at full speed.
//!
//! The queue's rows say how large the payload is (`payload_bytes`), so that what a node takes is bounded in bytes
//! before it is read. A node of before does not say it, and its rows count as empty.
//!
//! `endpoint_failures` are the endpoints to which every attempt has failed, since when and until when: a row comes with
//! the first failure and goes with the first success, so that a healthy endpoint costs nothing. `last_at` follows by the
//! hour, and has no index, so that on PostgreSQL the row is changed in its place.
//!
//! On PostgreSQL history becomes partitioned by time (see [`crate::partitions`]): old rows go with their partition,
//! and not one by one. What is there becomes the first partition.
//!
//! Unlike other migrations, this one is not for a live system: on PostgreSQL, stop the nodes of the version before it
//! first. It writes every row of the queue and puts four tables under new ones, in one transaction that nobody may write
//! to them in, and what a node has prepared for the old tables is of no use afterwards. All locks are taken at the
//! beginning; if a node is still at work and they are not to be had within seconds, the migration fails and nothing has
//! changed, rather than that everything queues up behind it.

use sea_orm_migration::{
    DbErr, MigrationTrait, SchemaManager, async_trait,
    sea_orm::{ConnectionTrait as _, DeriveMigrationName, Statement},
};

use crate::{
    ddl::{is_postgres, run},
    grants::{
        Command::{Delete, Insert, Select, Update},
        EVERYTHING, May, TENANTS, api, declare, engine,
    },
    partitions::{Day, HISTORY, Partition},
    roles::{API, ENGINE, IDENTITY},
};

/// For how many days after this one there are partitions from the beginning.
const DAYS_AHEAD: u64 = 3;

/// Up to how far ahead of the database's clock an id may be, in days: clocks are set wrong. What is made ahead begins
/// only after the latest id, so an id of a far-off time, or one that tells no time, would leave everything until then in
/// one partition.
const MOST_DAYS_AHEAD: u64 = 30;

/// In one statement, so that who is in the way is met before anything is done.
const LOCKS: [&str; 2] = [
    "SET LOCAL lock_timeout = '10s'",
    "LOCK TABLE messages, payloads, deliveries, attempts, outbox_work IN ACCESS EXCLUSIVE MODE",
];

const TABLES: [&str; 4] = [
    "ALTER TABLE outbox_work ADD COLUMN payload_bytes @int NOT NULL DEFAULT 0",
    "UPDATE outbox_work SET payload_bytes =
        coalesce((SELECT payload_bytes FROM messages WHERE messages.id = outbox_work.message), 0)",
    "CREATE TABLE endpoint_failures (
        endpoint @uuid NOT NULL CONSTRAINT endpoint_failures_pkey PRIMARY KEY,
        tenant @uuid NOT NULL,
        app @uuid NOT NULL,
        since @time NOT NULL,
        last_at @time NOT NULL
    ) @keyed",
    "CREATE INDEX endpoint_failures_since ON endpoint_failures (since)",
];

/// Who may do what. Of history it is what it was before there were partitions. A tenant who saves an endpoint sees to
/// it that its failures are forgotten.
const GRANTS: [(&str, &[May]); 5] = [
    ("messages", &[api(&[Select], TENANTS), engine(EVERYTHING)]),
    ("payloads", &[api(&[Select], TENANTS), engine(EVERYTHING)]),
    (
        "deliveries",
        &[api(&[Select, Insert, Update], TENANTS), engine(EVERYTHING)],
    ),
    ("attempts", &[api(&[Select], TENANTS), engine(EVERYTHING)]),
    (
        "endpoint_failures",
        &[api(&[Select, Delete], TENANTS), engine(EVERYTHING)],
    ),
];

/// The database's now, the latest message of all history with the table that has it, and the time that its id begins
/// with; times in milliseconds since the Unix epoch.
const TIMES: &str = "
SELECT (extract(epoch from now()) * 1000)::bigint AS now, last.name, last.id::text AS id,
    ('x' || left(replace(last.id::text, '-', ''), 12))::bit(48)::bigint AS latest
FROM (VALUES (1)) AS one LEFT JOIN LATERAL (
    (SELECT 'messages' AS name, id FROM messages ORDER BY id DESC LIMIT 1)
    UNION ALL (SELECT 'payloads', message FROM payloads ORDER BY message DESC LIMIT 1)
    UNION ALL (SELECT 'deliveries', message FROM deliveries ORDER BY message DESC LIMIT 1)
    UNION ALL (SELECT 'attempts', message FROM attempts ORDER BY message DESC LIMIT 1)
) AS last ON true ORDER BY last.id DESC NULLS LAST LIMIT 1";

/// See the head of the file.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if !is_postgres(manager) {
            return run(manager, &TABLES).await;
        }
        run(manager, &LOCKS).await?;
        run(manager, &TABLES).await?;
        let (today, latest) = days(manager).await?;
        let mut statements = Vec::new();
        for (table, column) in HISTORY {
            let first = Partition::first(table, latest.max(today));
            statements.extend(partition(table, column, &first));
            let covered = latest.max(today).plus(1).first_id();
            let ahead = Partition::missing(table, Some(covered), today, today.plus(DAYS_AHEAD));
            statements.extend(ahead.iter().flat_map(Partition::make));
        }
        statements.extend(GRANTS.iter().flat_map(|(table, grants)| declare(table, grants)));
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        run(manager, &statements).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Today, and the day of the latest id. Fails if that is too far ahead.
async fn days(manager: &SchemaManager<'_>) -> Result<(Day, Day), DbErr> {
    let connection = manager.get_connection();
    let times = Statement::from_string(connection.get_database_backend(), TIMES);
    let row = connection.query_one_raw(times).await?;
    let row = row.ok_or_else(|| DbErr::Custom("the database does not tell the time".to_owned()))?;
    // Neither is before 1970.
    let day = |millis: i64| Day::of_millis(millis.max(0).cast_unsigned());
    let today = day(row.try_get("", "now")?);
    let latest: Option<i64> = row.try_get("", "latest")?;
    let latest = latest.map_or(today, day);
    if latest > today.plus(MOST_DAYS_AHEAD) {
        let (table, id): (String, String) = (row.try_get("", "name")?, row.try_get("", "id")?);
        return Err(DbErr::Custom(format!(
            "the table {table} has rows of the message {id}, whose id is of a time more than {MOST_DAYS_AHEAD} days \
             ahead of the database's clock: history cannot be partitioned by time before such rows are removed, or \
             the clock is set right"
        )));
    }
    Ok((today, latest))
}

/// Makes the table its own first partition, which nobody has a right to any more, and a new one of its name and form.
/// Keys keep the names by which violations are told.
fn partition(table: &str, column: &str, first: &Partition) -> Vec<String> {
    let old = first.name();
    vec![
        format!("ALTER TABLE {table} RENAME TO {old}"),
        format!("ALTER TABLE {old} RENAME CONSTRAINT {table}_pkey TO {old}_pkey"),
        format!("REVOKE ALL ON {old} FROM {API}, {IDENTITY}, {ENGINE}"),
        format!(
            "DO $$ DECLARE policy name; BEGIN
                FOR policy IN SELECT policyname FROM pg_policies
                    WHERE schemaname = current_schema() AND tablename = '{old}'
                LOOP EXECUTE format('DROP POLICY %I ON {old}', policy); END LOOP;
             END $$"
        ),
        format!("CREATE TABLE {table} (LIKE {old} INCLUDING ALL) PARTITION BY RANGE ({column})"),
        first.attach(),
    ]
}

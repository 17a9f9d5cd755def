//! Days of history, laid by SQL in the database: publishing a million messages would take hours.

use anyhow::{Context, ensure};

use crate::postgres::{Connection, Row};

/// Tables of history, and the column that holds the message.
pub(super) const HISTORY: [(&str, &str); 4] = [
    ("attempts", "message"),
    ("payloads", "message"),
    ("deliveries", "message"),
    ("messages", "id"),
];

const DAY_MS: u64 = 86_400_000;
/// So many rows a statement.
const CHUNK: u64 = 50_000;
/// The owner of the tables.
const OWNER: &str = "postrider_admin";
/// As an endpoint's id: nobody looks whether there is one.
pub(super) const ENDPOINT: &str = "00000000-0000-7000-8000-00000000e0d0";

/// A day in UTC, by its number since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub(super) u64);

impl Day {
    /// The least id of the day: a UUIDv7 begins with the milliseconds.
    pub(super) fn first_id(self) -> String {
        let millis = self.0 * DAY_MS;
        format!(
            "{:08x}-{:04x}-0000-0000-000000000000",
            millis >> 16,
            millis & 0xffff
        )
    }

    /// The name of its partition here: unlike any that the product gives.
    pub(super) fn partition(self, table: &str) -> String {
        format!("{table}_p{}", self.0)
    }
}

/// The only cell of the only row.
pub(super) fn cell(rows: &[Row]) -> anyhow::Result<String> {
    let cell = rows.first().and_then(|row| row.first()).cloned().flatten();
    cell.context("no answer")
}

/// A number in the only cell.
pub(super) fn number(connection: &mut Connection, sql: &str) -> anyhow::Result<u64> {
    Ok(cell(&connection.query(sql)?)?.parse()?)
}

/// Cuts the empty tables at these days: the first one without a lower bound, up to the last and all after it.
pub(super) fn cut(connection: &mut Connection, days: &[Day]) -> anyhow::Result<()> {
    connection.query(&format!("set role {OWNER}"))?;
    for (table, _) in HISTORY {
        let first = connection.query(&format!(
            "select p.relname, substring(pg_get_expr(p.relpartbound, p.oid) from 'TO \\(''([-0-9a-f]{{36}})''\\)')
             from pg_inherits i join pg_class p on p.oid = i.inhrelid
             where i.inhparent = '{table}'::regclass and pg_get_expr(p.relpartbound, p.oid) like '%MINVALUE%'"
        ))?;
        let [row] = first.as_slice() else {
            anyhow::bail!("{table} has no first partition")
        };
        let [Some(name), Some(end)] = row.as_slice() else {
            anyhow::bail!("{table}: the first partition has no end")
        };
        ensure!(
            number(connection, &format!("select count(*) from {name}"))? == 0,
            "{name} is not empty"
        );
        connection.query(&format!("alter table {table} detach partition {name}"))?;
        connection.query(&format!("drop table {name}"))?;
        let mut from = "minvalue".to_owned();
        for (at, day) in days.iter().enumerate() {
            let own = day.partition(table);
            let till = days
                .get(at + 1)
                .map_or_else(|| end.clone(), |next| next.first_id());
            for sql in [
                format!("create table {own} (like {table} including all)"),
                format!("alter table {own} enable row level security"),
                format!("alter table {own} force row level security"),
                format!("alter table {table} attach partition {own} for values from ({from}) to ('{till}')"),
            ] {
                connection.query(&sql)?;
            }
            from = format!("'{till}'");
        }
    }
    connection.query("reset role")?;
    Ok(())
}

/// Fills a day with so many messages, each with its payload, its delivery and its one attempt.
pub(super) fn fill(connection: &mut Connection, day: Day, rows: u64) -> anyhow::Result<()> {
    let begin = day.0 * DAY_MS;
    let step = DAY_MS / rows.max(1);
    ensure!(step > 0, "more rows than milliseconds in a day");
    let id =
        format!("(lpad(to_hex({begin} + i * {step}), 12, '0') || '70008' || lpad(to_hex(i), 15, '0'))::uuid");
    let at = format!("({begin} + i * {step}) * 1000");
    let mut first = 0;
    while first < rows {
        crate::interrupt::check()?;
        let last = (first + CHUNK).min(rows) - 1;
        let from = format!(
            "from generate_series({first}::bigint, {last}::bigint) as i,
                (select id, tenant from applications order by id limit 1) as a"
        );
        for sql in [
            format!(
                "insert into messages (id, tenant, app, event_type, channels, content_type, payload_bytes, created_at)
                 select {id}, a.tenant, a.id, 'retention.shown', '[]', 'application/json', 256, {at} {from}"
            ),
            format!(
                "insert into payloads (message, tenant, body)
                 select {id}, a.tenant, convert_to(repeat(md5(i::text), 8), 'UTF8') {from}"
            ),
            format!(
                "insert into deliveries (message, endpoint, tenant, app, status, attempts, failures, updated_at)
                 select {id}, '{ENDPOINT}', a.tenant, a.id, 'delivered', 1, 0, {at} {from}"
            ),
            format!(
                "insert into attempts
                    (message, endpoint, n, tenant, started_at, latency_us, http_status, body, body_truncated)
                 select {id}, '{ENDPOINT}', 1, a.tenant, {at}, 900, 200,
                    convert_to(repeat(md5(i::text), 6), 'UTF8'), false {from}"
            ),
        ] {
            connection.query(&sql)?;
        }
        first = last + 1;
    }
    Ok(())
}

/// A row of the queue that refers to a day, and is due tomorrow: the day must be kept.
pub(super) fn hold_back(connection: &mut Connection, day: Day) -> anyhow::Result<()> {
    connection.query(&format!(
        "insert into outbox_work
            (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, payload_bytes)
         select gen_random_uuid(), tenant, app, id, '{ENDPOINT}',
            (extract(epoch from now() + interval '1 day') * 1000000)::bigint, 0, 0, 1, 0, payload_bytes
         from {} order by id limit 1",
        day.partition("messages")
    ))?;
    Ok(())
}

/// The queue refers to nothing of these days any more.
pub(super) fn let_go(connection: &mut Connection) -> anyhow::Result<()> {
    connection.query(&format!("delete from outbox_work where endpoint = '{ENDPOINT}'"))?;
    Ok(())
}

/// How many of the four tables still have that day's partition: as a partition, and as a table at all.
pub(super) fn left(connection: &mut Connection, day: Day) -> anyhow::Result<(u64, u64)> {
    let names: Vec<String> = HISTORY
        .iter()
        .map(|(table, _)| format!("'{}'", day.partition(table)))
        .collect();
    let of = |more: &str| {
        format!(
            "select count(*) from pg_class c where relkind = 'r' and relname in ({}){more}",
            names.join(", ")
        )
    };
    let seen =
        " and exists (select 1 from pg_inherits i where i.inhrelid = c.oid and not i.inhdetachpending)";
    Ok((number(connection, &of(seen))?, number(connection, &of(""))?))
}

/// Bytes on disk of a day in all tables, with indexes.
pub(super) fn bytes(connection: &mut Connection, day: Day) -> anyhow::Result<u64> {
    let sizes: Vec<String> = HISTORY
        .iter()
        .map(|(table, _)| {
            format!(
                "coalesce(pg_total_relation_size(to_regclass('{}')), 0)",
                day.partition(table)
            )
        })
        .collect();
    number(connection, &format!("select ({})::bigint", sizes.join(" + ")))
}

/// Where the log of what is written stands, in bytes.
pub(super) fn wal(connection: &mut Connection) -> anyhow::Result<u64> {
    number(
        connection,
        "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_with_its_milliseconds() {
        // 2026-11-22.
        assert_eq!(Day(20_779).first_id(), "01a2008d-7400-0000-0000-000000000000");
        assert_eq!(Day(20_779).partition("messages"), "messages_p20779");
    }
}

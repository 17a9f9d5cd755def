//! Writing on PostgreSQL: one statement, which is its own transaction, and one more if somebody was there before.
//!
//! By sqlx and not by a statement of the ORM, whose arrays cannot hold nulls.

use postrider_application::ports::{StoreError, WriteError, Written};
use postrider_domain::messages::TraceParent;
use sqlx::{
    Encode, PgConnection, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgTypeInfo},
};
use uuid::Uuid;

use super::{
    Found, all_durable,
    batch::{Answers, Batch, Row},
    by_kind, not_committed,
};
use crate::{
    SqlStore,
    codec::micros,
    connection::postgres_now,
    error::{OrStoreError as _, not_had, write_failed},
};

/// The plan must be good for batches of any size: the server makes one for all of them, and takes an array to have ten
/// elements. So nothing is joined with the batch, which at ten rows is best done by comparing each with each; rows that
/// were stored are looked up in a hash table, which is what `IN` is where it cannot become a join (`IS TRUE` sees to
/// that). Payloads are one value, of which each row gets its piece: as elements of an array they would be copied again
/// at each step.
///
/// The limit limits nothing. Where its value is not known, the server takes it for a tenth of the rows, so that the
/// plan for all batches seems as cheap as one for a batch of one row; otherwise it would plan small batches anew each
/// time, for longer than it takes to write them.
///
/// A message that is there already must be this one: a rerun. If another has its id, the statement divides by zero, and
/// nothing is written.
const WRITE: &str = concat!(
    "WITH new AS MATERIALIZED (
        SELECT * FROM unnest(
            $1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[],
            $9::bigint[], $10::text[], $11::bigint[], $12::int[], $13::bytea[], $14::bytea[], $15::bigint[], $17::bigint[]
        ) AS new (id, tenant, app, event_type, channels, event_id, content_type, payload_bytes,
            created_at, trace, owner, begins, key_hash, body_hash, remembered_for,
            deliver_at)
        LIMIT cardinality($1::uuid[])
    ),
    taken AS (
        INSERT INTO dedup AS old (tenant, app, key_hash, body_hash, message, expires_at)
        SELECT tenant, app, key_hash, body_hash, id, ",
    postgres_now!(),
    " + remembered_for FROM new WHERE key_hash IS NOT NULL
        ON CONFLICT (tenant, app, key_hash) DO UPDATE SET body_hash = excluded.body_hash,
            message = excluded.message, expires_at = excluded.expires_at
        WHERE old.expires_at <= ",
    postgres_now!(),
    " RETURNING message
    ),
    stored AS (
        INSERT INTO messages AS old
            (id, tenant, app, event_type, channels, event_id, content_type, payload_bytes, created_at, trace,
                deliver_at)
        SELECT id, tenant, app, event_type, channels::jsonb, event_id, content_type, payload_bytes, created_at, trace,
            deliver_at
        FROM new WHERE key_hash IS NULL OR id IN (SELECT message FROM taken)
        ON CONFLICT (id) DO UPDATE SET tenant = old.tenant
        WHERE 1 / ((old.tenant, old.app, old.event_type, old.channels, old.event_id, old.content_type,
                old.payload_bytes, old.created_at, old.deliver_at)
            IS NOT DISTINCT FROM (excluded.tenant, excluded.app, excluded.event_type, excluded.channels,
                excluded.event_id, excluded.content_type, excluded.payload_bytes, excluded.created_at,
                excluded.deliver_at))::int = 0
        RETURNING id, tenant, app
    ),
    bodies AS (
        INSERT INTO payloads (message, tenant, body)
        SELECT id, tenant, substr($16::bytea, begins, payload_bytes) FROM new WHERE (id IN (SELECT id FROM stored)) IS TRUE
    ),
    queued AS (
        INSERT INTO outbox_work
            (id, tenant, app, message, due_at, owner, claim, attempts, failures, payload_bytes)
        SELECT id, tenant, app, id, greatest(",
    postgres_now!(),
    ", deliver_at), owner, 0, 0, 0, payload_bytes FROM new WHERE (id IN (SELECT id FROM stored)) IS TRUE
    )
    SELECT id, coalesce((SELECT endpoints_version FROM applications a
        WHERE a.tenant = stored.tenant AND a.id = stored.app), 0) FROM stored"
);

/// Who was there before. A message of the same id is this one if it is of the same application: otherwise the statement
/// before would have failed, unless it did not come to write this one because of its key.
///
/// The plan is made once, perhaps for tables that are empty, and must reach each row by its key even so. What could
/// become a join with all keys, or a hash of all messages, is therefore a question for each row (`OFFSET` and the
/// subselect see to that), and what expired is told from what is found.
const LOOK: &str = concat!(
    "SELECT new.number, (SELECT true FROM messages m
            WHERE m.id = new.id AND m.tenant = new.tenant AND m.app = new.app) IS NOT NULL AS itself,
        coalesce((SELECT endpoints_version FROM applications a
            WHERE a.tenant = new.tenant AND a.id = new.app), 0) AS endpoints_version,
        d.message, d.body_hash
     FROM unnest($1::int[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bytea[])
        AS new (number, id, tenant, app, key_hash)
     LEFT JOIN LATERAL (
        SELECT k.message, k.body_hash, k.expires_at FROM dedup k
        WHERE k.tenant = new.tenant AND k.app = new.app AND k.key_hash = new.key_hash OFFSET 0
     ) AS d ON d.expires_at > ",
    postgres_now!()
);

/// The payloads of a batch as one value, copied once: to where the statement is sent from.
struct Payloads<'b>(&'b Batch<'b>);

impl Type<Postgres> for Payloads<'_> {
    fn type_info() -> PgTypeInfo {
        <[u8] as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Payloads<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        for payload in self.0.payloads() {
            buffer.extend_from_slice(payload);
        }
        Ok(IsNull::No)
    }

    fn size_hint(&self) -> usize {
        self.0.payload_bytes()
    }
}

/// A row of [`LOOK`]: its number, whether it is there itself, the version of its application's endpoints, and who holds
/// its key.
type Looked = (i32, bool, i64, Option<Uuid>, Option<Vec<u8>>);

impl Batch<'_> {
    fn column<'s, T>(&'s self, of: impl Fn(&'s Row<'s>) -> T) -> Vec<T> {
        self.rows.iter().map(of).collect()
    }

    async fn write(&self, connection: &mut PgConnection) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
        sqlx::query_as(WRITE)
            .bind(self.column(|row| row.id))
            .bind(self.column(|row| row.tenant))
            .bind(self.column(|row| row.app))
            .bind(self.column(|row| row.message.event_type.as_str()))
            .bind(self.column(|row| &*row.channels))
            .bind(self.column(|row| row.message.event_id.as_deref()))
            .bind(self.column(|row| row.message.payload.content_type().as_str()))
            .bind(self.column(|row| row.payload_bytes))
            .bind(self.column(|row| row.message.created_at.as_micros()))
            .bind(self.column(|row| row.message.trace.as_ref().map(TraceParent::as_str)))
            .bind(self.column(|row| row.owner))
            .bind(self.column(|row| row.begins))
            .bind(self.column(|row| row.dedup.map(|dedup| dedup.key_hash.as_slice())))
            .bind(self.column(|row| row.dedup.map(|dedup| dedup.body_hash.as_slice())))
            .bind(self.column(|row| row.dedup.map(|dedup| micros(dedup.window))))
            .bind(Payloads(self))
            .bind(self.column(|row| row.deliver_at))
            .fetch_all(connection)
            .await
    }
}

/// Looks who was there before the rows that have no answer yet.
async fn look(answers: &mut Answers<'_>, connection: &mut PgConnection) -> Result<(), StoreError> {
    let missing = answers.missing();
    if missing.is_empty() {
        return Ok(());
    }
    let row = |(_, row): &(i32, &Row<'_>)| (row.id, (row.tenant, row.app));
    let (ids, (tenants, apps)): (Vec<Uuid>, (Vec<Uuid>, Vec<Uuid>)) = missing.iter().map(row).unzip();
    let numbers: Vec<i32> = missing.iter().map(|(number, _)| *number).collect();
    let keys = missing.iter().map(|(_, row)| row.dedup);
    let keys: Vec<Option<&[u8]>> = keys.map(|key| key.map(|key| key.key_hash.as_slice())).collect();
    let looked: Vec<Looked> = sqlx::query_as(LOOK)
        .bind(numbers)
        .bind(ids)
        .bind(tenants)
        .bind(apps)
        .bind(keys)
        .fetch_all(connection)
        .await
        .or_store_error()?;
    for (number, itself, endpoints_version, message, body_hash) in looked {
        let found = Found {
            itself,
            endpoints_version,
            holder: message.zip(body_hash),
        };
        answers.found(number, &found)?;
    }
    Ok(())
}

impl SqlStore {
    pub(super) async fn write_on_postgres(&self, batch: &Batch<'_>) -> Result<Vec<Written>, WriteError> {
        let _operation = self.database.operation();
        let pool = self.database.engine_connections().get_postgres_connection_pool();
        let mut connection = pool.acquire().await.map_err(|error| not_had(&error))?;
        let stored = batch.write(&mut connection).await;
        let stored = stored.map_err(|error| write_failed(&error))?;
        // From here on something is committed, or was before: what fails now, a rerun tells.
        let mut answers = Answers::of(batch, stored).map_err(WriteError::Unknown)?;
        look(&mut answers, &mut connection)
            .await
            .map_err(WriteError::Unknown)?;
        answers.finish().map_err(WriteError::Unknown)
    }

    /// As above, in a transaction that ends only after it is known who was there before.
    pub(super) async fn write_all_on_postgres(&self, batch: &Batch<'_>) -> Result<Vec<Written>, WriteError> {
        let _operation = self.database.operation();
        let pool = self.database.engine_connections().get_postgres_connection_pool();
        let mut transaction = pool.begin().await.map_err(|error| not_had(&error))?;
        let stored = batch.write(&mut transaction).await;
        let stored = stored.map_err(|error| not_committed(write_failed(&error)))?;
        let mut answers = Answers::of(batch, stored).map_err(WriteError::Refused)?;
        let looked = look(&mut answers, &mut transaction).await;
        looked.map_err(by_kind)?;
        let answers = answers.finish().map_err(WriteError::Refused)?;
        if all_durable(&answers) {
            let committed = transaction.commit().await;
            committed.map_err(|error| write_failed(&error))?;
        } else {
            // If it cannot be said, the server finds the connection closed.
            drop(transaction);
        }
        Ok(answers)
    }
}

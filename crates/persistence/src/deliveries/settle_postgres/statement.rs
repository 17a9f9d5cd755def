//! The one statement that settles a batch, whatever is in it. Its parameters are [`super::columns::Columns`], in their
//! order.

use crate::connection::postgres_now;

/// Only rows that are still held, under that claim, are gone; everything else is written for those alone. A plan that
/// was made for an empty queue stays when the queue has grown, and must reach each row by its key even so: by the array
/// of keys, once, and neither by the index on owners (hence the plus), nor by a join, whose order is a guess. Claims are
/// compared in a hash (a join again, but for `IS TRUE`). A settlement that is not about its row divides by zero, and the
/// batch fails whole: better than a delivery that is recorded for another.
///
/// The health of endpoints is looked at once for each endpoint of the batch, and written when it changes. Nobody waits
/// for whoever deletes the same row: it is gone either way; nor in order to note a last failure: whoever has the row
/// notes it too, or deletes it, and if not, the next batch notes it. A row whose last failure is recent is neither
/// written nor locked. Those that begin to fail are written in the order of their ids, so that two nodes do not wait for
/// each other; should they nevertheless, one of them settles again. An endpoint that was disabled or deleted while the
/// attempt was under way leaves no row that nobody would remove.
macro_rules! settle {
    ($begun:literal, $tried:literal) => {
        concat!(
            "WITH gone AS (
                DELETE FROM outbox_work w
                WHERE w.id = ANY ($2) AND w.owner + 0 = $1
                    AND ((w.id, w.claim) IN (SELECT * FROM unnest($2::uuid[], $3::int[]))) IS TRUE
                RETURNING w.id, w.claim, w.tenant, w.app, w.message, w.endpoint, w.due_at, w.seq, w.payload_bytes,
                    w.attempts AS attempts_before
            ),
            held AS MATERIALIZED (
                SELECT g.*, s.place,
                    1 / (CASE WHEN g.endpoint IS NULL THEN coalesce(s.to_message = g.message, true)
                         ELSE coalesce(s.to_message = g.message AND s.only_endpoint = g.endpoint, false)
                         END)::int AS about
                FROM unnest($2::uuid[], $3::int[], $4::uuid[], $5::uuid[])
                    WITH ORDINALITY AS s (row_id, row_claim, to_message, only_endpoint, place)
                JOIN gone g ON g.id = s.row_id AND g.claim = s.row_claim
            ),
            done AS MATERIALIZED (
                SELECT g.tenant, g.app, g.message, g.seq, g.payload_bytes, g.attempts_before, c.*
                FROM unnest(
                    $6::int[], $7::uuid[], $8::text[], $9::text[], $10::int[], $11::int[], $12::uuid[], $13::bigint[],
                    $14::bigint[], $15::bigint[], $16::text[], $17::int[], $18::bytea[], $19::bool[], $26::text[]
                ) AS c (
                    place, endpoint, status, reason, attempts, failures, retry_id, retry_after,
                    started_at, latency_us, failure, http_status, body, truncated, headers
                ) JOIN held g ON g.place = c.place
            ),
            begun AS (
                INSERT INTO deliveries
                    (message, endpoint, tenant, app, status, reason, due_at, attempts, failures, updated_at)
                SELECT message, endpoint, tenant, app, status, reason, ",
            postgres_now!(),
            " + retry_after, attempts, failures, ",
            postgres_now!(),
            " FROM done WHERE ",
            $begun,
            "
            ),
            went_on AS (
                INSERT INTO deliveries
                    (message, endpoint, tenant, app, status, reason, due_at, attempts, failures, updated_at)
                SELECT message, endpoint, tenant, app, status, reason, ",
            postgres_now!(),
            " + retry_after, attempts, failures, ",
            postgres_now!(),
            " FROM done WHERE NOT (",
            $begun,
            ")
                ON CONFLICT (message, endpoint) DO UPDATE SET status = excluded.status, reason = excluded.reason,
                    due_at = excluded.due_at, attempts = excluded.attempts, failures = excluded.failures,
                    updated_at = excluded.updated_at
            ),
            tried AS (
                INSERT INTO attempts
                    (message, endpoint, n, tenant, started_at, latency_us, failure, http_status, body, body_truncated,
                    response_headers)
                SELECT message, endpoint, attempts, tenant, started_at, latency_us, failure, http_status, body, truncated,
                    headers
                FROM done WHERE started_at IS NOT NULL ",
            $tried,
            "
            ),
            retried AS (
                INSERT INTO outbox_work (
                    id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, seq, payload_bytes
                )
                SELECT retry_id, tenant, app, message, endpoint, ",
            postgres_now!(),
            " + retry_after, 0, 0, attempts, failures, seq, payload_bytes FROM done WHERE retry_id IS NOT NULL
            ),
            opened AS (
                INSERT INTO outbox_work (
                    id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, seq, payload_bytes
                )
                SELECT o.id, g.tenant, g.app, g.message, o.endpoint, g.due_at, o.owner, o.claim, 0, 0, g.seq,
                    g.payload_bytes
                FROM unnest($20::int[], $21::uuid[], $22::uuid[], $23::bigint[], $24::int[])
                    AS o (place, id, endpoint, owner, claim)
                JOIN held g ON g.place = o.place
            ),
            healthy AS MATERIALIZED (
                SELECT DISTINCT endpoint FROM done WHERE started_at IS NOT NULL AND failure IS NULL
            ),
            healed AS (
                DELETE FROM endpoint_failures WHERE endpoint = ANY (ARRAY(
                    SELECT f.endpoint FROM endpoint_failures f
                    WHERE f.endpoint = ANY (ARRAY(SELECT endpoint FROM healthy)) FOR UPDATE SKIP LOCKED
                ))
            ),
            ill AS MATERIALIZED (
                SELECT DISTINCT ON (endpoint) endpoint, tenant, app FROM done
                WHERE failure <> 'internal' AND http_status IS DISTINCT FROM 410
                    AND endpoint <> ALL (ARRAY(SELECT endpoint FROM healthy))
            ),
            still_failing AS (
                UPDATE endpoint_failures SET last_at = ",
            postgres_now!(),
            " WHERE endpoint = ANY (ARRAY(
                    SELECT f.endpoint FROM endpoint_failures f
                    WHERE f.endpoint = ANY (ARRAY(SELECT endpoint FROM ill)) AND f.last_at <= ",
            postgres_now!(),
            " - $25 FOR UPDATE SKIP LOCKED
                ))
            ),
            failing AS (
                INSERT INTO endpoint_failures (endpoint, tenant, app, since, last_at)
                SELECT d.endpoint, d.tenant, d.app, ",
            postgres_now!(),
            ", ",
            postgres_now!(),
            " FROM ill d
                WHERE (SELECT true FROM endpoint_failures f WHERE f.endpoint = d.endpoint) IS NULL
                    AND (
                        SELECT e.disabled_at IS NULL FROM endpoints e
                        WHERE e.tenant = d.tenant AND e.app = d.app AND e.id = d.endpoint
                    )
                ORDER BY d.endpoint
                ON CONFLICT (endpoint) DO NOTHING
            )
            SELECT id FROM held WHERE about = 1"
        )
    };
}

/// A first attempt finds no history, as a rule, and is written without looking for it: that is a third of all the
/// cost. Whose history is there after all (a delivery that was cancelled and is sent again), that is refused.
pub(super) const SETTLE: &str = settle!("attempts_before = 0", "");
/// The same for whatever history there is. An attempt of a number that is there already is not written over: history
/// is never changed.
pub(super) const SETTLE_OVER_HISTORY: &str =
    settle!("false", "ON CONFLICT (message, endpoint, n) DO NOTHING");

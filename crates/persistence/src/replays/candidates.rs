//! What a replay looks at: the next messages of its application, or failed deliveries of its endpoint.

use postrider_application::ports::{ReplayLimits, StoreError};
use postrider_domain::{
    ApplicationId, Timestamp,
    endpoints::Filter,
    event_types::EventTypeName,
    replays::{ReplayMode, ReplayState},
};
use sea_orm::{ConnectionTrait as _, FromQueryResult, Value};
use uuid::Uuid;

use crate::{
    codec::StoredTexts,
    connection::{Dialect, Transaction},
    error::{OrStoreError as _, corrupt},
    times_of_ids::{least_id_beyond, least_id_from},
};

/// What makes a message `m` one that can be sent to that endpoint: its payload is there, nobody has cancelled it, its
/// time has come, and it is not another endpoint's alone.
macro_rules! deliverable {
    ($endpoint:literal) => {
        concat!(
            "(m.cancelled_at IS NULL AND m.payload_expunged_at IS NULL
            AND (m.deliver_at IS NULL OR m.deliver_at <= {now})
            AND (m.only_endpoint IS NULL OR m.only_endpoint = ",
            $endpoint,
            ") AND EXISTS (SELECT 1 FROM payloads p WHERE p.message = m.id))"
        )
    };
}
pub(super) use deliverable;

/// What is selected of a candidate: the message `m`, its delivery `d` if there is one, whether it is queued for the
/// endpoint, and in how many microseconds its fan-out is due, if that is still to be done.
macro_rules! candidate {
    () => {
        concat!(
            "m.id, m.event_type, m.channels, d.status, ",
            deliverable!("$4"),
            " AS deliverable,
            EXISTS (SELECT 1 FROM outbox_work w WHERE w.message = m.id AND w.endpoint = $4) AS queued,
            (SELECT w.due_at - {now} FROM outbox_work w WHERE w.id = m.id) AS fan_out_in"
        )
    };
}

/// The application's messages, by id: by their own index.
const MESSAGES: &str = concat!(
    "SELECT ",
    candidate!(),
    " FROM messages m LEFT JOIN deliveries d ON d.message = m.id AND d.endpoint = $4
        AND d.message > $1 AND d.message <= $2
    WHERE m.id > $1 AND m.id <= $2 AND m.tenant = {tenant} AND m.app = $3
        AND m.created_at >= $5 AND m.created_at < $6
    ORDER BY m.id LIMIT $7"
);

/// The last of so many deliveries of the endpoint that are not delivered: how far one step looks, by their index, in
/// which what is pending is too.
const WINDOW: &str = "
SELECT d.message FROM deliveries d
WHERE d.message > $1 AND d.message <= $2 AND d.tenant = {tenant} AND d.app = $3 AND d.endpoint = $4
    AND d.status <> 'delivered'
ORDER BY d.message LIMIT 1 OFFSET $5";

/// Deliveries that came to no good end, by their index.
const FAILED: &str = concat!(
    "SELECT ",
    candidate!(),
    " FROM deliveries d JOIN messages m ON m.id = d.message AND m.tenant = d.tenant
    WHERE d.message > $1 AND d.message <= $2 AND d.tenant = {tenant} AND d.app = $3 AND d.endpoint = $4
        AND d.status <> 'delivered' AND d.status IN ('failed', 'cancelled')
        AND m.created_at >= $5 AND m.created_at < $6
    ORDER BY d.message LIMIT $7"
);

/// A fan-out that is due later than this is one that was meant to be (a scheduled message): it is not waited for, and
/// finds the endpoint by itself. Microseconds.
const SCHEDULED: i64 = 60_000_000;

#[derive(FromQueryResult)]
struct Last {
    message: Uuid,
}

#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    event_type: String,
    channels: StoredTexts,
    status: Option<String>,
    deliverable: bool,
    queued: bool,
    fan_out_in: Option<i64>,
}

/// A message that is to be queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) message: Uuid,
    /// Whether there is a delivery already, whose attempts are counted on.
    pub(super) has_history: bool,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) wanted: Vec<Wanted>,
    pub(super) considered: u64,
    /// The last message that was looked at.
    pub(super) cursor: Option<Uuid>,
    pub(super) then: Then,
}

/// Why no more was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Then {
    /// The step is full.
    #[default]
    More,
    /// There is no more.
    End,
    /// The next message is still being fanned out.
    FanOut,
}

/// Where to look.
pub(super) struct Search<'s> {
    pub(super) transaction: &'s Transaction,
    pub(super) dialect: Dialect,
    pub(super) replay: &'s ReplayState,
    pub(super) filter: &'s Filter,
    pub(super) limits: &'s ReplayLimits,
    /// The most messages to queue.
    pub(super) room: u32,
    pub(super) now: Timestamp,
}

impl Search<'_> {
    /// Looks at the next candidates until the step is full.
    pub(super) async fn look(&self) -> Result<Found, StoreError> {
        let mut found = Found::default();
        let beyond = Uuid::from_u128(least_id_beyond(self.replay.to).as_u128().saturating_sub(1));
        // Ids of that very number are of no message.
        let first = Uuid::from_u128(least_id_from(self.replay.from).as_u128().saturating_sub(1));
        let after = self.replay.cursor.map_or(first, |cursor| cursor.as_uuid());
        // Looked for first: what is not in the index any more when the candidates are read, is not passed over.
        let window = match self.replay.mode {
            ReplayMode::Failed => self.window(after, beyond).await?,
            ReplayMode::All | ReplayMode::Missing => None,
        };
        let rows = self.candidates(after, window.unwrap_or(beyond)).await?;
        let full = rows.len() >= self.limits.batch as usize;
        for row in rows {
            let id = row.id;
            if !self.consider(&row, &mut found)? {
                return Ok(found);
            }
            found.cursor = Some(id);
        }
        match window {
            _ if full => {}
            Some(last) => found.cursor = Some(last),
            None => found.then = Then::End,
        }
        Ok(found)
    }

    async fn window(&self, after: Uuid, until: Uuid) -> Result<Option<Uuid>, StoreError> {
        let replay = self.replay;
        let values: [Value; 5] = [
            after.into(),
            until.into(),
            ApplicationId::as_uuid(&replay.application).into(),
            replay.endpoint.as_uuid().into(),
            i64::from(self.limits.batch.saturating_sub(1)).into(),
        ];
        let statement = self.dialect.of_tenant(replay.tenant, WINDOW, values)?;
        let row = self.transaction.query_one_raw(statement).await.or_store_error()?;
        let last = row.map(|row| Last::from_query_result(&row, ""));
        Ok(last.transpose().or_store_error()?.map(|last| last.message))
    }

    async fn candidates(&self, after: Uuid, until: Uuid) -> Result<Vec<Row>, StoreError> {
        let replay = self.replay;
        let sql = match replay.mode {
            ReplayMode::Failed => FAILED,
            ReplayMode::All | ReplayMode::Missing => MESSAGES,
        };
        let values: [Value; 7] = [
            after.into(),
            until.into(),
            ApplicationId::as_uuid(&replay.application).into(),
            replay.endpoint.as_uuid().into(),
            replay.from.as_micros().into(),
            replay.to.as_micros().into(),
            i64::from(self.limits.batch).into(),
        ];
        let statement = self.dialect.of_tenant(replay.tenant, sql, values)?;
        let rows = self.transaction.query_all_raw(statement).await.or_store_error()?;
        rows.iter()
            .map(|row| Row::from_query_result(row, "").or_store_error())
            .collect()
    }

    /// Notes a candidate; not if nothing more may be looked at before something has happened.
    fn consider(&self, row: &Row, found: &mut Found) -> Result<bool, StoreError> {
        if found.wanted.len() >= self.room as usize {
            return Ok(false);
        }
        let fans_out = row.fan_out_in.is_some_and(|due| due <= SCHEDULED);
        if fans_out && self.now.since(self.replay.created_at) < self.limits.patience {
            found.then = Then::FanOut;
            return Ok(false);
        }
        found.considered += 1;
        let under_way = row.queued || row.fan_out_in.is_some();
        if row.deliverable && !under_way && self.is_wanted(row)? {
            found.wanted.push(Wanted {
                message: row.id,
                has_history: row.status.is_some(),
            });
        }
        Ok(true)
    }

    fn is_wanted(&self, row: &Row) -> Result<bool, StoreError> {
        match (self.replay.mode, row.status.as_deref()) {
            // It is queued, or about to be.
            (_, Some("pending")) | (ReplayMode::Missing, Some(_)) => return Ok(false),
            // It was wanted when it was fanned out, and was selected as one that failed.
            (ReplayMode::Failed, _) => return Ok(true),
            (ReplayMode::All, _) | (ReplayMode::Missing, None) => {}
        }
        let event_type = EventTypeName::parse(&row.event_type);
        let event_type = event_type.map_err(|why| corrupt("event type of a message", why))?;
        Ok(self
            .filter
            .wants(&event_type, &row.channels.read_message_channels()?))
    }
}

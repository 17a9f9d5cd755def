//! What the operator sees of how the installation runs: never payloads.

use std::time::Duration;

use postrider_application::{
    access::OperatorScope,
    ports::{
        DeadLetterId, DeadLetterRepository, DeadLetterView, EndpointHealth as _, Epoch, NodeView,
        OperatorViews, Page, PageRequest, QueueDepth, Start, StatusView, StoreError, SubscriberView,
    },
};
use postrider_domain::TenantId;
use sea_orm::{ConnectionTrait as _, FromQueryResult, Statement};
use uuid::Uuid;

use super::dead_letters::{DISCARDED, HELD_BACK, RETRIED};
use crate::{
    SqlStore, SqlUnitOfWork,
    codec::{read_count, timestamp},
    error::{OrStoreError as _, fault},
    paging::{self, Order, reading},
};

const NODES: &str = "
SELECT epoch, joined_at, lease_until - {now} AS lease_us, seen_pos FROM nodes WHERE NOT dead ORDER BY epoch LIMIT $1";

/// Each part up to a bound, by its index: a long queue is not counted to its end.
const QUEUE: &str = "
SELECT 'due' AS part, CAST(count(*) AS integer) AS depth FROM
    (SELECT 1 FROM outbox_work WHERE owner = 0 AND due_at <= {now} LIMIT $1) AS due
UNION ALL SELECT 'scheduled', CAST(count(*) AS integer) FROM
    (SELECT 1 FROM outbox_work WHERE owner = 0 AND due_at > {now} LIMIT $1) AS scheduled
UNION ALL SELECT 'parked', CAST(count(*) AS integer) FROM
    (SELECT 1 FROM outbox_work WHERE owner = -1 LIMIT $1) AS parked
UNION ALL SELECT 'held', CAST(count(*) AS integer) FROM
    (SELECT 1 FROM outbox_work WHERE owner > 0 LIMIT $1) AS held";
const PARTS: [&str; 4] = ["due", "scheduled", "parked", "held"];

const SUBSCRIBERS: &str = "
SELECT c.subscriber, c.position, coalesce((SELECT max(pos) FROM outbox_events), 0) AS head,
    (SELECT n.epoch FROM nodes n WHERE n.epoch = c.owner AND NOT n.dead AND n.lease_until > {now}) AS node,
    (SELECT CAST(count(*) AS bigint) FROM dead_letters d WHERE d.subscriber = c.subscriber AND d.attempts > 0
        AND NOT d.discarded) AS dead_letters,
    (SELECT CAST(count(*) AS bigint) FROM dead_letters d WHERE d.subscriber = c.subscriber AND d.attempts = 0)
        AS held_back
FROM relay_cursors c ORDER BY c.subscriber";

const HEAD: &str = "SELECT coalesce(max(pos), 0) AS head FROM outbox_events";

const LETTERS: &str = "
SELECT d.subscriber, d.position, d.tenant, d.aggregate, d.kind, d.attempts, d.error, d.again, d.set_aside_at,
    (SELECT CAST(count(*) AS integer) FROM dead_letters w WHERE w.subscriber = d.subscriber
        AND w.aggregate = d.aggregate AND w.attempts = 0
        AND (w.tenant = d.tenant OR (w.tenant IS NULL AND d.tenant IS NULL))) AS holds_back
FROM dead_letters d WHERE d.attempts > 0 AND NOT d.discarded AND (d.position, d.subscriber) {beyond} ($1, $2)
ORDER BY d.position {order}, d.subscriber {order} LIMIT $3";

#[derive(FromQueryResult)]
struct NodeRow {
    epoch: i64,
    joined_at: i64,
    lease_us: i64,
    seen_pos: Option<i64>,
}

#[derive(FromQueryResult)]
struct DepthRow {
    part: String,
    depth: i32,
}

#[derive(FromQueryResult)]
struct SubscriberRow {
    subscriber: String,
    position: i64,
    head: i64,
    node: Option<i64>,
    dead_letters: i64,
    held_back: i64,
}

#[derive(FromQueryResult)]
struct Head {
    head: i64,
}

#[derive(FromQueryResult)]
struct LetterRow {
    subscriber: String,
    position: i64,
    tenant: Option<Uuid>,
    aggregate: String,
    kind: String,
    attempts: i32,
    error: Option<String>,
    again: bool,
    set_aside_at: i64,
    holds_back: i32,
}

impl LetterRow {
    fn read(self) -> Result<DeadLetterView, StoreError> {
        Ok(DeadLetterView {
            id: DeadLetterId {
                position: self.position,
                subscriber: self.subscriber,
            },
            tenant: self.tenant.map(TenantId::from_uuid),
            kind: self.kind,
            aggregate: self.aggregate,
            attempts: read_count("attempts", self.attempts)?,
            error: self.error.unwrap_or_default(),
            set_aside_at: timestamp(self.set_aside_at),
            holds_back: read_count("count of events", self.holds_back)?,
            again: self.again,
        })
    }
}

impl SqlStore {
    async fn all<R: FromQueryResult>(&self, statement: Statement) -> Result<Vec<R>, StoreError> {
        let rows = self.rows_of_relay(statement).await?;
        rows.iter()
            .map(|row| R::from_query_result(row, "").or_store_error())
            .collect()
    }

    async fn nodes_view(&self) -> Result<Vec<NodeView>, StoreError> {
        let most = [i64::from(StatusView::MOST).into()];
        let nodes = self.database.dialect().statement(NODES, most);
        let nodes: Vec<NodeRow> = self.all(nodes).await?;
        let view = |row: NodeRow| NodeView {
            epoch: Epoch(row.epoch),
            joined_at: timestamp(row.joined_at),
            lease_us: row.lease_us,
            seen: row.seen_pos,
        };
        Ok(nodes.into_iter().map(view).collect())
    }

    async fn queue_view(&self) -> Result<Vec<QueueDepth>, StoreError> {
        // On SQLite a part of a union with a limit stands in a select of its own, as each does here anyway.
        let most = [i64::from(QueueDepth::MOST).into()];
        let depths = self.database.dialect().statement(QUEUE, most);
        let rows: Vec<DepthRow> = self.all(depths).await?;
        let depth = |part: &'static str| {
            let row = rows.iter().find(|row| row.part == part);
            let row = row.ok_or_else(|| fault("a part of the queue was not counted"))?;
            Ok(QueueDepth {
                part,
                rows: read_count("depth of the queue", row.depth)?,
            })
        };
        PARTS.into_iter().map(depth).collect()
    }

    async fn subscribers_view(&self) -> Result<Vec<SubscriberView>, StoreError> {
        let subscribers = self.database.dialect().statement(SUBSCRIBERS, []);
        let rows: Vec<SubscriberRow> = self.all(subscribers).await?;
        // Counts are not negative.
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let view = |row: SubscriberRow| SubscriberView {
            lag: (row.head - row.position).max(0),
            name: row.subscriber,
            position: row.position,
            node: row.node.map(Epoch),
            dead_letters: count(row.dead_letters),
            held_back: count(row.held_back),
        };
        Ok(rows.into_iter().map(view).collect())
    }
}

impl OperatorViews for SqlStore {
    async fn status(&self, _: &OperatorScope) -> Result<StatusView, StoreError> {
        let head: Vec<Head> = self.all(self.database.dialect().exactly(HEAD, [])).await?;
        Ok(StatusView {
            nodes: self.nodes_view().await?,
            head: head.first().map_or(0, |row| row.head),
            queue: self.queue_view().await?,
            subscribers: self.subscribers_view().await?,
            failing: self.failing_for(Duration::ZERO, StatusView::MOST).await?,
        })
    }

    async fn dead_letters(
        &self,
        _: &OperatorScope,
        page: PageRequest<DeadLetterId>,
    ) -> Result<Page<DeadLetterView, DeadLetterId>, StoreError> {
        let (position, subscriber) = match &page.start {
            Start::Beginning => (0, String::new()),
            Start::After(key) | Start::Before(key) => (key.position, key.subscriber.clone()),
        };
        let sql = reading(LETTERS, Order::Ascending, &page);
        let values = [position.into(), subscriber.into(), paging::limit(&page)];
        let letters = self.database.dialect().exactly(sql, values);
        let rows: Vec<LetterRow> = self.all(letters).await?;
        let letters = rows.into_iter().map(LetterRow::read).collect::<Result<_, _>>()?;
        Ok(Page::of(letters, &page, |letter: &DeadLetterView| {
            letter.id.clone()
        }))
    }
}

impl DeadLetterRepository for SqlUnitOfWork {
    async fn deliver_again(&mut self, scope: &OperatorScope, id: &DeadLetterId) -> Result<bool, StoreError> {
        self.operator(scope)?;
        let values = [id.subscriber.as_str().into(), id.position.into()];
        let retried = self.dialect.exactly(RETRIED, values);
        let retried = self.transaction.execute_raw(retried).await.or_store_error()?;
        let found = retried.rows_affected() > 0;
        if found {
            self.wake_relay().await?;
        }
        Ok(found)
    }

    async fn discard(&mut self, scope: &OperatorScope, id: &DeadLetterId) -> Result<Option<u32>, StoreError> {
        self.operator(scope)?;
        let values = || [id.subscriber.as_str().into(), id.position.into()];
        let discarded = self.dialect.exactly(DISCARDED, values());
        let discarded = self.transaction.execute_raw(discarded).await.or_store_error()?;
        if discarded.rows_affected() == 0 {
            return Ok(None);
        }
        self.wake_relay().await?;
        let held_back = self.dialect.exactly(HELD_BACK, values());
        let rows = self.transaction.query_all_raw(held_back).await.or_store_error()?;
        let count = rows.first().map(|row| row.try_get::<i32>("", "events"));
        let count = count.transpose().or_store_error()?.unwrap_or(0);
        Ok(Some(read_count("count of events", count)?))
    }
}

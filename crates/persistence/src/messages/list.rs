//! Lists of an application's messages, the newest first, by the index on application and id.
//!
//! A filter may let nothing through for as long as the history is. So a request looks at no more than
//! [`MOST_LOOKED_AT`] messages; what it found is a page, though it be short or empty, and the next one begins where it
//! stopped looking.

use postrider_application::ports::{
    MessageFilter, MessageStatus, MessageView, Page, PageRequest, StoreError,
};
use postrider_domain::{ApplicationId, MessageId, TenantId};
use sea_orm::{ConnectionTrait as _, FromQueryResult, Value};
use uuid::Uuid;

use super::row::{SHOWN, ShownRow};
use crate::{
    SqlStore,
    connection::{Dialect, Scope},
    error::OrStoreError as _,
    paging::{Order, id_bound, limit, reading},
    times_of_ids::{least_id_beyond, least_id_from},
};

/// How many messages a request looks at.
const MOST_LOOKED_AT: u64 = 10_000;

/// Which messages are looked at: `$1` application, `$2` where the page begins, `$3` and `$4` the first and last id. By ids
/// that are as far from their time as anywhere else: what is beyond the times is looked at in vain, and counts.
const LOOKED_AT: &str = "FROM messages
    WHERE app = $1 AND tenant = {tenant} AND id {beyond} $2 AND id >= $3 AND id <= $4 ORDER BY id {order}";

/// What is wanted of what is looked at.
struct Wanted {
    conditions: String,
    values: Vec<Value>,
}

impl Wanted {
    /// After as many parameters as `values` are.
    fn by(filter: &MessageFilter, dialect: Dialect, values: Vec<Value>) -> Self {
        let mut wanted = Self {
            conditions: String::new(),
            values,
        };
        if let Some(from) = filter.from {
            wanted.and("m.created_at >= {}", from.as_micros());
        }
        if let Some(to) = filter.to {
            wanted.and("m.created_at < {}", to.as_micros());
        }
        if let Some(event_type) = &filter.event_type {
            wanted.and("m.event_type = {}", event_type.as_str());
        }
        if let Some(event_id) = &filter.event_id {
            wanted.and("m.event_id = {}", event_id.as_str());
        }
        if let Some(channel) = &filter.channel {
            let on = dialect.choose(
                "m.channels @> jsonb_build_array({}::text)",
                "EXISTS (SELECT 1 FROM json_each(m.channels) c WHERE c.value = {})",
            );
            wanted.and(on, channel.as_str());
        }
        wanted.conditions += match filter.status {
            None => "",
            Some(MessageStatus::Cancelled) => " AND m.cancelled_at IS NOT NULL",
            Some(MessageStatus::Scheduled) => " AND m.cancelled_at IS NULL AND m.deliver_at > {now}",
            Some(MessageStatus::Accepted) => {
                " AND m.cancelled_at IS NULL AND (m.deliver_at IS NULL OR m.deliver_at <= {now})"
            }
        };
        wanted
    }

    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        let parameter = format!("${}", self.values.len());
        self.conditions += " AND ";
        self.conditions += &condition.replace("{}", &parameter);
    }
}

/// [`LOOKED_AT`]'s parameters.
fn bounds(application: ApplicationId, filter: &MessageFilter, page: &PageRequest<MessageId>) -> Vec<Value> {
    let first = filter.from.map_or(Uuid::nil(), least_id_from);
    let last = filter.to.map_or(Uuid::max(), least_id_beyond);
    vec![
        application.as_uuid().into(),
        id_bound(Order::Descending, page, MessageId::as_uuid),
        first.into(),
        last.into(),
    ]
}

#[derive(FromQueryResult)]
struct Reached {
    id: Uuid,
}

impl SqlStore {
    pub(super) async fn page_of_messages(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        filter: &MessageFilter,
        page: PageRequest<MessageId>,
    ) -> Result<Page<MessageView, MessageId>, StoreError> {
        let dialect = self.database.dialect();
        let mut values = bounds(application, filter, &page);
        values.push(limit(&page));
        let Wanted { conditions, values } = Wanted::by(filter, dialect, values);
        let sql = format!(
            "SELECT {SHOWN} FROM (SELECT * {LOOKED_AT} LIMIT {MOST_LOOKED_AT}) AS m
             WHERE m.tenant = {{tenant}}{conditions} ORDER BY m.id {{order}} LIMIT $5"
        );
        let sql = reading(&sql, Order::Descending, &page);
        let statement = dialect.of_tenant(tenant, &sql, values)?;
        let connection = self.database.read(Scope::Tenant(tenant)).await?;
        let rows = connection.query_all_raw(statement).await.or_store_error()?;
        let view = |row| {
            let ShownRow { message, fate } = ShownRow::from_query_result(row, "").or_store_error()?;
            message.view(&fate)
        };
        let views = rows.iter().map(view).collect::<Result<Vec<_>, _>>()?;
        let short = (views.len() as u64) < page.rows();
        let mut found = Page::of(views, &page, |view: &MessageView| view.id);
        if !short || *filter == MessageFilter::default() {
            return Ok(found);
        }
        // All of what was looked at is shown. Was that all there is?
        let sql = format!("SELECT id {LOOKED_AT} LIMIT 1 OFFSET {}", MOST_LOOKED_AT - 1);
        let sql = reading(&sql, Order::Descending, &page);
        let statement = dialect.of_tenant(tenant, &sql, bounds(application, filter, &page))?;
        let reached = connection.query_one_raw(statement).await.or_store_error()?;
        if let Some(row) = reached {
            let reached = Reached::from_query_result(&row, "").or_store_error()?;
            let reached = Some(MessageId::from_uuid(reached.id));
            if page.backwards() {
                found.prev = reached;
            } else {
                found.next = reached;
            }
        }
        Ok(found)
    }
}

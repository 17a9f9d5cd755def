//! Deliveries of many messages: three ways to look for them, each by an index.

use postrider_application::{
    access::TenantScope,
    ports::{
        DeliveryFilter, DeliveryKey, DeliveryState, DeliveryViews, ListedDelivery, Page, PageRequest,
        StoreError,
    },
};
use postrider_domain::{ApplicationId, EndpointId, MessageId, Timestamp, access::Visibility};
use sea_orm::{ConnectionTrait as _, FromQueryResult, QueryResult, Value};
use uuid::Uuid;

use super::row::DeliveryRow;
use crate::{
    SqlStore,
    conditions::Conditions,
    connection::Scope,
    error::OrStoreError as _,
    paging::{Order, limit, reading},
    times_of_ids::{least_id_beyond, least_id_from},
};

/// How many of an application's messages, or of the rows of an index, are looked at for a page at most.
const LOOKED_AT: u32 = 2_000;

/// All of a message's deliveries: those with a history, and those that wait in the queue for their first attempt. There
/// is at most one for each endpoint of an application.
const OF_MESSAGE: &str = "
(SELECT d.message, d.endpoint, d.tenant, d.app, d.status, d.reason, d.due_at, d.attempts, d.failures, d.updated_at
    FROM deliveries d WHERE d.message = {message} AND d.tenant = {tenant}
 UNION ALL
 SELECT w.message, w.endpoint, w.tenant, w.app, 'pending', NULL, w.due_at, w.attempts, w.failures, w.due_at
    FROM outbox_work w WHERE w.message = {message} AND w.tenant = {tenant} AND w.endpoint IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.message = w.message AND o.endpoint = w.endpoint)) AS d";

#[derive(FromQueryResult)]
struct Of {
    app: Uuid,
}

#[derive(FromQueryResult)]
struct Last {
    message: Uuid,
    endpoint: Option<Uuid>,
}

/// How to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By the key of a message.
    Message,
    /// By the indexes on what is not delivered, of which there is little.
    Undelivered,
    /// By the application's messages.
    Application,
}

impl Way {
    fn of(filter: &DeliveryFilter) -> Self {
        match (filter.message, filter.state) {
            (Some(_), _) => Self::Message,
            (None, Some(state)) if state != DeliveryState::Delivered => Self::Undelivered,
            (None, _) => Self::Application,
        }
    }
}

/// The condition on the bounds of ids, and on the times that decide, of messages `m`.
fn between(wanted: &mut Conditions, filter: &DeliveryFilter) {
    wanted.and("m.id >=", filter.from.map(least_id_from));
    wanted.and("m.created_at >=", filter.from.map(Timestamp::as_micros));
    wanted.and("m.id <", filter.to.map(least_id_beyond));
    wanted.and("m.created_at <", filter.to.map(Timestamp::as_micros));
}

/// The applications that may be seen, if not all.
fn seen(visible: &Visibility, wanted: &mut Conditions) {
    if let Visibility::Only(applications) = visible {
        let mut places = Vec::new();
        for application in applications {
            wanted.values.push(application.as_uuid().into());
            places.push(format!("${}", wanted.values.len()));
        }
        // No application at all: nothing is seen.
        let list = if places.is_empty() {
            "NULL".to_owned()
        } else {
            places.join(", ")
        };
        wanted.sql.push(format!(" AND d.app IN ({list})"));
    }
}

/// Conditions on deliveries `d` that all ways have.
fn common(visible: &Visibility, filter: &DeliveryFilter, page: &PageRequest<DeliveryKey>) -> Conditions {
    let mut wanted = Conditions::default();
    seen(visible, &mut wanted);
    wanted.and(
        "d.app =",
        filter.application.map(|id| ApplicationId::as_uuid(&id)),
    );
    wanted.and("d.endpoint =", filter.endpoint.map(|id| EndpointId::as_uuid(&id)));
    wanted.and("d.message =", filter.message.map(|id| MessageId::as_uuid(&id)));
    wanted.and("d.status =", filter.state.map(DeliveryState::as_str));
    beyond(&mut wanted, page);
    wanted
}

/// The condition on where the page begins.
fn beyond(wanted: &mut Conditions, page: &PageRequest<DeliveryKey>) {
    if let Some(key) = page.key() {
        wanted
            .values
            .extend([key.message.as_uuid().into(), key.endpoint.as_uuid().into()]);
        let (message, endpoint) = (wanted.values.len() - 1, wanted.values.len());
        // The first condition is the one that an index is entered with.
        wanted.sql.push(format!(
            " AND d.message {{beyond}}= ${message} AND (d.message, d.endpoint) {{beyond}} (${message}, ${endpoint})"
        ));
    }
}

/// Conditions on the rows of an index on what is not delivered, that it is entered and left with. What else is wanted of
/// them is looked at row by row, and only so many are looked at.
fn not_delivered(
    visible: &Visibility,
    filter: &DeliveryFilter,
    page: &PageRequest<DeliveryKey>,
) -> Conditions {
    let mut rows = Conditions::default();
    let only = match visible {
        Visibility::Only(applications) if applications.len() == 1 => applications.first().copied(),
        _ => None,
    };
    rows.and(
        "d.app =",
        filter.application.or(only).map(|id| ApplicationId::as_uuid(&id)),
    );
    rows.and("d.endpoint =", filter.endpoint.map(|id| EndpointId::as_uuid(&id)));
    rows.and("d.message >=", filter.from.map(least_id_from));
    rows.and("d.message <", filter.to.map(least_id_beyond));
    beyond(&mut rows, page);
    rows
}

fn select(
    way: Way,
    visible: &Visibility,
    filter: &DeliveryFilter,
    page: &PageRequest<DeliveryKey>,
) -> (String, Vec<Value>) {
    let mut wanted = common(visible, filter, page);
    let from = match way {
        Way::Message => {
            between(&mut wanted, filter);
            wanted.values.push(filter.message.map(|id| id.as_uuid()).into());
            let of_message = OF_MESSAGE.replace("{message}", &format!("${}", wanted.values.len()));
            format!("{of_message} JOIN messages m ON m.id = d.message AND m.tenant = d.tenant")
        }
        Way::Undelivered => {
            let mut rows = not_delivered(visible, filter, page);
            wanted = Conditions {
                sql: Vec::new(),
                values: std::mem::take(&mut rows.values),
            };
            seen(visible, &mut wanted);
            wanted.and(
                "d.app =",
                filter.application.map(|id| ApplicationId::as_uuid(&id)),
            );
            wanted.and("d.status =", filter.state.map(DeliveryState::as_str));
            between(&mut wanted, filter);
            format!(
                "(SELECT d.* FROM deliveries d WHERE d.tenant = {{tenant}} AND d.status <> 'delivered'{}
                    ORDER BY d.message {{order}}, d.endpoint {{order}} LIMIT {LOOKED_AT}) AS d
                 JOIN messages m ON m.id = d.message AND m.tenant = d.tenant",
                rows.sql.concat()
            )
        }
        Way::Application => {
            let mut messages = Conditions {
                sql: Vec::new(),
                values: wanted.values,
            };
            of_application(&mut messages, filter, page);
            let some = messages.sql.concat();
            wanted.values = messages.values;
            format!(
                "(SELECT m.id FROM messages m WHERE m.tenant = {{tenant}}{some} ORDER BY m.id {{order}} LIMIT {LOOKED_AT}) AS m
                 JOIN deliveries d ON d.message = m.id"
            )
        }
    };
    wanted.values.push(limit(page));
    let sql = format!(
        "SELECT d.message, d.endpoint, d.status, d.reason, d.due_at, d.attempts, d.failures, d.updated_at, d.app
         FROM {from} WHERE d.tenant = {{tenant}}{} ORDER BY d.message {{order}}, d.endpoint {{order}} LIMIT ${}",
        wanted.sql.concat(),
        wanted.values.len()
    );
    (sql, wanted.values)
}

/// Conditions on an application's messages that may be looked at for this page.
fn of_application(messages: &mut Conditions, filter: &DeliveryFilter, page: &PageRequest<DeliveryKey>) {
    messages.and(
        "m.app =",
        filter.application.map(|id| ApplicationId::as_uuid(&id)),
    );
    messages.and("m.id {beyond}=", page.key().map(|key| key.message.as_uuid()));
    between(messages, filter);
}

fn view(row: &QueryResult) -> Result<ListedDelivery, StoreError> {
    let of = Of::from_query_result(row, "").or_store_error()?;
    Ok(ListedDelivery {
        application: ApplicationId::from_uuid(of.app),
        delivery: DeliveryRow::from_query_result(row, "").or_store_error()?.view()?,
    })
}

impl DeliveryViews for SqlStore {
    async fn search_deliveries(
        &self,
        scope: &TenantScope,
        visible: &Visibility,
        filter: &DeliveryFilter,
        page: PageRequest<DeliveryKey>,
    ) -> Result<Page<ListedDelivery, DeliveryKey>, StoreError> {
        let (tenant, dialect, way) = (scope.tenant(), self.database.dialect(), Way::of(filter));
        let connection = self.database.read(Scope::Tenant(tenant)).await?;
        let (sql, values) = select(way, visible, filter, &page);
        let statement = dialect.of_tenant(tenant, &reading(&sql, Order::Descending, &page), values)?;
        let rows = connection.query_all_raw(statement).await.or_store_error()?;
        let views = rows.iter().map(view).collect::<Result<Vec<_>, _>>()?;
        let is_full = views.len() > page.limit as usize;
        let mut answer = Page::of(views, &page, ListedDelivery::key);
        if let Some((sql, values)) = last_looked_at(way, visible, filter, &page)
            && !is_full
        {
            // There may be more beyond what was looked at.
            let sql = reading(&sql, Order::Descending, &page);
            let last = dialect.of_tenant(tenant, &sql, values)?;
            if let Some(row) = connection.query_one_raw(last).await.or_store_error()? {
                go_on_after(
                    &Last::from_query_result(&row, "").or_store_error()?,
                    &page,
                    &mut answer,
                );
            }
        }
        Ok(answer)
    }
}

/// A select of the last of what may be looked at for this page, if there is as much.
fn last_looked_at(
    way: Way,
    visible: &Visibility,
    filter: &DeliveryFilter,
    page: &PageRequest<DeliveryKey>,
) -> Option<(String, Vec<Value>)> {
    let (select, rows, order) = match way {
        Way::Message => return None,
        Way::Undelivered => (
            "SELECT d.message, d.endpoint FROM deliveries d WHERE d.status <> 'delivered' AND d.tenant =",
            not_delivered(visible, filter, page),
            "d.message {order}, d.endpoint {order}",
        ),
        Way::Application => {
            let mut messages = Conditions::default();
            of_application(&mut messages, filter, page);
            (
                "SELECT m.id AS message, NULL AS endpoint FROM messages m WHERE m.tenant =",
                messages,
                "m.id {order}",
            )
        }
    };
    let sql = format!(
        "{select} {{tenant}}{} ORDER BY {order} LIMIT 1 OFFSET {}",
        rows.sql.concat(),
        LOOKED_AT - 1
    );
    Some((sql, rows.values))
}

/// The page goes on beyond that delivery; beyond all deliveries of that message, if none is named.
fn go_on_after(last: &Last, page: &PageRequest<DeliveryKey>, answer: &mut Page<ListedDelivery, DeliveryKey>) {
    let beyond = if page.backwards() {
        Uuid::max()
    } else {
        Uuid::nil()
    };
    let key = Some(DeliveryKey {
        message: MessageId::from_uuid(last.message),
        endpoint: EndpointId::from_uuid(last.endpoint.unwrap_or(beyond)),
    });
    if page.backwards() {
        answer.prev = key;
    } else {
        answer.next = key;
    }
}

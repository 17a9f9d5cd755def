use postrider_application::{
    Versioned,
    access::TenantScope,
    ports::{
        ApplicationViews, AttemptView, DeliveryView, EndpointFilter, EndpointView, EndpointViews,
        EventTypeViews, MessageFilter, MessageStatus, MessageView, MessageViews, Page, PageRequest, Start,
        StoreError, StoredPayload,
    },
};
use postrider_domain::{
    ApplicationId, EndpointId, MessageId,
    access::Visibility,
    applications::ApplicationState,
    deliveries::DeliveryStatus,
    endpoints::{EndpointRef, EndpointState, SecretRing, SigningSecret},
    event_types::{EventTypeName, EventTypeState},
    messages::{Message, Payload},
};
use std::{collections::BTreeMap, sync::Arc};

use super::{state::Row, store::MemoryStore};

/// A page of rows that are all of a list, in its order.
pub(super) fn page_of<T, K: Ord>(
    rows: impl DoubleEndedIterator<Item = T>,
    page: &PageRequest<K>,
    key: impl Fn(&T) -> K,
    order: Order,
) -> Page<T, K> {
    let most = page.limit as usize + 1;
    let follows = |a: &K, b: &K| match order {
        Order::Ascending => a > b,
        Order::Descending => a < b,
    };
    let rows = match &page.start {
        Start::Beginning => rows.take(most).collect(),
        Start::After(start) => rows.filter(|row| follows(&key(row), start)).take(most).collect(),
        Start::Before(end) => {
            let before = rows.rev().filter(|row| follows(end, &key(row)));
            before.take(most).collect()
        }
    };
    Page::of(rows, page, key)
}

/// The order that a list has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    /// The least key first.
    Ascending,
    /// The greatest key first.
    Descending,
}

impl ApplicationViews for MemoryStore {
    async fn applications(
        &self,
        scope: &TenantScope,
        visible: &Visibility,
        page: PageRequest<ApplicationId>,
    ) -> Result<Page<ApplicationState, ApplicationId>, StoreError> {
        let state = self.state();
        let rows = state.configuration.applications.iter();
        let shown = rows
            .map(|(_, row)| &row.state)
            .filter(|state| state.tenant == scope.tenant() && state.deleted_at.is_none())
            .filter(|state| visible.shows(state.id));
        Ok(page_of(shown.cloned(), &page, |state| state.id, Order::Ascending))
    }

    async fn application(
        &self,
        scope: &TenantScope,
        id: ApplicationId,
    ) -> Result<Option<Versioned<ApplicationState>>, StoreError> {
        let state = self.state();
        let row = state.configuration.application(scope.tenant(), id);
        Ok(row.map(Row::versioned))
    }
}

impl EndpointViews for MemoryStore {
    async fn endpoint(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        reference: &EndpointRef,
    ) -> Result<Option<EndpointView>, StoreError> {
        let state = self.state();
        let row = state
            .configuration
            .endpoint(scope.tenant(), application, reference);
        Ok(row.map(|row| EndpointView::of(&row.state, row.version)))
    }

    async fn endpoints_of(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        filter: &EndpointFilter,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<EndpointView, EndpointId>, StoreError> {
        let state = self.state();
        let wanted = |row: &&Row<EndpointState>| {
            let of = &row.state;
            let types = of.filter.event_types();
            (of.tenant, of.application) == (scope.tenant(), application)
                && filter
                    .enabled
                    .is_none_or(|enabled| enabled != of.status.is_disabled())
                && filter
                    .event_type
                    .as_ref()
                    .is_none_or(|name| types.is_empty() || types.contains(name))
        };
        let rows = state.configuration.endpoints.values().filter(wanted);
        let views = rows.map(|row| EndpointView::of(&row.state, row.version));
        Ok(page_of(views, &page, |view| view.id, Order::Ascending))
    }

    async fn endpoint_secrets(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        reference: &EndpointRef,
    ) -> Result<Option<SecretRing>, StoreError> {
        let state = self.state();
        let row = state
            .configuration
            .endpoint(scope.tenant(), application, reference);
        Ok(row.map(|row| row.state.secrets.clone()))
    }
}

impl MemoryStore {
    fn message_of(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        id: MessageId,
    ) -> Option<Arc<Message>> {
        let message = self.state().hot.messages.get(&id).cloned();
        message.filter(|message| (message.tenant, message.application) == (scope.tenant(), application))
    }

    fn view_of(&self, message: &Message) -> MessageView {
        let (fate, now) = (self.state().hot.fate(message.id), self.now());
        MessageView {
            id: message.id,
            application: message.application,
            event_type: message.event_type.clone(),
            channels: message.channels.clone(),
            event_id: message.event_id.clone(),
            content_type: message.payload.content_type().as_str().to_owned(),
            payload_bytes: message.payload.bytes().len() as u64,
            created_at: message.created_at,
            deliver_at: message.deliver_at,
            cancelled_at: fate.cancelled_at,
            payload_expunged_at: fate.payload_expunged_at,
            status: MessageStatus::at(now, message.deliver_at, fate.cancelled_at),
        }
    }
}

fn is_wanted(view: &MessageView, filter: &MessageFilter) -> bool {
    let on = |channel| view.channels.iter().any(|one| one == channel);
    filter
        .event_type
        .as_ref()
        .is_none_or(|name| view.event_type == *name)
        && filter.channel.as_ref().is_none_or(on)
        && filter
            .event_id
            .as_ref()
            .is_none_or(|id| view.event_id.as_ref() == Some(id))
        && filter.from.is_none_or(|from| view.created_at >= from)
        && filter.to.is_none_or(|to| view.created_at < to)
        && filter.status.is_none_or(|status| view.status == status)
}

impl MessageViews for MemoryStore {
    async fn message(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        id: MessageId,
    ) -> Result<Option<MessageView>, StoreError> {
        let message = self.message_of(scope, application, id);
        Ok(message.map(|message| self.view_of(&message)))
    }

    async fn messages(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        filter: &MessageFilter,
        page: PageRequest<MessageId>,
    ) -> Result<Page<MessageView, MessageId>, StoreError> {
        let messages: Vec<_> = self.state().hot.messages.values().cloned().collect();
        let owner = (scope.tenant(), application);
        let views = messages
            .iter()
            .rev()
            .filter(|message| (message.tenant, message.application) == owner)
            .map(|message| self.view_of(message))
            .filter(|view| is_wanted(view, filter));
        Ok(page_of(views, &page, |view| view.id, Order::Descending))
    }

    async fn payload(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        id: MessageId,
    ) -> Result<Option<StoredPayload>, StoreError> {
        let message = self.message_of(scope, application, id);
        let there = self.state().hot.has_payload(id);
        Ok(message.map(|message| {
            if there {
                StoredPayload::There(message.payload.clone())
            } else {
                StoredPayload::Expunged
            }
        }))
    }

    async fn deliveries(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<DeliveryView, EndpointId>, StoreError> {
        let state = self.state();
        let ours = |tenant, of| (tenant, of) == (scope.tenant(), application);
        let queued = state.hot.work.values().filter_map(|row| {
            let endpoint = row.endpoint?;
            let view = DeliveryView {
                message,
                endpoint,
                status: DeliveryStatus::Pending { due_at: row.due_at },
                attempts: 0,
                updated_at: row.due_at,
            };
            (row.message == message && ours(row.tenant, row.application)).then_some((endpoint, view))
        });
        let mut views: BTreeMap<EndpointId, DeliveryView> = queued.collect();
        // What was attempted has a history, which says more than the queue.
        for row in state.hot.deliveries.values() {
            let delivery = &row.delivery;
            if delivery.message == message && ours(row.tenant, row.application) {
                let view = DeliveryView {
                    message,
                    endpoint: delivery.endpoint,
                    status: delivery.status,
                    attempts: delivery.attempts,
                    updated_at: row.updated_at,
                };
                views.insert(delivery.endpoint, view);
            }
        }
        let rows = views.values().cloned();
        Ok(page_of(rows, &page, |view| view.endpoint, Order::Ascending))
    }

    async fn attempts(
        &self,
        scope: &TenantScope,
        application: ApplicationId,
        message: MessageId,
        endpoint: EndpointId,
        page: PageRequest<u32>,
    ) -> Result<Page<AttemptView, u32>, StoreError> {
        if self.message_of(scope, application, message).is_none() {
            return Ok(Page::of(Vec::new(), &page, |view: &AttemptView| view.number));
        }
        let state = self.state();
        let rows = state
            .hot
            .attempts
            .range((message, endpoint, 0)..=(message, endpoint, u32::MAX));
        let rows = rows.map(|(_, attempt)| AttemptView {
            number: attempt.number,
            started_at: attempt.started_at,
            latency: attempt.latency,
            outcome: attempt.outcome,
            response_body: attempt.response_body.clone(),
        });
        Ok(page_of(rows, &page, |view| view.number, Order::Ascending))
    }
}

//! Deliveries of many messages: a look at all of them.

use postrider_application::{
    access::TenantScope,
    ports::{
        DeliveryFilter, DeliveryKey, DeliveryView, DeliveryViews, ListedDelivery, Page, PageRequest,
        StoreError,
    },
};
use postrider_domain::{access::Visibility, deliveries::Delivery};

use super::{
    hot::{Delivered, Hot},
    store::MemoryStore,
    views::{Order, page_of},
};

impl DeliveryViews for MemoryStore {
    async fn search_deliveries(
        &self,
        scope: &TenantScope,
        visible: &Visibility,
        filter: &DeliveryFilter,
        page: PageRequest<DeliveryKey>,
    ) -> Result<Page<ListedDelivery, DeliveryKey>, StoreError> {
        let state = self.state();
        let hot = &state.hot;
        let rows = hot.deliveries.values().rev().filter(|row| {
            row.tenant == scope.tenant() && visible.shows(row.application) && hot.is_wanted(row, filter)
        });
        let mut found: Vec<ListedDelivery> = rows.map(listed).collect();
        found.extend(hot.never_attempted(scope, visible, filter));
        found.sort_by_key(|row| std::cmp::Reverse(row.key()));
        Ok(page_of(
            found.into_iter(),
            &page,
            ListedDelivery::key,
            Order::Descending,
        ))
    }
}

fn listed(row: &Delivered) -> ListedDelivery {
    ListedDelivery {
        application: row.application,
        delivery: DeliveryView {
            message: row.delivery.message,
            endpoint: row.delivery.endpoint,
            status: row.delivery.status,
            attempts: row.delivery.attempts,
            updated_at: row.updated_at,
        },
    }
}

impl Hot {
    /// Those of a message that are in the queue only.
    fn never_attempted(
        &self,
        scope: &TenantScope,
        visible: &Visibility,
        filter: &DeliveryFilter,
    ) -> Vec<ListedDelivery> {
        let Some(message) = filter.message else {
            return Vec::new();
        };
        let rows = self.work.values().filter_map(|row| {
            let endpoint = row.endpoint?;
            let mut delivery = Delivery::begin(row.message, endpoint, row.due_at);
            delivery.attempts = row.attempts;
            let own = Delivered {
                tenant: row.tenant,
                application: row.application,
                updated_at: row.due_at,
                delivery,
            };
            Some(own)
        });
        rows.filter(|row| row.delivery.message == message && row.tenant == scope.tenant())
            .filter(|row| visible.shows(row.application) && self.is_wanted(row, filter))
            .filter(|row| {
                !self
                    .deliveries
                    .contains_key(&(row.delivery.message, row.delivery.endpoint))
            })
            .map(|row| listed(&row))
            .collect()
    }

    fn is_wanted(&self, row: &Delivered, filter: &DeliveryFilter) -> bool {
        let delivery = &row.delivery;
        let Some(message) = self.messages.get(&delivery.message) else {
            return false;
        };
        filter
            .application
            .is_none_or(|application| application == row.application)
            && filter
                .endpoint
                .is_none_or(|endpoint| endpoint == delivery.endpoint)
            && filter.message.is_none_or(|message| message == delivery.message)
            && filter.state.is_none_or(|state| state.is(&delivery.status))
            && filter.from.is_none_or(|from| message.created_at >= from)
            && filter.to.is_none_or(|to| message.created_at < to)
    }
}

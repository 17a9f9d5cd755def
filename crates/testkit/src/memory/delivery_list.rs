//! Deliveries of many messages: a look at all of them.

use postrider_application::{
    access::TenantScope,
    ports::{
        DeliveryFilter, DeliveryKey, DeliveryView, DeliveryViews, ListedDelivery, Page, PageRequest,
        StoreError,
    },
};
use postrider_domain::access::Visibility;

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
        let rows = rows.map(|row| ListedDelivery {
            application: row.application,
            delivery: DeliveryView {
                message: row.delivery.message,
                endpoint: row.delivery.endpoint,
                status: row.delivery.status,
                attempts: row.delivery.attempts,
                updated_at: row.updated_at,
            },
        });
        Ok(page_of(rows, &page, ListedDelivery::key, Order::Descending))
    }
}

impl Hot {
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

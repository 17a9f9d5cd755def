//! Who wants a message. Pure.

use std::sync::Arc;

use postrider_application::ports::{DeliverableEndpoint, EndpointSet};
use postrider_domain::messages::Message;

/// The enabled endpoints of `set` that want `message`.
pub(crate) fn wanting<'s>(
    message: &'s Message,
    set: &'s EndpointSet,
) -> impl Iterator<Item = &'s Arc<DeliverableEndpoint>> {
    set.endpoints
        .iter()
        .filter(|endpoint| endpoint.enabled && endpoint.filter.wants(&message.event_type, &message.channels))
}

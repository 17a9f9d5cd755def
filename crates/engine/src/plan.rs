//! What is to be done with a claimed row, decided from what was read about it. Pure.

use std::{collections::HashMap, sync::Arc};

use postrider_application::ports::{ClaimedWork, DeliverableEndpoint};
use postrider_domain::{
    ApplicationId, EndpointId, MessageId, Timestamp,
    deliveries::{Delivery, DeliveryStatus},
    messages::Message,
};

/// What was read for a batch of rows.
#[derive(Default)]
pub(crate) struct Material {
    pub(crate) messages: HashMap<MessageId, Arc<Message>>,
    pub(crate) endpoints: HashMap<ApplicationId, Arc<[DeliverableEndpoint]>>,
}

/// An endpoint, shared with the others of its application.
#[derive(Clone)]
pub(crate) struct Target {
    endpoints: Arc<[DeliverableEndpoint]>,
    index: usize,
}

impl Target {
    pub(crate) fn endpoint(&self) -> &DeliverableEndpoint {
        &self.endpoints[self.index]
    }
}

/// What is to be done.
pub(crate) enum Plan {
    /// A fan-out that nobody wants.
    Nothing,
    /// A delivery whose endpoint is disabled or gone.
    Cancel(EndpointId),
    /// One attempt. A fan-out to one endpoint is one too: sent first, settled once.
    Attempt(Arc<Message>, Target),
    /// A fan-out to several endpoints: each becomes a row first, so that none waits for another.
    FanOut(Arc<Message>, Vec<Target>),
}

impl Material {
    /// Whether it holds what `work` is about.
    pub(crate) fn knows(&self, work: &ClaimedWork) -> bool {
        self.messages.contains_key(&work.message) && self.endpoints.contains_key(&work.application)
    }

    /// What is to be done with `work`, of which it [knows](Self::knows).
    pub(crate) fn plan(&self, work: &ClaimedWork) -> Plan {
        let endpoints = self.endpoints.get(&work.application);
        let message = self.messages.get(&work.message);
        match (work.endpoint, message, endpoints) {
            (Some(id), Some(message), Some(endpoints)) => {
                match endpoints
                    .iter()
                    .position(|endpoint| endpoint.id == id && endpoint.enabled)
                {
                    Some(index) => Plan::Attempt(Arc::clone(message), target(endpoints, index)),
                    None => Plan::Cancel(id),
                }
            }
            (Some(id), _, _) => Plan::Cancel(id),
            (None, Some(message), Some(endpoints)) => fan_out(message, endpoints),
            (None, _, _) => Plan::Nothing,
        }
    }
}

fn target(endpoints: &Arc<[DeliverableEndpoint]>, index: usize) -> Target {
    Target {
        endpoints: Arc::clone(endpoints),
        index,
    }
}

fn fan_out(message: &Arc<Message>, endpoints: &Arc<[DeliverableEndpoint]>) -> Plan {
    let wants = |endpoint: &DeliverableEndpoint| {
        endpoint.enabled && endpoint.filter.wants(&message.event_type, &message.channels)
    };
    let mut targets: Vec<Target> = endpoints
        .iter()
        .enumerate()
        .filter(|(_, endpoint)| wants(endpoint))
        .map(|(index, _)| target(endpoints, index))
        .collect();
    match (targets.len(), targets.pop()) {
        (_, None) => Plan::Nothing,
        (1, Some(only)) => Plan::Attempt(Arc::clone(message), only),
        (_, Some(last)) => {
            targets.push(last);
            Plan::FanOut(Arc::clone(message), targets)
        }
    }
}

/// The delivery that `work` is about, as it stands before anything is done.
pub(crate) const fn delivery_of(work: &ClaimedWork, endpoint: EndpointId, now: Timestamp) -> Delivery {
    Delivery {
        message: work.message,
        endpoint,
        status: DeliveryStatus::Pending { due_at: now },
        attempts: work.attempts,
        failures: work.failures,
    }
}

use std::sync::Arc;

use postrider_application::ports::{
    Clock, DeliveryMaterial, DeliveryQueue, EndpointGuard, Ids, NodeRegistry, Randomness, Sender,
    WebhookSigner, WorkBell,
};

/// Everything of the outside that the engine uses.
#[derive(Clone)]
pub struct EnginePorts {
    /// The work queue.
    pub queue: Arc<dyn DeliveryQueue>,
    /// Which nodes live.
    pub nodes: Arc<dyn NodeRegistry>,
    /// Tells other nodes of work.
    pub bell: Arc<dyn WorkBell>,
    /// Disables endpoints that are gone.
    pub guard: Arc<dyn EndpointGuard>,
    /// Messages and endpoints, to deliver.
    pub material: Arc<dyn DeliveryMaterial>,
    /// Makes attempts.
    pub sender: Arc<dyn Sender>,
    /// Signs them.
    pub signer: Arc<dyn WebhookSigner>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of queue rows.
    pub ids: Arc<dyn Ids>,
    /// Jitter.
    pub randomness: Arc<dyn Randomness>,
}

use postrider_domain::{
    ApplicationId, EndpointId,
    access::{Grant, Role},
};

use super::{World, create_endpoint};
use crate::access::Caller;

/// A tenant's owner with an application and its one endpoint. Each room of tests adds to it what it asks for.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) owner: Caller,
    pub(crate) application: ApplicationId,
    pub(crate) endpoint: EndpointId,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let application = world.application(&owner, None).await.id;
        let request = create_endpoint(application, "https://a.example/");
        let endpoint = world.send(&owner, request).await.unwrap().endpoint.id;
        assert_eq!(world.barrier.count(), 0, "nobody waits for what is new");
        Self {
            world,
            owner,
            application,
            endpoint,
        }
    }
}

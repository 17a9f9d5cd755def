//! What the tests of event types share.

use postrider_domain::{
    Description,
    access::{Grant, Role},
    event_types::EventTypeName,
};

use super::RegisterEventType;
use crate::{access::Caller, testing::World};

pub(super) fn name() -> EventTypeName {
    EventTypeName::parse("invoice.paid").unwrap()
}

/// A tenant's owner, who has registered the event type of that name.
pub(super) async fn registered() -> (World, Caller) {
    let world = World::new();
    let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
    let request = RegisterEventType {
        name: name(),
        description: Description::default(),
        schema: None,
    };
    world.send(&owner, request).await.unwrap();
    (world, owner)
}

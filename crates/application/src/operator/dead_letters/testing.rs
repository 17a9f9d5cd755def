//! What the tests of dead letters share.

use std::time::Duration;

use postrider_domain::access::{Grant, Role};

use super::ListDeadLetters;
use crate::{
    ErrorCode, UseCases,
    mediator::{Request, Serves},
    memory::MemoryStore,
    ports::{
        AggregateKey, DeadLetterId, DeadLetterView, NodeRegistry as _, PageRequest, RelayCursors as _,
        SetAside, StartAt,
    },
    testing::{World, operator},
};

pub(super) fn letter(position: i64) -> DeadLetterId {
    DeadLetterId {
        position,
        subscriber: "sink".to_owned(),
    }
}

/// Sets positions 1 (refused) and 2 (which waits for it) aside.
pub(super) async fn two_set_aside(world: &World) {
    let node = world.store.join(Duration::from_secs(15)).await.unwrap();
    world.store.declare("sink", StartAt::Beginning).await.unwrap();
    assert_eq!(world.store.take(node, &["sink"]).await.unwrap().len(), 1);
    let aside = |position, attempts, error: Option<&str>| SetAside {
        position,
        of: AggregateKey {
            tenant: None,
            aggregate: "a".to_owned(),
        },
        kind: "user.registered".to_owned(),
        attempts,
        error: error.map(str::to_owned),
        discarded: false,
        later_in_log: false,
    };
    let both = [aside(1, 8, Some("refused")), aside(2, 0, None)];
    assert!(world.store.advance(node, "sink", 2, &both).await.unwrap());
}

/// What the operator sees.
pub(super) async fn listed(world: &World) -> Vec<DeadLetterView> {
    let page = PageRequest::first(10);
    world
        .send(&operator(), ListDeadLetters { page })
        .await
        .unwrap()
        .items
}

/// A tenant's owner may not.
pub(super) async fn nobody_else_may<R: Request>(request: R)
where
    UseCases<MemoryStore>: Serves<R>,
{
    let world = World::new();
    let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
    assert_eq!(world.refusal(&owner, request).await, ErrorCode::Forbidden);
}

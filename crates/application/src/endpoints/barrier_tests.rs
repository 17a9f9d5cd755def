//! What must be seen by every node before it is answered, and before the answer is repeated.

use std::collections::BTreeMap;

use postrider_domain::{
    Description, Metadata, Uid,
    endpoints::{EndpointRef, EndpointUrl, Filter, Overlap},
    messages::DedupKey,
};

use super::{
    DeleteEndpoint, DisableEndpoint, EndpointChanges, NewSecret, PatchEndpoint, PutEndpoint,
    RotateEndpointSecret,
};
use crate::{
    ErrorCode, IfMatch, Patch, Result,
    applications::DeleteApplication,
    once::{Once, OnceKey},
    ports::EndpointView,
    testing::Scene,
};

impl Scene {
    fn disable(&self) -> DisableEndpoint {
        DisableEndpoint {
            application: self.application.into(),
            endpoint: self.endpoint.into(),
        }
    }

    async fn disable_once(&self) -> Result<Once<EndpointView>> {
        let key = OnceKey {
            key: DedupKey::idempotency_key("k").unwrap(),
            asked: [1; 32],
            also: Vec::new(),
        };
        let render = |_: &EndpointView| b"disabled".to_vec();
        let mediator = &self.world.mediator;
        mediator
            .send_once(&self.owner, Some(&key), self.disable(), render)
            .await
    }

    fn rotate(&self) -> RotateEndpointSecret {
        RotateEndpointSecret {
            application: self.application.into(),
            endpoint: self.endpoint.into(),
            secret: NewSecret::default(),
            overlap: Overlap::from_seconds(0).unwrap(),
        }
    }

    fn patch(&self) -> PatchEndpoint {
        PatchEndpoint {
            application: self.application.into(),
            endpoint: self.endpoint.into(),
            changes: EndpointChanges {
                url: Some(EndpointUrl::parse("https://b.example/").unwrap()),
                uid: Patch::Set(Uid::parse("hook").unwrap()),
                ..EndpointChanges::default()
            },
            if_match: IfMatch::Unsaid,
        }
    }

    fn put(&self) -> PutEndpoint {
        PutEndpoint {
            application: self.application.into(),
            endpoint: EndpointRef::Id(self.endpoint),
            url: EndpointUrl::parse("https://c.example/").unwrap(),
            description: Description::default(),
            filter: Filter::default(),
            secret: None,
            headers: BTreeMap::new(),
            retry_schedule: None,
            timeout: None,
            metadata: Metadata::default(),
            if_match: IfMatch::Unsaid,
        }
    }

    fn delete(&self) -> DeleteEndpoint {
        DeleteEndpoint {
            application: self.application.into(),
            endpoint: self.endpoint.into(),
            if_match: IfMatch::Unsaid,
        }
    }

    fn delete_application(&self) -> DeleteApplication {
        DeleteApplication {
            application: self.application.into(),
            if_match: IfMatch::Unsaid,
        }
    }
}

#[tokio::test]
async fn what_no_delivery_goes_by_is_not_waited_for() {
    let scene = Scene::new().await;
    let patch = |changes| PatchEndpoint {
        changes,
        ..scene.patch()
    };
    let notes = || EndpointChanges {
        uid: Patch::Set(Uid::parse("hook").unwrap()),
        description: Patch::Clear,
        metadata: Patch::Set(BTreeMap::from([("a".to_owned(), Some("b".to_owned()))])),
        ..EndpointChanges::default()
    };
    let stored = scene.world.send(&scene.owner, patch(notes())).await.unwrap();
    assert_eq!(scene.world.barrier.count(), 0);
    let said = [
        EndpointChanges {
            // As it is already: whoever repeats a change wants to know that it was seen.
            url: Some(stored.url.clone()),
            ..notes()
        },
        EndpointChanges {
            event_types: Patch::Clear,
            ..notes()
        },
        EndpointChanges {
            channels: Patch::Clear,
            ..notes()
        },
        EndpointChanges {
            headers: Patch::Clear,
            ..notes()
        },
        EndpointChanges {
            retry_schedule: Patch::Clear,
            ..notes()
        },
        EndpointChanges {
            timeout: Patch::Clear,
            ..notes()
        },
    ];
    for (before, changes) in said.into_iter().enumerate() {
        scene.world.send(&scene.owner, patch(changes)).await.unwrap();
        assert_eq!(scene.world.barrier.count(), before + 1);
    }
}

#[tokio::test]
async fn a_promise_that_was_not_given_is_not_replayed() {
    let scene = Scene::new().await;
    scene.world.barrier.hold_up(true);
    for times in 1..=3 {
        // The first one did it and kept its answer. Neither it nor those that find the answer may say it.
        let refused = scene.disable_once().await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unavailable);
        assert_eq!(scene.world.barrier.count(), times);
    }
    scene.world.barrier.hold_up(false);
    assert_eq!(
        scene.disable_once().await.unwrap(),
        Once::Replayed(b"disabled".to_vec())
    );
    assert_eq!(scene.world.barrier.count(), 4, "a replay waits too");
    let disabled = scene.world.kinds().await;
    assert_eq!(
        disabled
            .iter()
            .filter(|kind| *kind == "endpoint.disabled")
            .count(),
        1
    );
}

#[tokio::test]
async fn what_was_so_already_is_waited_for_as_well() {
    let scene = Scene::new().await;
    scene.world.send(&scene.owner, scene.disable()).await.unwrap();
    scene.world.barrier.hold_up(true);
    for _ in 0..2 {
        let refused = scene.disable_once().await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unavailable);
    }
    scene.world.barrier.hold_up(false);
    assert!(matches!(scene.disable_once().await, Ok(Once::Replayed(_))));
}

#[tokio::test]
async fn of_several_at_once_all_wait() {
    let scene = Scene::new().await;
    let (one, two) = tokio::join!(scene.disable_once(), scene.disable_once());
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(scene.world.barrier.count(), 2);
}

#[tokio::test]
async fn whatever_ends_something_is_seen_by_all_before_it_is_answered() {
    let scene = Scene::new().await;
    scene.world.barrier.hold_up(true);
    let unseen = ErrorCode::Unavailable;
    let (world, owner) = (&scene.world, &scene.owner);
    assert_eq!(world.refusal(owner, scene.disable()).await, unseen);
    assert_eq!(world.refusal(owner, scene.rotate()).await, unseen);
    assert_eq!(world.refusal(owner, scene.patch()).await, unseen);
    assert_eq!(world.refusal(owner, scene.put()).await, unseen);
    assert_eq!(world.refusal(owner, scene.delete()).await, unseen);
    assert_eq!(world.refusal(owner, scene.delete_application()).await, unseen);
    assert_eq!(world.barrier.count(), 6);
    let kinds = world.kinds().await;
    assert_eq!(
        kinds[kinds.len() - 6..],
        [
            "endpoint.disabled",
            "endpoint.secret_rotated",
            "endpoint.updated",
            "endpoint.updated",
            "endpoint.deleted",
            "application.deleted"
        ],
        "the changes are made"
    );
}

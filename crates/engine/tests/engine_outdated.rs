//! What a node knows of an endpoint may be true no more when an attempt is about to begin: then it is not begun.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

mod support;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use postrider_application::ports::{
    DeliverableEndpoint, DeliveryMaterial, EndpointSet, ReadMessage, Standing, StoreError, WorkSignal as _,
};
use postrider_domain::{ApplicationId, MessageId, TenantId};
use postrider_engine::{EngineOptions, EnginePorts};
use postrider_testkit::memory::MemoryStore;
use support::{node::Running, world::World};

/// Endpoints that are disabled after it was asked so many times where the knowledge of them stands: that is between
/// their being read and the look before the attempt.
struct Turning {
    inner: MemoryStore,
    asked: AtomicU64,
    turns_at: u64,
}

impl Turning {
    fn turned(&self) -> bool {
        self.asked.load(Ordering::SeqCst) >= self.turns_at
    }
}

#[async_trait]
impl DeliveryMaterial for Turning {
    async fn messages(
        &self,
        keys: &[(TenantId, MessageId)],
    ) -> Result<HashMap<MessageId, ReadMessage>, StoreError> {
        self.inner.messages(keys).await
    }

    async fn endpoints(
        &self,
        applications: &[(TenantId, ApplicationId)],
    ) -> Result<HashMap<ApplicationId, Arc<EndpointSet>>, StoreError> {
        let turned = self.turned();
        let mut sets = self.inner.endpoints(applications).await?;
        for set in sets.values_mut() {
            let as_it_is = |endpoint: &Arc<DeliverableEndpoint>| {
                Arc::new(DeliverableEndpoint {
                    enabled: endpoint.enabled && !turned,
                    ..DeliverableEndpoint::clone(endpoint)
                })
            };
            *set = Arc::new(EndpointSet {
                version: set.version,
                endpoints: set.endpoints.iter().map(as_it_is).collect(),
            });
        }
        Ok(sets)
    }

    fn standing(&self, _: TenantId, _: ApplicationId) -> Standing {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Standing([u64::from(self.turned()), 0])
    }
}

/// How many requests were sent when the knowledge turns at that question.
async fn sent_when_turning_at(turns_at: u64) -> (usize, u64) {
    let world = World::new().await;
    world.fixture.endpoint(&world.tenancy, &world.customer).await;
    let material = Arc::new(Turning {
        inner: world.store.clone(),
        asked: AtomicU64::new(0),
        turns_at,
    });
    let ports = EnginePorts {
        material: material.clone(),
        ..world.ports()
    };
    let engine = Running::start(EngineOptions::default(), ports);
    world.fixture.accepted(&world.customer).await;
    engine.handle.work_queued();
    world
        .until(Duration::from_mins(1), "the message is done", || {
            world.store.queued() == 0
        })
        .await;
    engine.begin_shutdown();
    engine.ended().await;
    (
        world.sender.requests().len(),
        material.asked.load(Ordering::SeqCst),
    )
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_by_what_was_true_before_it_was_read() {
    let (sent, questions) = sent_when_turning_at(u64::MAX).await;
    assert_eq!(sent, 1, "nothing turns");
    assert!(questions >= 2, "asked before it is read, and before it begins");
    for turns_at in 1..=questions {
        let (sent, _) = sent_when_turning_at(turns_at).await;
        assert_eq!(sent, 0, "it turned at question {turns_at} of {questions}");
    }
    assert_eq!(
        sent_when_turning_at(questions + 1).await.0,
        1,
        "too late to matter"
    );
}

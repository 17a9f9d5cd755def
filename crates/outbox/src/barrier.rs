use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use postrider_application::ports::{ClusterBarrier, NodeSight, StoreError, Unseen};
use tokio::{sync::watch, time};

use crate::{RelayOptions, backoff::Backoff, store_calls::bounded};

/// The first pause between looks, when nobody tells that a node has seen more.
const LOOK_FIRST: Duration = Duration::from_millis(25);
/// The longest.
const LOOK_CAP: Duration = Duration::from_millis(500);
/// How long one look may take: so short that there is time for another one, by another connection.
const LOOK_TIMEOUT: Duration = Duration::from_secs(6);

/// Waits until every living node has seen what was committed.
#[derive(Clone)]
pub struct Barrier {
    sight: Arc<dyn NodeSight>,
    seen: watch::Sender<()>,
    timeout: Duration,
}

impl Barrier {
    pub(crate) fn new(sight: Arc<dyn NodeSight>, options: &RelayOptions) -> Self {
        Self {
            sight,
            seen: watch::Sender::new(()),
            timeout: options.barrier_timeout,
        }
    }

    /// A node has seen more.
    pub(crate) fn wake(&self) {
        self.seen.send_replace(());
    }

    async fn pass(&self) {
        let mut seen = self.seen.subscribe();
        let mut position = None;
        let mut backoff = Backoff::new(LOOK_FIRST, LOOK_CAP);
        loop {
            seen.mark_unchanged();
            match bounded(LOOK_TIMEOUT, self.sight.unseen(position)).await {
                Ok(Unseen { nodes: 0, .. }) => return,
                // What is committed after we asked is not waited for.
                Ok(unseen) => position = Some(unseen.position),
                Err(error) => tracing::warn!(%error, "cannot look at what nodes have seen; trying again"),
            }
            // It fails only if the sender is gone, and `self` holds one; then the pause is all.
            let _ = time::timeout(backoff.pause(), seen.changed()).await;
        }
    }
}

#[async_trait]
impl ClusterBarrier for Barrier {
    async fn passed(&self) -> Result<(), StoreError> {
        let passed = time::timeout(self.timeout, self.pass()).await;
        passed
            .map_err(|_| StoreError::Unavailable("not every living node has seen the change in time".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_application::ports::Epoch;
    use std::sync::Mutex;
    use tokio::task::JoinSet;

    /// Answers how many nodes have not seen it, and notes what was asked.
    #[derive(Default)]
    struct Sight {
        answers: Mutex<Vec<Result<u32, ()>>>,
        asked: Mutex<Vec<Option<i64>>>,
    }

    #[async_trait]
    impl NodeSight for Sight {
        async fn note_seen(&self, _: Epoch, _: i64) -> Result<(), StoreError> {
            Ok(())
        }

        async fn unseen(&self, position: Option<i64>) -> Result<Unseen, StoreError> {
            self.asked.lock().unwrap().push(position);
            match self.answers.lock().unwrap().pop() {
                Some(Err(())) => Err(StoreError::Unavailable("away".into())),
                Some(Ok(nodes)) => Ok(Unseen { position: 7, nodes }),
                None => Ok(Unseen {
                    position: 7,
                    nodes: 1,
                }),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_what_was_committed_before_it_was_asked_and_for_nothing_later() {
        let sight = Arc::new(Sight::default());
        *sight.answers.lock().unwrap() = vec![Ok(0), Ok(1), Err(()), Ok(2)];
        let barrier = Barrier::new(sight.clone(), &RelayOptions::default());
        barrier.passed().await.unwrap();
        assert_eq!(*sight.asked.lock().unwrap(), [None, Some(7), Some(7), Some(7)]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_looks_at_once_when_a_node_has_seen_more() {
        let sight = Arc::new(Sight::default());
        let barrier = Barrier::new(sight.clone(), &RelayOptions::default());
        let mut waiting = JoinSet::new();
        let passing = barrier.clone();
        waiting.spawn(async move { passing.passed().await });
        while sight.asked.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        sight.answers.lock().unwrap().push(Ok(0));
        let before = crate::test_support::now();
        barrier.wake();
        waiting.join_next().await.unwrap().unwrap().unwrap();
        assert_eq!(
            crate::test_support::now(),
            before,
            "without waiting for its next look"
        );
    }

    /// Answers its first question never, and the next ones that all nodes have seen it.
    #[derive(Default)]
    struct FallsSilent(Mutex<u32>);

    #[async_trait]
    impl NodeSight for FallsSilent {
        async fn note_seen(&self, _: Epoch, _: i64) -> Result<(), StoreError> {
            Ok(())
        }

        async fn unseen(&self, _: Option<i64>) -> Result<Unseen, StoreError> {
            let asked = {
                let mut asked = self.0.lock().unwrap();
                *asked += 1;
                *asked
            };
            if asked == 1 {
                std::future::pending::<()>().await;
            }
            Ok(Unseen {
                position: 7,
                nodes: 0,
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_is_never_answered_leaves_time_for_another() {
        let barrier = Barrier::new(Arc::new(FallsSilent::default()), &RelayOptions::default());
        barrier.passed().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_wait_for_ever() {
        let barrier = Barrier::new(Arc::new(Sight::default()), &RelayOptions::default());
        assert!(matches!(barrier.passed().await, Err(StoreError::Unavailable(_))));
    }
}

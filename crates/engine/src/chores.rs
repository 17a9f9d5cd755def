use std::{sync::Arc, time::Duration};

use postrider_application::ports::MessageIntake;
use tokio::time;
use tokio_util::sync::CancellationToken;

/// How often the chores are done.
const INTERVAL: Duration = Duration::from_mins(1);
/// How many rows one statement removes: short enough that nobody waits for it.
const BATCH: u32 = 1_000;
/// How many statements one round makes; what is left waits for the next.
const BATCHES: u32 = 100;

/// Housekeeping that nobody waits for: deduplication keys whose window has passed are removed, in small batches.
/// Every node does it; they pass over what another is at.
pub struct Chores {
    intake: Arc<dyn MessageIntake>,
}

impl Chores {
    /// Chores over `intake`.
    pub fn new(intake: Arc<dyn MessageIntake>) -> Self {
        Self { intake }
    }

    /// Does the chores, once a minute, until `shutdown`. What fails is tried again in the next round.
    pub async fn run(self, shutdown: CancellationToken) {
        let rounds = async {
            loop {
                time::sleep(INTERVAL).await;
                self.forget_expired_keys().await;
            }
        };
        tokio::select! {
            () = rounds => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn forget_expired_keys(&self) {
        for _ in 0..BATCHES {
            match self.intake.forget_expired_keys(BATCH).await {
                Ok(BATCH) => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "expired deduplication keys were not removed");
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use postrider_application::{
        access::ApplicationScope,
        ports::{AcceptMessage, Accepted, IntakeError, StoreError},
    };

    mockall::mock! {
        Intake {}
        #[async_trait]
        impl MessageIntake for Intake {
            async fn accept(
                &self,
                scope: &ApplicationScope,
                message: AcceptMessage,
            ) -> Result<Accepted, IntakeError>;
            async fn forget_expired_keys(&self, limit: u32) -> Result<u32, StoreError>;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_goes_on_while_batches_are_full_and_survives_failures() {
        let (mut intake, mut order) = (MockIntake::new(), mockall::Sequence::new());
        let answers = [Ok(BATCH), Ok(BATCH), Ok(7), Err("away"), Ok(0)];
        let last = answers.len();
        let done = CancellationToken::new();
        for (index, answer) in answers.into_iter().enumerate() {
            let done = done.clone();
            intake
                .expect_forget_expired_keys()
                .times(1)
                .in_sequence(&mut order)
                .return_once(move |limit| {
                    assert_eq!(limit, BATCH);
                    if index + 1 == last {
                        done.cancel();
                    }
                    answer.map_err(|cause: &str| StoreError::Unavailable(cause.into()))
                });
        }
        // Three rounds of a minute each: three batches, a failure, nothing left.
        Chores::new(Arc::new(intake)).run(done).await;
    }
}

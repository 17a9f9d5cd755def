//! What goes on while requests are served.

use std::sync::Arc;

use postrider_crypto::KeyRingRefresher;
use postrider_engine::{BacklogWatch, Chores, Engine, FigureWriter, HttpSender, Replays, RetentionChore};
use postrider_outbox::Relay;
use tokio_util::sync::CancellationToken;

use super::{RunError, denials::DenialWriter, key_uses::KeyUseWriter};

/// The components that run beside the API.
pub(super) struct Background {
    pub(super) engine: Engine,
    pub(super) sender: Arc<HttpSender>,
    pub(super) relay: Relay,
    pub(super) chores: Chores,
    pub(super) replays: Replays,
    pub(super) figures: FigureWriter,
    pub(super) retention: RetentionChore,
    pub(super) backlog: BacklogWatch,
    pub(super) keys: KeyRingRefresher,
    pub(super) denials: DenialWriter,
    pub(super) key_uses: KeyUseWriter,
}

impl Background {
    /// Runs all of them until `shutdown`, or until one that nobody can do without gives up; then drains.
    pub(super) async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        // Whatever ends one of them ends the other: half a node would look like a whole one.
        let gone = CancellationToken::new();
        let engine = async {
            let ended = self.engine.run(shutdown.clone()).await;
            shutdown.cancel();
            gone.cancel();
            ended
        };
        let relay = async {
            let ended = self.relay.run(shutdown.clone(), gone.clone()).await;
            shutdown.cancel();
            ended
        };
        // Requests are served while the engine drains: what they leave is written after it.
        let drained = CancellationToken::new();
        let essential = async {
            let (engine, relay, (), (), ()) = tokio::join!(
                engine,
                relay,
                self.chores.run(shutdown.clone()),
                self.replays.run(shutdown.clone()),
                self.retention.run(shutdown.clone()),
            );
            drained.cancel();
            (engine, relay)
        };
        let ((engine, relay), (), (), (), (), ()) = tokio::join!(
            essential,
            // What is left while the engine drains is what is looked at most.
            self.backlog.run(drained.clone()),
            self.keys.run(shutdown.clone()),
            self.denials.run(drained.clone()),
            self.key_uses.run(drained.clone()),
            self.figures.run(drained.clone()),
        );
        self.sender.close().await;
        engine?;
        Ok(relay?)
    }
}

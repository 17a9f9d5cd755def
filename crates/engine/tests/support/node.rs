//! Nodes: an engine, and an engine with its intake.

use std::{sync::Arc, time::Duration};

use postrider_application::ports::{AcceptMessage, Accepted, IntakeError, MessageIntake as _};
use postrider_domain::{MessageId, messages::Message};
use postrider_engine::{
    Engine, EngineError, EngineHandle, EngineOptions, EnginePorts, EngineStatus, Intake, IntakeHandle,
    IntakeOptions,
};
use postrider_testkit::contract::Customer;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{faulty::Faulty, world::World};

/// An engine that runs; dropping it is a crash.
pub(crate) struct Running {
    pub(crate) handle: EngineHandle,
    shutdown: CancellationToken,
    task: JoinSet<Result<(), EngineError>>,
}

impl Running {
    pub(crate) fn start(options: EngineOptions, ports: EnginePorts) -> Self {
        let (engine, handle) = Engine::new(ports, options);
        let shutdown = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(engine.run(shutdown.clone()));
        Self {
            handle,
            shutdown,
            task,
        }
    }

    pub(crate) fn status(&self) -> EngineStatus {
        self.handle.status()
    }

    /// Asks it to end.
    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }

    /// Waits for its orderly end.
    pub(crate) async fn ended(mut self) {
        self.task.join_next().await.unwrap().unwrap().unwrap();
    }
}

/// A node that accepts messages and delivers them; dropping it is a crash.
pub(crate) struct Node {
    pub(crate) engine: Running,
    pub(crate) intake: IntakeHandle,
    shutdown: CancellationToken,
    task: JoinSet<()>,
}

impl Node {
    pub(crate) fn start(
        world: &World,
        faulty: &Arc<Faulty>,
        options: EngineOptions,
        ports: EnginePorts,
        intake: IntakeOptions,
    ) -> Self {
        let engine = Running::start(options, ports);
        let (intake, handle) =
            Intake::new(faulty.clone(), &engine.handle, world.clock.clone(), intake).unwrap();
        let shutdown = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(intake.run(shutdown.clone()));
        Self {
            engine,
            intake: handle,
            shutdown,
            task,
        }
    }

    pub(crate) fn status(&self) -> EngineStatus {
        self.engine.status()
    }

    /// Waits until it takes messages in.
    pub(crate) async fn joined(self) -> Self {
        while !self.status().lease_held {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self
    }

    pub(crate) async fn accept(
        &self,
        customer: &Customer,
        message: Message,
    ) -> Result<Accepted, IntakeError> {
        let accept = AcceptMessage { message, dedup: None };
        self.intake.accept(&customer.scope, accept).await
    }

    /// Publishes a small message.
    pub(crate) async fn publish(&self, world: &World, customer: &Customer) -> MessageId {
        let message = world.fixture.message(customer);
        let id = message.id;
        let accepted = self.accept(customer, message).await;
        assert!(matches!(accepted, Ok(Accepted::New)), "{accepted:?}");
        id
    }

    /// Publishes many at the same time.
    pub(crate) async fn publish_many(
        &self,
        world: &World,
        customer: &Customer,
        count: usize,
    ) -> Vec<MessageId> {
        let one_after_the_other = (0..count).map(|_| self.publish(world, customer));
        futures_util::future::join_all(one_after_the_other).await
    }

    /// Ends the intake first, as the server does, and then the engine.
    pub(crate) async fn shut_down(mut self) {
        self.shutdown.cancel();
        self.task.join_next().await.unwrap().unwrap();
        self.engine.begin_shutdown();
        self.engine.ended().await;
    }
}

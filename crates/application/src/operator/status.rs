use crate::{
    Error, Result,
    access::{AsOperator, OperatorScope},
    mediator::{Handles, Request},
    ports::{OperatorViews, StatusView},
};

/// Shows how the installation is: nodes, queue, subscribers, failing endpoints. Never payloads.
#[derive(Debug)]
pub struct ShowStatus;

impl Request for ShowStatus {
    type Output = StatusView;
    type Access = AsOperator;
    const NAME: &'static str = "status.show";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

/// Serves [`ShowStatus`].
pub struct ShowStatusHandler<S> {
    views: S,
}

impl<S> ShowStatusHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
    }
}

impl<S: OperatorViews> Handles<ShowStatus> for ShowStatusHandler<S> {
    async fn handle(&self, scope: OperatorScope, _: ShowStatus) -> Result<StatusView, Error> {
        Ok(self.views.status(&scope).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        access::Caller,
        ports::NodeRegistry as _,
        testing::{World, operator},
    };
    use postrider_domain::access::{Grant, Role};
    use std::time::Duration;

    #[tokio::test]
    async fn only_the_operator_sees_it() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        assert_eq!(world.refusal(&owner, ShowStatus).await, ErrorCode::Forbidden);
        assert_eq!(
            world.refusal(&Caller::anonymous(), ShowStatus).await,
            ErrorCode::Unauthenticated
        );
    }

    #[tokio::test]
    async fn it_shows_who_lives_and_where_the_log_ends() {
        let world = World::new();
        world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let epoch = world.store.join(Duration::from_secs(15)).await.unwrap();
        let status = world.send(&operator(), ShowStatus).await.unwrap();
        assert_eq!(status.nodes.len(), 1);
        assert_eq!(
            (status.nodes[0].epoch, status.nodes[0].lease_us),
            (epoch, 15_000_000)
        );
        assert!(status.head > 0 && status.failing.is_empty());
        assert!(status.queue.iter().all(|depth| depth.rows == 0));
    }
}

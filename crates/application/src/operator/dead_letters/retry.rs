use crate::{
    Error, Result,
    access::{AsOperator, OperatorScope},
    mediator::{Handles, Request},
    ports::{DeadLetterId, DeadLetterRepository, Store, UnitOfWork as _},
};

/// Has an event delivered again, and after it those of its aggregate that wait for it. It happens soon after this is
/// answered, by the node that runs the subscriber; if the subscriber refuses it again, it stays where it is.
#[derive(Debug)]
pub struct RetryDeadLetter {
    /// Which.
    pub letter: DeadLetterId,
}

impl Request for RetryDeadLetter {
    type Output = ();
    type Access = AsOperator;
    const NAME: &'static str = "dead_letter.retry";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

/// Serves [`RetryDeadLetter`].
pub struct RetryDeadLetterHandler<S> {
    store: S,
}

impl<S> RetryDeadLetterHandler<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: Store> Handles<RetryDeadLetter> for RetryDeadLetterHandler<S>
where
    S::Tx: DeadLetterRepository,
{
    async fn handle(&self, scope: OperatorScope, request: RetryDeadLetter) -> Result<(), Error> {
        let mut tx = self.store.begin_as_operator(&scope).await?;
        if !tx.deliver_again(&scope, &request.letter).await? {
            return Err(Error::not_found("dead letter"));
        }
        Ok(tx
            .commit(scope.did(request.letter).answering(&scope, &()))
            .await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        operator::dead_letters::testing::{letter, listed, nobody_else_may, two_set_aside},
        testing::{World, operator},
    };

    #[tokio::test]
    async fn what_was_refused_is_delivered_again_and_what_only_waits_is_not() {
        let world = World::new();
        two_set_aside(&world).await;
        let operator = operator();
        let retry = |position| RetryDeadLetter {
            letter: letter(position),
        };
        for position in [2, 3] {
            assert_eq!(
                world.refusal(&operator, retry(position)).await,
                ErrorCode::NotFound
            );
        }
        assert!(!listed(&world).await[0].again);
        world.send(&operator, retry(1)).await.unwrap();
        assert!(listed(&world).await[0].again);
    }

    #[tokio::test]
    async fn nobody_else_retries() {
        nobody_else_may(RetryDeadLetter { letter: letter(1) }).await;
    }
}

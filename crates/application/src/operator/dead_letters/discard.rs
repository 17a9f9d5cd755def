use crate::{
    Error, Result,
    access::{AsOperator, OperatorScope},
    mediator::{Handles, Request},
    ports::{DeadLetterId, DeadLetterRepository, Store, UnitOfWork as _},
};

/// Gives an event up. The node that runs the subscriber passes it over soon after this is answered, and delivers those
/// of its aggregate that wait for it, in order.
#[derive(Debug)]
pub struct DiscardDeadLetter {
    /// Which.
    pub letter: DeadLetterId,
}

/// What follows one that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscardedDeadLetter {
    /// How many later events of its aggregate waited for it, as far as they are written down.
    pub held_back: u32,
}

impl Request for DiscardDeadLetter {
    type Output = DiscardedDeadLetter;
    type Access = AsOperator;
    const NAME: &'static str = "dead_letter.discard";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

/// Serves [`DiscardDeadLetter`].
pub struct DiscardDeadLetterHandler<S> {
    store: S,
}

impl<S> DiscardDeadLetterHandler<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: Store> Handles<DiscardDeadLetter> for DiscardDeadLetterHandler<S>
where
    S::Tx: DeadLetterRepository,
{
    async fn handle(
        &self,
        scope: OperatorScope,
        request: DiscardDeadLetter,
    ) -> Result<DiscardedDeadLetter, Error> {
        let mut tx = self.store.begin_as_operator(&scope).await?;
        let held_back = tx.discard(&scope, &request.letter).await?;
        let held_back = held_back.ok_or_else(|| Error::not_found("dead letter"))?;
        tx.commit(scope.did(request.letter)).await?;
        Ok(DiscardedDeadLetter { held_back })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorCode,
        operator::{
            RetryDeadLetter,
            dead_letters::testing::{letter, listed, nobody_else_may, two_set_aside},
        },
        ports::RelayCursors as _,
        testing::{World, operator},
    };

    #[tokio::test]
    async fn what_is_discarded_is_gone_from_the_list_and_what_only_waits_is_not_discarded() {
        let world = World::new();
        two_set_aside(&world).await;
        let operator = operator();
        let discard = |position| DiscardDeadLetter {
            letter: letter(position),
        };
        for position in [2, 3] {
            assert_eq!(
                world.refusal(&operator, discard(position)).await,
                ErrorCode::NotFound
            );
        }
        let discarded = world.send(&operator, discard(1)).await.unwrap();
        assert_eq!(discarded.held_back, 1);
        assert_eq!(listed(&world).await, []);
        assert_eq!(world.refusal(&operator, discard(1)).await, ErrorCode::NotFound);
        let retry = RetryDeadLetter { letter: letter(1) };
        assert_eq!(world.refusal(&operator, retry).await, ErrorCode::NotFound);
        let again = world.store.to_deliver_again("sink", 9).await.unwrap();
        assert!(again[0].discarded && again.len() == 1, "{again:?}");
    }

    #[tokio::test]
    async fn nobody_else_discards() {
        nobody_else_may(DiscardDeadLetter { letter: letter(1) }).await;
    }
}

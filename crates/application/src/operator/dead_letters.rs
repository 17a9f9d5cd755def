//! Events that a subscriber could not take: looking at them, having them delivered again, and giving them up.

use crate::{
    Error, Result,
    access::{AsOperator, OperatorScope},
    mediator::{Handles, Request},
    ports::{
        DeadLetterId, DeadLetterRepository, DeadLetterView, OperatorViews, Page, PageRequest, Store,
        UnitOfWork as _,
    },
};

/// Lists events that were set aside, the oldest first.
#[derive(Debug)]
pub struct ListDeadLetters {
    /// Which piece of the list.
    pub page: PageRequest<DeadLetterId>,
}

/// Has an event delivered again, and after it those of its aggregate that wait for it. It happens soon after this is
/// answered, by the node that runs the subscriber; if the subscriber refuses it again, it stays where it is.
#[derive(Debug)]
pub struct RetryDeadLetter {
    /// Which.
    pub letter: DeadLetterId,
}

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

impl Request for ListDeadLetters {
    type Output = Page<DeadLetterView, DeadLetterId>;
    type Access = AsOperator;
    const NAME: &'static str = "dead_letter.list";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

impl Request for RetryDeadLetter {
    type Output = ();
    type Access = AsOperator;
    const NAME: &'static str = "dead_letter.retry";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

impl Request for DiscardDeadLetter {
    type Output = DiscardedDeadLetter;
    type Access = AsOperator;
    const NAME: &'static str = "dead_letter.discard";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

/// Serves [`ListDeadLetters`].
pub struct ListDeadLettersHandler<S> {
    views: S,
}

impl<S> ListDeadLettersHandler<S> {
    pub(crate) const fn new(views: S) -> Self {
        Self { views }
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

/// Serves [`DiscardDeadLetter`].
pub struct DiscardDeadLetterHandler<S> {
    store: S,
}

impl<S> DiscardDeadLetterHandler<S> {
    pub(crate) const fn new(store: S) -> Self {
        Self { store }
    }
}

impl<S: OperatorViews> Handles<ListDeadLetters> for ListDeadLettersHandler<S> {
    async fn handle(
        &self,
        scope: OperatorScope,
        request: ListDeadLetters,
    ) -> Result<Page<DeadLetterView, DeadLetterId>, Error> {
        Ok(self.views.dead_letters(&scope, request.page).await?)
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
        ports::{AggregateKey, NodeRegistry as _, RelayCursors as _, SetAside, StartAt},
        testing::{World, operator},
    };
    use postrider_domain::access::{Grant, Role};
    use std::time::Duration;

    fn letter(position: i64) -> DeadLetterId {
        DeadLetterId {
            position,
            subscriber: "sink".to_owned(),
        }
    }

    /// Sets positions 1 (refused) and 2 (which waits for it) aside.
    async fn two_set_aside(world: &World) {
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

    #[tokio::test]
    async fn what_was_refused_is_listed_and_delivered_again_and_what_waits_is_not() {
        let world = World::new();
        two_set_aside(&world).await;
        let operator = operator();
        let list = || ListDeadLetters {
            page: PageRequest::first(10),
        };
        let listed = world.send(&operator, list()).await.unwrap().items;
        let [only] = <[_; 1]>::try_from(listed).unwrap();
        assert_eq!(
            (only.id.clone(), only.attempts, only.holds_back),
            (letter(1), 8, 1)
        );
        assert!(!only.again);
        for (position, expected) in [
            (2, Err(ErrorCode::NotFound)),
            (3, Err(ErrorCode::NotFound)),
            (1, Ok(())),
        ] {
            let request = RetryDeadLetter {
                letter: letter(position),
            };
            let retried = world.send(&operator, request).await;
            assert_eq!(retried.map_err(|error| error.code()), expected, "{position}");
        }
        assert!(world.send(&operator, list()).await.unwrap().items[0].again);
    }

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
        let page = PageRequest::first(10);
        let listed = world.send(&operator, ListDeadLetters { page }).await.unwrap();
        assert_eq!(listed.items, []);
        assert_eq!(world.refusal(&operator, discard(1)).await, ErrorCode::NotFound);
        let retry = RetryDeadLetter { letter: letter(1) };
        assert_eq!(world.refusal(&operator, retry).await, ErrorCode::NotFound);
        let again = world.store.to_deliver_again("sink", 9).await.unwrap();
        assert!(again[0].discarded && again.len() == 1, "{again:?}");
    }

    #[tokio::test]
    async fn nobody_else_may() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let request = ListDeadLetters {
            page: PageRequest::first(10),
        };
        assert_eq!(world.refusal(&owner, request).await, ErrorCode::Forbidden);
        let request = RetryDeadLetter { letter: letter(1) };
        assert_eq!(world.refusal(&owner, request).await, ErrorCode::Forbidden);
        let request = DiscardDeadLetter { letter: letter(1) };
        assert_eq!(world.refusal(&owner, request).await, ErrorCode::Forbidden);
    }
}

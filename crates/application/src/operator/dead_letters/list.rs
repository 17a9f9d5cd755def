use crate::{
    Error, Result,
    access::{AsOperator, OperatorScope},
    mediator::{Handles, Request},
    ports::{DeadLetterId, DeadLetterView, OperatorViews, Page, PageRequest},
};

/// Lists events that were set aside, the oldest first.
#[derive(Debug)]
pub struct ListDeadLetters {
    /// Which piece of the list.
    pub page: PageRequest<DeadLetterId>,
}

impl Request for ListDeadLetters {
    type Output = Page<DeadLetterView, DeadLetterId>;
    type Access = AsOperator;
    const NAME: &'static str = "dead_letter.list";

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

impl<S: OperatorViews> Handles<ListDeadLetters> for ListDeadLettersHandler<S> {
    async fn handle(
        &self,
        scope: OperatorScope,
        request: ListDeadLetters,
    ) -> Result<Page<DeadLetterView, DeadLetterId>, Error> {
        Ok(self.views.dead_letters(&scope, request.page).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        operator::dead_letters::testing::{letter, listed, nobody_else_may, two_set_aside},
        testing::World,
    };

    #[tokio::test]
    async fn what_was_refused_is_listed_and_what_waits_for_it_is_counted() {
        let world = World::new();
        two_set_aside(&world).await;
        let [only] = listed(&world).await.try_into().unwrap();
        assert_eq!((only.id, only.attempts, only.holds_back), (letter(1), 8, 1));
        assert!(!only.again);
    }

    #[tokio::test]
    async fn nobody_else_looks() {
        let page = PageRequest::first(10);
        nobody_else_may(ListDeadLetters { page }).await;
    }
}

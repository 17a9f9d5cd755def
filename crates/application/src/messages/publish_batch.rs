use std::sync::Arc;

use postrider_domain::{InvalidValue, Rule, access::Permission, applications::ApplicationRef};

use tracing::{Instrument as _, Span};

use super::draft::{Drafted, Drafts, MessageDraft, Published, Publishing, record, record_failure, refusal};
use crate::{
    Error, ErrorCode, Ports, Result, Settings, Violation,
    access::{ApplicationScope, OnApplication},
    mediator::{Handles, Request, log_failure},
    ports::{AcceptMessage, Accepted, BatchRefused, IntakeError, MessageIntake},
};

/// Publishes several events to one application: all or none, or each on its own.
#[derive(Debug)]
pub struct PublishBatch {
    /// The application that receives them.
    pub application: ApplicationRef,
    /// What is published; of one that cannot be, why. Errors name its fields as if it stood alone.
    pub messages: Vec<Result<MessageDraft>>,
    /// Whether all of them are to be durable, or none.
    pub atomic: bool,
}

impl PublishBatch {
    /// The most messages of a batch.
    pub const MAX: usize = 100;

    /// Whether it came under one key for all of its messages.
    fn has_key(&self) -> bool {
        let keys = self
            .messages
            .iter()
            .flatten()
            .filter_map(|draft| draft.dedup_key.as_ref());
        keys.into_iter().any(|key| key.batch().is_some())
    }
}

impl Request for PublishBatch {
    /// In the order of the batch.
    type Output = Vec<Result<Published>>;
    type Access = OnApplication;
    const NAME: &'static str = "message.publish_batch";

    fn access(&self) -> OnApplication {
        OnApplication(self.application.clone(), Permission::MessagesPublish)
    }

    fn validate(&self) -> Result<()> {
        let refuse = |rule, message: &str| {
            Err(Error::invalid_field(
                "messages",
                InvalidValue::new(rule, message.to_owned()),
            ))
        };
        match self.messages.len() {
            0 => refuse(Rule::Required, "must not be empty"),
            1..=Self::MAX => Ok(()),
            _ => refuse(Rule::TooLong, "must have at most 100 entries"),
        }
    }
}

/// Serves [`PublishBatch`].
pub struct PublishBatchHandler<S> {
    intake: Arc<dyn MessageIntake>,
    drafts: Drafts,
    store: std::marker::PhantomData<fn() -> S>,
}

impl<S> PublishBatchHandler<S> {
    pub(crate) fn new(ports: &Ports<S>, settings: &Settings) -> Self {
        Self {
            intake: ports.intake.clone(),
            drafts: Drafts::new(ports, settings),
            store: std::marker::PhantomData,
        }
    }

    /// Nothing is stored before everything was looked at.
    async fn all_or_none(
        &self,
        scope: &ApplicationScope,
        drafts: Vec<Result<MessageDraft>>,
    ) -> Result<Vec<Result<Published>>> {
        let (mut accept, mut warnings) = (Vec::with_capacity(drafts.len()), Vec::with_capacity(drafts.len()));
        let (mut created, mut violations) = (Vec::new(), Vec::new());
        for (index, draft) in drafts.into_iter().enumerate() {
            let drafted = match draft {
                Ok(draft) => self.drafts.accept(scope, draft, Publishing::InBatch).await,
                Err(error) => Err(error),
            };
            match drafted {
                Ok(drafted) => {
                    accept.push(drafted.accept);
                    warnings.push(drafted.warnings);
                    created.push(drafted.span);
                }
                // Violations are told together; anything else by itself.
                Err(error) if error.violations().is_empty() => return Err(error.of_item("messages", index)),
                Err(error) => violations.extend(error.of_item("messages", index).into_violations()),
            }
        }
        if !violations.is_empty() {
            violations.truncate(MAX_VIOLATIONS);
            return Err(Error::invalid(violations));
        }
        let published = self
            .store_together(scope, accept, warnings, created)
            .await
            .map_err(refused)?;
        Ok(published.into_iter().map(Ok).collect())
    }

    /// Each on its own as far as it is looked at; what is good is stored in one transaction, so that another batch under
    /// the same key is told from a repetition before anything of it is stored.
    async fn each_under_one_key(
        &self,
        scope: &ApplicationScope,
        drafts: Vec<Result<MessageDraft>>,
    ) -> Result<Vec<Result<Published>>> {
        let vet = async |draft: Result<MessageDraft>| {
            let drafted = self.drafts.accept(scope, draft?, Publishing::InBatch);
            drafted.await
        };
        let (mut accept, mut warnings) = (Vec::with_capacity(drafts.len()), Vec::with_capacity(drafts.len()));
        let mut created = Vec::new();
        let mut results = Vec::with_capacity(drafts.len());
        for vetted in together(drafts.into_iter().map(vet)).await {
            results.push(vetted.map(|drafted| {
                accept.push(drafted.accept);
                warnings.push(drafted.warnings);
                created.push(drafted.span);
            }));
        }
        let mut published = Vec::new().into_iter();
        if !accept.is_empty() {
            let stored = self.store_together(scope, accept, warnings, created).await;
            // Its place among the good ones says nothing to the caller.
            published = stored
                .map_err(|batch| refusal_under_key(batch.error))?
                .into_iter();
        }
        let results: Vec<_> = results
            .into_iter()
            .filter_map(|vetted| match vetted {
                Ok(()) => published.next().map(Ok),
                Err(error) => Some(Err(error)),
            })
            .collect();
        log_failures(&results);
        Ok(results)
    }

    async fn store_together(
        &self,
        scope: &ApplicationScope,
        accept: Vec<AcceptMessage>,
        warnings: Vec<Vec<Violation>>,
        created: Vec<Span>,
    ) -> Result<Vec<Published>, BatchRefused> {
        let ids: Vec<_> = accept.iter().map(|accept| accept.message.id).collect();
        let span = self.drafts.sending(scope, &created);
        let accepting = self.intake.accept_all(scope, accept).instrument(span.clone());
        let accepted = accepting
            .await
            .inspect_err(|_| record_failure(&span, "refused"))?;
        let published = accepted.into_iter().zip(ids).zip(warnings);
        Ok(published
            .map(|((accepted, id), warnings)| published_as(accepted, id, warnings))
            .collect())
    }

    /// At the same time, so that they are committed together.
    async fn each(
        &self,
        scope: &ApplicationScope,
        drafts: Vec<Result<MessageDraft>>,
    ) -> Vec<Result<Published>> {
        let one = async |draft: Result<MessageDraft>| {
            let Drafted {
                accept,
                warnings,
                span,
            } = self.drafts.accept(scope, draft?, Publishing::Alone).await?;
            let id = accept.message.id;
            let accepted = self.accept(scope, accept).instrument(span.clone()).await;
            record(&span, &accepted);
            Ok(published_as(accepted?, id, warnings))
        };
        let results: Vec<Result<Published>> = together(drafts.into_iter().map(one)).await;
        log_failures(&results);
        results
    }

    async fn accept(&self, scope: &ApplicationScope, accept: AcceptMessage) -> Result<Accepted> {
        self.intake.accept(scope, accept).await.map_err(refusal)
    }
}

/// The most violations that are told of a batch.
const MAX_VIOLATIONS: usize = 100;

fn published_as(accepted: Accepted, id: postrider_domain::MessageId, warnings: Vec<Violation>) -> Published {
    let (id, replayed) = match accepted {
        Accepted::New => (id, false),
        Accepted::Replayed(earlier) => (earlier, true),
    };
    Published {
        id,
        replayed,
        warnings,
    }
}

fn refused(batch: BatchRefused) -> Error {
    let error = refusal(batch.error);
    match batch.index {
        Some(index) => error.of_item("messages", index),
        None => error,
    }
}

/// What the caller is told of a batch whose key makes it one.
fn refusal_under_key(error: IntakeError) -> Error {
    match error {
        IntakeError::KeyConflict => Error::new(
            ErrorCode::IdempotencyConflict,
            "an earlier batch with this key was another one; nothing of this one is stored",
        ),
        error => refusal(error),
    }
}

/// The batch succeeds, so nobody else tells of what failed in it.
fn log_failures(results: &[Result<Published>]) {
    results
        .iter()
        .filter_map(|result| result.as_ref().err())
        .for_each(log_failure);
}

/// Drives all of the futures at the same time, in this task; their outputs, in their order.
async fn together<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(move |context| {
        let mut waits = false;
        for (future, output) in &mut running {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => waits = true,
                }
            }
        }
        if waits {
            return std::task::Poll::Pending;
        }
        let outputs = std::mem::take(&mut running).into_iter();
        std::task::Poll::Ready(outputs.filter_map(|(_, output)| output).collect())
    })
    .await
}

impl<S> Handles<PublishBatch> for PublishBatchHandler<S> {
    async fn handle(
        &self,
        scope: ApplicationScope,
        request: PublishBatch,
    ) -> Result<Vec<Result<Published>>, Error> {
        if request.atomic {
            self.all_or_none(&scope, request.messages).await
        } else if request.has_key() {
            self.each_under_one_key(&scope, request.messages).await
        } else {
            Ok(self.each(&scope, request.messages).await)
        }
    }
}

#[cfg(test)]
#[path = "publish_batch_tests.rs"]
mod tests;

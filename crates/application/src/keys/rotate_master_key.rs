use std::sync::Arc;

use crate::{
    Error, ErrorCode, Ports, Result,
    access::{AsOperator, OperatorScope},
    mediator::{Handles, Request},
    ports::{ReencryptionError, SecretsReencryption},
};

/// The most secrets of one batch.
const BATCH: u32 = 200;

/// Re-encrypts everything that is stored secretly with the current master key, in batches, while nodes serve. All
/// nodes must seal with that key already, and know the old one beside it: as long as one still seals with another, it
/// is refused. It may be repeated, and goes on where it must.
#[derive(Debug)]
pub struct RotateMasterKey;

/// What a rotation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotatedMasterKey {
    /// How many secrets were re-encrypted.
    pub changed: u64,
}

impl Request for RotateMasterKey {
    type Output = RotatedMasterKey;
    type Access = AsOperator;
    const NAME: &'static str = "master_key.rotate";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

/// Serves [`RotateMasterKey`].
pub struct RotateMasterKeyHandler<S> {
    secrets: Arc<dyn SecretsReencryption>,
    store: std::marker::PhantomData<fn() -> S>,
}

impl<S> RotateMasterKeyHandler<S> {
    pub(crate) fn new(ports: &Ports<S>) -> Self {
        Self {
            secrets: ports.reencryption.clone(),
            store: std::marker::PhantomData,
        }
    }

    /// One way through all secrets: how many were re-encrypted.
    async fn pass(&self) -> Result<u64> {
        let (mut changed, mut after) = (0, None);
        loop {
            let batch = self.secrets.reencrypt(after, BATCH).await?;
            if batch.unreadable > 0 {
                return Err(Error::new(
                    ErrorCode::Internal,
                    "some stored secrets open with no known master key: add the key that sealed them, and repeat",
                ));
            }
            changed += u64::from(batch.changed);
            after = batch.next;
            if after.is_none() {
                return Ok(changed);
            }
        }
    }
}

impl<S: 'static> Handles<RotateMasterKey> for RotateMasterKeyHandler<S> {
    async fn handle(&self, scope: OperatorScope, _: RotateMasterKey) -> Result<RotatedMasterKey, Error> {
        let mut changed = 0;
        let begun = self.secrets.begin_reencryption().await.map_err(refusal)?;
        // Until a whole pass found nothing: what was being stored when the first of them looked is found by the next.
        loop {
            match self.pass().await? {
                0 => break,
                more => changed += more,
            }
        }
        let record = scope.did("master_key");
        self.secrets
            .finish_reencryption(begun, record)
            .await
            .map_err(refusal)?;
        Ok(RotatedMasterKey { changed })
    }
}

fn refusal(error: ReencryptionError) -> Error {
    let detail = match error {
        ReencryptionError::Store(cause) => return cause.into(),
        ReencryptionError::KeysInUse { nodes: 1 } => {
            "1 node still seals with another master key: restart it with the new one first".to_owned()
        }
        ReencryptionError::KeysInUse { nodes } => {
            format!("{nodes} nodes still seal with another master key: restart them with the new one first")
        }
    };
    Error::new(ErrorCode::KeysInUse, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::Record,
        ports::{Epoch, Reencrypted, ReencryptionCursor, StoreError},
        testing::{World, operator},
    };
    use mockall::Sequence;

    mockall::mock! {
        Secrets {}
        #[async_trait::async_trait]
        impl SecretsReencryption for Secrets {
            async fn begin_reencryption(&self) -> Result<Epoch, ReencryptionError>;
            async fn reencrypt(&self, after: Option<ReencryptionCursor>, limit: u32) -> Result<Reencrypted, StoreError>;
            async fn finish_reencryption(&self, since: Epoch, record: Record) -> Result<(), ReencryptionError>;
        }
    }

    const BEGUN: Epoch = Epoch(7);

    fn in_use<T>(nodes: u64) -> Result<T, ReencryptionError> {
        Err(ReencryptionError::KeysInUse { nodes })
    }

    /// Secrets whose batches, in this order, change and fail to open so many.
    fn batches(script: &[(u32, u32, bool)]) -> MockSecrets {
        let (mut secrets, mut order) = (MockSecrets::new(), Sequence::new());
        secrets
            .expect_begin_reencryption()
            .times(1)
            .in_sequence(&mut order)
            .return_once(|| Ok(BEGUN));
        let mut expected = None;
        for (nth, (changed, unreadable, more)) in (0..).zip(script.iter().copied()) {
            let next = more.then(|| ReencryptionCursor(vec![nth]));
            let (after, answer) = (expected, next.clone());
            secrets
                .expect_reencrypt()
                .times(1)
                .in_sequence(&mut order)
                .withf(move |at, limit| (at, *limit) == (&after, BATCH))
                .return_once(move |_, _| {
                    Ok(Reencrypted {
                        changed,
                        unreadable,
                        next: answer,
                    })
                });
            expected = next;
        }
        secrets
    }

    async fn rotate(secrets: MockSecrets) -> Result<u64> {
        let world = World::new().with_reencryption(secrets);
        let rotated = world.send(&operator(), RotateMasterKey).await?;
        Ok(rotated.changed)
    }

    #[tokio::test]
    async fn passes_are_made_until_one_finds_nothing() {
        let mut secrets = batches(&[
            (200, 0, true),
            (3, 0, false),
            (0, 0, true),
            (1, 0, false),
            (0, 0, false),
        ]);
        secrets
            .expect_finish_reencryption()
            .times(1)
            .withf(|since, record| {
                *since == BEGUN
                    && matches!(record, Record::Entry(entry) if entry.target.as_deref() == Some("master_key"))
            })
            .return_once(|_, _| Ok(()));
        assert_eq!(rotate(secrets).await.unwrap(), 204);
    }

    #[tokio::test]
    async fn nothing_is_begun_while_a_node_seals_with_another_key() {
        for (nodes, said) in [(1, "1 node still seals"), (3, "3 nodes still seal")] {
            let mut secrets = MockSecrets::new();
            secrets
                .expect_begin_reencryption()
                .return_once(move || in_use(nodes));
            let refused = rotate(secrets).await.unwrap_err();
            assert_eq!(refused.code(), ErrorCode::KeysInUse);
            assert!(refused.detail().starts_with(said), "{}", refused.detail());
        }
    }

    #[tokio::test]
    async fn a_node_that_joined_with_another_key_meanwhile_is_noticed_at_the_end() {
        let mut secrets = batches(&[(0, 0, false)]);
        secrets.expect_finish_reencryption().return_once(|_, _| in_use(1));
        assert_eq!(rotate(secrets).await.unwrap_err().code(), ErrorCode::KeysInUse);
    }

    #[tokio::test]
    async fn what_does_not_open_ends_it_before_the_end() {
        // No end is expected.
        let secrets = batches(&[(1, 0, true), (0, 1, true)]);
        assert_eq!(rotate(secrets).await.unwrap_err().code(), ErrorCode::Internal);
    }
}

use std::sync::Arc;

use crate::{
    Error, ErrorCode, Ports, Result,
    access::{AsOperator, OperatorScope},
    mediator::{Handles, Request},
    ports::SecretsReencryption,
};

/// The most secrets of one batch.
const BATCH: u32 = 200;

/// Re-encrypts everything that is stored secretly with the current master key, in batches, while nodes serve. All
/// nodes must know the current key already, beside the old one. It may be repeated, and goes on where it must.
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
        // Until a whole pass found nothing: what was stored meanwhile by a node that still sealed with the old key
        // is found by the next.
        loop {
            match self.pass().await? {
                0 => break,
                more => changed += more,
            }
        }
        self.secrets.finish_reencryption(scope.did("master_key")).await?;
        Ok(RotatedMasterKey { changed })
    }
}

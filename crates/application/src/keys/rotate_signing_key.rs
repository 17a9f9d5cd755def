use std::sync::Arc;

use crate::{
    Error, Ports, Result,
    access::{AsOperator, OperatorScope},
    mediator::{Handles, Request},
    ports::{OldKeys, RotatedSigningKey, SigningKeys},
};

/// Makes a new key to sign access tokens with.
#[derive(Debug)]
pub struct RotateSigningKey {
    /// What becomes of the old ones. Where a key goes, so do its access and portal tokens: people's clients refresh;
    /// portals ask for new tokens.
    pub old: OldKeys,
}

impl Request for RotateSigningKey {
    type Output = RotatedSigningKey;
    type Access = AsOperator;
    const NAME: &'static str = "signing_key.rotate";

    fn access(&self) -> AsOperator {
        AsOperator
    }
}

/// Serves [`RotateSigningKey`].
pub struct RotateSigningKeyHandler<S> {
    keys: Arc<dyn SigningKeys>,
    store: std::marker::PhantomData<fn() -> S>,
}

impl<S> RotateSigningKeyHandler<S> {
    pub(crate) fn new(ports: &Ports<S>) -> Self {
        Self {
            keys: ports.signing_keys.clone(),
            store: std::marker::PhantomData,
        }
    }
}

impl<S> Handles<RotateSigningKey> for RotateSigningKeyHandler<S> {
    async fn handle(
        &self,
        scope: OperatorScope,
        request: RotateSigningKey,
    ) -> Result<RotatedSigningKey, Error> {
        self.keys.rotate(scope.did("signing_keys"), request.old).await
    }
}

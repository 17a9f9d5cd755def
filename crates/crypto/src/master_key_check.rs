use postrider_application::ports::{InstallationFacts, MasterKeyCheck, StoreError};
use thiserror::Error;

use crate::{AeadSealer, KeyId};

/// Why a node must not start with these master keys.
#[derive(Debug, Error)]
pub enum MasterKeyCheckError {
    /// The data was sealed with another key, or the check value was altered.
    #[error(
        "the configured master key (id {configured}) is not the one that this installation's secrets are sealed \
         with (id {stored}), and no other known key is; configure that one, or the secrets cannot be read"
    )]
    WrongMasterKey {
        /// Which key is configured as the current one.
        configured: KeyId,
        /// Which key sealed the stored check value, as far as it says.
        stored: KeyId,
    },
    /// The check value cannot be read or stored.
    #[error("the master key cannot be checked against the database")]
    Store(#[from] StoreError),
}

/// Holds the known master keys against the installation's: stores a check value, sealed with the current key, at the
/// first start, and opens it at every later one. If no known key opens it, that is
/// [`MasterKeyCheckError::WrongMasterKey`].
///
/// Any known key will do, as while the master key is being replaced the check value is still sealed with the old one,
/// and for nodes that were not told of the new one as their current one, it is afterwards sealed with another.
pub async fn verify_master_key(
    facts: &dyn InstallationFacts,
    sealer: &AeadSealer,
) -> Result<(), MasterKeyCheckError> {
    let stored = facts
        .get_or_insert(MasterKeyCheck::NAME, MasterKeyCheck::sealed(sealer))
        .await?;
    if MasterKeyCheck::opens(sealer, &stored) {
        return Ok(());
    }
    Err(MasterKeyCheckError::WrongMasterKey {
        configured: sealer.key_id(),
        stored: KeyId::named_in(&stored),
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Mutex};

    use async_trait::async_trait;

    use super::*;
    use crate::test_support::{knowing, sealer};

    #[derive(Default)]
    struct Facts(Mutex<HashMap<String, Vec<u8>>>);

    #[async_trait]
    impl InstallationFacts for Facts {
        async fn get_or_insert(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>, StoreError> {
            Ok(self
                .0
                .lock()
                .unwrap()
                .entry(name.to_owned())
                .or_insert(value)
                .clone())
        }
    }

    #[tokio::test]
    async fn the_first_key_is_the_only_one_that_is_accepted_afterwards() {
        let facts = Facts::default();
        let (right, wrong) = (sealer(1), sealer(2));
        verify_master_key(&facts, &right).await.unwrap();
        verify_master_key(&facts, &right).await.unwrap();
        let error = verify_master_key(&facts, &wrong).await.unwrap_err();
        assert!(matches!(
            &error,
            MasterKeyCheckError::WrongMasterKey { configured, stored }
                if *configured == wrong.key_id() && *stored == right.key_id()
        ));
        assert!(error.to_string().contains(&right.key_id().to_string()));
        verify_master_key(&facts, &right).await.unwrap();
    }

    /// The nodes of an installation, one after the other, through the replacement of key 1 by key 2.
    #[tokio::test]
    async fn the_check_passes_throughout_a_rotation_and_refuses_whom_it_left_behind() {
        let facts = Facts::default();
        verify_master_key(&facts, &sealer(1)).await.unwrap();
        // Every node learns of the new key first, then seals with it.
        verify_master_key(&facts, &knowing(1, &[2])).await.unwrap();
        verify_master_key(&facts, &knowing(2, &[1])).await.unwrap();
        // Who does not know the old one yet needs it.
        assert!(verify_master_key(&facts, &sealer(2)).await.is_err());
        // Everything is re-encrypted, the check value last.
        let resealed = MasterKeyCheck::sealed(&sealer(2));
        facts
            .0
            .lock()
            .unwrap()
            .insert(MasterKeyCheck::NAME.to_owned(), resealed);
        for known in [knowing(2, &[1]), knowing(1, &[2]), sealer(2)] {
            verify_master_key(&facts, &known).await.unwrap();
        }
        let left_behind = verify_master_key(&facts, &knowing(1, &[3])).await.unwrap_err();
        assert!(matches!(
            left_behind,
            MasterKeyCheckError::WrongMasterKey { configured, stored }
                if configured == sealer(1).key_id() && stored == sealer(2).key_id()
        ));
    }

    #[tokio::test]
    async fn an_altered_or_empty_check_value_is_no_panic() {
        for stored in [vec![], vec![1], vec![1, 2, 3], vec![0; 200]] {
            let facts = Facts(Mutex::new(HashMap::from([(
                MasterKeyCheck::NAME.to_owned(),
                stored,
            )])));
            let checked = verify_master_key(&facts, &sealer(1)).await;
            assert!(matches!(checked, Err(MasterKeyCheckError::WrongMasterKey { .. })));
        }
    }
}

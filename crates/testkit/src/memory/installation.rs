use async_trait::async_trait;
use postrider_application::ports::{InstallationFacts, SigningKeyStore, StoreError, StoredSigningKey};

use super::store::MemoryStore;

#[async_trait]
impl SigningKeyStore for MemoryStore {
    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>, StoreError> {
        let mut keys = self.state().signing_keys.clone();
        keys.sort_by_key(|key| std::cmp::Reverse(key.created_at));
        Ok(keys)
    }

    async fn add_first_signing_key(&self, key: StoredSigningKey) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.signing_keys.is_empty() {
            state.signing_keys.push(key);
        }
        Ok(())
    }
}

#[async_trait]
impl InstallationFacts for MemoryStore {
    async fn get_or_insert(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let mut state = self.state();
        Ok(state.facts.entry(name.to_owned()).or_insert(value).clone())
    }
}

use async_trait::async_trait;
use postrider_application::{
    audit::Record,
    ports::{
        Epoch, InstallationFacts, Reencrypted, ReencryptionCursor, ReencryptionError, RetiredKeys,
        SecretsReencryption, SigningKeyStore, StoreError, StoredSigningKey,
    },
};

use super::{state::fault, store::MemoryStore};

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

    async fn add_signing_key(
        &self,
        key: StoredSigningKey,
        retired: RetiredKeys,
        record: Record,
    ) -> Result<Vec<String>, StoreError> {
        let mut state = self.state();
        state.may_append(&record)?;
        if state.signing_keys.iter().any(|known| known.kid == key.kid) {
            return Err(fault("a signing key's id is given once"));
        }
        state.signing_keys.push(key);
        state.signing_keys.sort_by_key(|key| key.created_at);
        let mut gone: Vec<String> = state
            .signing_keys
            .windows(2)
            .filter(|pair| pair[1].created_at < retired.replaced_before)
            .map(|pair| pair[0].kid.clone())
            .collect();
        let named = |key: &&StoredSigningKey| retired.named.contains(&key.kid) && !gone.contains(&key.kid);
        let named: Vec<String> = state
            .signing_keys
            .iter()
            .filter(named)
            .map(|key| key.kid.clone())
            .collect();
        gone.extend(named);
        state.signing_keys.retain(|key| !gone.contains(&key.kid));
        state.append(record);
        Ok(gone)
    }
}

#[async_trait]
impl InstallationFacts for MemoryStore {
    async fn get_or_insert(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let mut state = self.state();
        Ok(state.facts.entry(name.to_owned()).or_insert(value).clone())
    }
}

/// Nothing is sealed in memory, so there is nothing to be sealed anew; only the record remains.
#[async_trait]
impl SecretsReencryption for MemoryStore {
    async fn begin_reencryption(&self) -> Result<Epoch, ReencryptionError> {
        let last = self.state().hot.nodes.keys().next_back().copied();
        Ok(last.unwrap_or(Epoch(0)))
    }

    async fn reencrypt(&self, _: Option<ReencryptionCursor>, _: u32) -> Result<Reencrypted, StoreError> {
        Ok(Reencrypted {
            changed: 0,
            unreadable: 0,
            next: None,
        })
    }

    async fn finish_reencryption(&self, _: Epoch, record: Record) -> Result<(), ReencryptionError> {
        let mut state = self.state();
        state.may_append(&record)?;
        state.append(record);
        Ok(())
    }
}

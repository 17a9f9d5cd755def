//! What the installation knows of itself. On [`Database`] rather than on the store: it is needed before the
//! master key is known to be right.

use async_trait::async_trait;
use postrider_application::ports::{InstallationFacts, SigningKeyStore, StoreError, StoredSigningKey};
use sea_orm::{ConnectionTrait as _, FromQueryResult};

use crate::{
    SqlStore,
    codec::timestamp,
    connection::{Database, Scope},
    error::{OrStoreError as _, advisory_lock, fault},
};

/// The most signing keys that are read. There are as many as were not yet retired, which is two.
const MAX_SIGNING_KEYS: i64 = 100;

#[derive(FromQueryResult)]
struct KeyRow {
    kid: String,
    sealed_private_key: Vec<u8>,
    created_at: i64,
}

#[derive(FromQueryResult)]
struct FactRow {
    value: Vec<u8>,
}

#[async_trait]
impl SigningKeyStore for Database {
    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>, StoreError> {
        let statement = self.dialect().exactly(
            "SELECT kid, sealed_private_key, created_at FROM signing_keys
             ORDER BY created_at DESC, kid LIMIT $1",
            [MAX_SIGNING_KEYS.into()],
        );
        let rows = self
            .read(Scope::Operator)
            .await?
            .query_all_raw(statement)
            .await
            .or_store_error()?;
        let key = |row| {
            let row = KeyRow::from_query_result(row, "").or_store_error()?;
            Ok(StoredSigningKey {
                kid: row.kid,
                sealed_private_key: row.sealed_private_key,
                created_at: timestamp(row.created_at),
            })
        };
        rows.iter().map(key).collect()
    }

    async fn add_first_signing_key(&self, key: StoredSigningKey) -> Result<(), StoreError> {
        let dialect = self.dialect();
        let transaction = self.begin(Scope::Operator).await?;
        // Two nodes that both see no key would both add one.
        transaction.take_turn(advisory_lock::FIRST_SIGNING_KEY).await?;
        let add = dialect.exactly(
            "INSERT INTO signing_keys (kid, sealed_private_key, created_at)
             SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT 1 FROM signing_keys)",
            [
                key.kid.into(),
                key.sealed_private_key.into(),
                key.created_at.as_micros().into(),
            ],
        );
        transaction.execute_raw(add).await.or_store_error()?;
        transaction.commit().await
    }
}

#[async_trait]
impl InstallationFacts for Database {
    async fn get_or_insert(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let dialect = self.dialect();
        let insert = dialect.exactly(
            "INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            [name.into(), value.into()],
        );
        let transaction = self.begin(Scope::Operator).await?;
        transaction.execute_raw(insert).await.or_store_error()?;
        transaction.commit().await?;
        let read = dialect.exactly("SELECT value FROM installation WHERE name = $1", [name.into()]);
        let row = self
            .read(Scope::Operator)
            .await?
            .query_one_raw(read)
            .await
            .or_store_error()?;
        let row = row.ok_or_else(|| fault("a fact of the installation was stored and is not there"))?;
        Ok(FactRow::from_query_result(&row, "").or_store_error()?.value)
    }
}

#[async_trait]
impl SigningKeyStore for SqlStore {
    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>, StoreError> {
        self.database.signing_keys().await
    }

    async fn add_first_signing_key(&self, key: StoredSigningKey) -> Result<(), StoreError> {
        self.database.add_first_signing_key(key).await
    }
}

#[async_trait]
impl InstallationFacts for SqlStore {
    async fn get_or_insert(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.database.get_or_insert(name, value).await
    }
}

//! What the installation knows of itself. On [`Database`] rather than on the store: it is needed before the
//! master key is known to be right.

use async_trait::async_trait;
use postrider_application::{
    audit::Record,
    ports::{InstallationFacts, RetiredKeys, SigningKeyStore, StoreError, StoredSigningKey},
};
use sea_orm::{ConnectionTrait as _, FromQueryResult, Statement};

use crate::{
    SqlStore, advisory_lock, audit,
    codec::timestamp,
    connection::{Database, Dialect, Scope},
    error::{OrStoreError as _, fault},
};

/// The most signing keys that are read. There are as many as were not yet retired, which is two or three.
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

#[derive(FromQueryResult)]
struct RemovedKey {
    kid: String,
}

/// Adds the key, or only if it is the first.
fn add_key(dialect: Dialect, key: StoredSigningKey, only_the_first: bool) -> Statement {
    let sql = if only_the_first {
        "INSERT INTO signing_keys (kid, sealed_private_key, created_at)
         SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT 1 FROM signing_keys)"
    } else {
        "INSERT INTO signing_keys (kid, sealed_private_key, created_at) VALUES ($1, $2, $3)"
    };
    dialect.exactly(
        sql,
        [
            key.kid.into(),
            key.sealed_private_key.into(),
            key.created_at.as_micros().into(),
        ],
    )
}

/// A key signs until a newer one is there; what it signed last is forgotten some time after that.
const REMOVE_REPLACED: &str = "
DELETE FROM signing_keys WHERE kid IN (
    SELECT old.kid FROM signing_keys old JOIN signing_keys newer ON newer.created_at > old.created_at
    WHERE newer.created_at < $1
) RETURNING kid";
const REMOVE_NAMED: &str = "DELETE FROM signing_keys WHERE kid = $1 RETURNING kid";

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
        let transaction = self.begin(Scope::Operator).await?;
        // Two nodes that both see no key would both add one.
        transaction.take_turn(advisory_lock::SIGNING_KEYS).await?;
        let add = add_key(self.dialect(), key, true);
        transaction.execute_raw(add).await.or_store_error()?;
        transaction.commit().await
    }

    async fn add_signing_key(
        &self,
        key: StoredSigningKey,
        retired: RetiredKeys,
        record: Record,
    ) -> Result<Vec<String>, StoreError> {
        let dialect = self.dialect();
        let transaction = self.begin(Scope::Operator).await?;
        transaction.take_turn(advisory_lock::SIGNING_KEYS).await?;
        transaction
            .execute_raw(add_key(dialect, key, false))
            .await
            .or_store_error()?;
        let before = retired.replaced_before.as_micros();
        let mut removals = vec![dialect.exactly(REMOVE_REPLACED, [before.into()])];
        removals.extend(
            retired
                .named
                .into_iter()
                .map(|kid| dialect.exactly(REMOVE_NAMED, [kid.into()])),
        );
        let mut removed = Vec::new();
        for remove in removals {
            removed.extend(transaction.query_all_raw(remove).await.or_store_error()?);
        }
        let kid = |row| Ok(RemovedKey::from_query_result(row, "").or_store_error()?.kid);
        let removed = removed.iter().map(kid).collect::<Result<_, StoreError>>()?;
        audit::record(&transaction, dialect, record).await?;
        transaction.commit().await?;
        Ok(removed)
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

    async fn add_signing_key(
        &self,
        key: StoredSigningKey,
        retired: RetiredKeys,
        record: Record,
    ) -> Result<Vec<String>, StoreError> {
        self.database.add_signing_key(key, retired, record).await
    }
}

#[async_trait]
impl InstallationFacts for SqlStore {
    async fn get_or_insert(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.database.get_or_insert(name, value).await
    }
}

//! Re-encrypting what is stored secretly with the current master key, in batches, while nodes serve: the signing
//! secrets of endpoints and their secret headers, the signing keys of access tokens, and last of all the value by which
//! a wrong key is told.

use async_trait::async_trait;
use postrider_application::{
    audit::Record,
    ports::{
        Epoch, MasterKeyCheck, Reencrypted, ReencryptionCursor, ReencryptionError, Sealer,
        SecretsReencryption, StoreError, StoredSigningKey,
    },
};
use postrider_domain::{EndpointId, TenantId};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    SqlStore, audit,
    connection::{Scope, Transaction},
    endpoints::{EndpointSecrets, Purpose},
    error::{OrStoreError as _, corrupt, fault},
};

const ENDPOINTS: &str = "
SELECT tenant, app, id, secret_kind, sealed_secret, sealed_old_secrets, sealed_headers FROM endpoints
WHERE (tenant, app, id) > ($1, $2, $3) ORDER BY tenant, app, id LIMIT $4";
/// What changed in between is sealed by whoever changed it.
const PUT_SECRET: &str = "
UPDATE endpoints SET sealed_secret = $4 WHERE tenant = $1 AND app = $2 AND id = $3 AND sealed_secret = $5";
const PUT_OLD_SECRETS: &str = "
UPDATE endpoints SET sealed_old_secrets = $4
WHERE tenant = $1 AND app = $2 AND id = $3 AND sealed_old_secrets = $5";
const PUT_HEADERS: &str = "
UPDATE endpoints SET sealed_headers = $4 WHERE tenant = $1 AND app = $2 AND id = $3 AND sealed_headers = $5";
const KEYS: &str = "
SELECT kid, sealed_private_key AS sealed FROM signing_keys WHERE kid > $1 ORDER BY kid LIMIT $2";
const PUT_KEY: &str =
    "UPDATE signing_keys SET sealed_private_key = $2 WHERE kid = $1 AND sealed_private_key = $3";
const CHECK: &str = "SELECT value AS sealed FROM installation WHERE name = $1";
const PUT_CHECK: &str = "UPDATE installation SET value = $2 WHERE name = $1";
/// Who seals with another key than `$1`: whoever lives.
const OTHERS: &str = "
SELECT (SELECT count(*) FROM nodes WHERE key_id <> $1 AND NOT dead AND lease_until > {now}) AS others,
    (SELECT coalesce(max(epoch), 0) FROM nodes) AS last_epoch";
/// And whoever joined after `$2`: it may have sealed something and be gone.
const OTHERS_SINCE: &str = "
SELECT count(*) AS others, $2 AS last_epoch FROM nodes
WHERE key_id <> $1 AND (epoch > $2 OR (NOT dead AND lease_until > {now}))";

#[derive(FromQueryResult)]
struct EndpointRow {
    tenant: Uuid,
    app: Uuid,
    id: Uuid,
    secret_kind: Option<String>,
    sealed_secret: Vec<u8>,
    sealed_old_secrets: Option<Vec<u8>>,
    sealed_headers: Option<Vec<u8>>,
}

impl EndpointRow {
    /// All that is sealed of it: for what, the bytes, and the statement that puts others in their place.
    fn sealed(self) -> impl Iterator<Item = (Purpose, Vec<u8>, &'static str)> {
        let current = Purpose::of_secret(self.secret_kind.as_deref());
        [
            (current, Some(self.sealed_secret), PUT_SECRET),
            (Purpose::OldSecrets, self.sealed_old_secrets, PUT_OLD_SECRETS),
            (Purpose::Headers, self.sealed_headers, PUT_HEADERS),
        ]
        .into_iter()
        .filter_map(|(purpose, sealed, put)| Some((purpose, sealed?, put)))
    }
}

#[derive(FromQueryResult)]
struct KeyRow {
    kid: String,
    sealed: Vec<u8>,
}

#[derive(FromQueryResult)]
struct OthersRow {
    others: i64,
    last_epoch: i64,
}

impl OthersRow {
    /// The last epoch, if nobody seals with another key.
    fn refuse_any(&self) -> Result<Epoch, ReencryptionError> {
        match u64::try_from(self.others) {
            Ok(0) => Ok(Epoch(self.last_epoch)),
            Ok(nodes) => Err(ReencryptionError::KeysInUse { nodes }),
            Err(why) => Err(corrupt("count", why).into()),
        }
    }
}

#[derive(FromQueryResult)]
struct CheckRow {
    sealed: Vec<u8>,
}

/// Where the way through all secrets stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Position {
    /// After that endpoint: tenant, application, id.
    Endpoint([Uuid; 3]),
    /// After that signing key.
    Key(String),
}

/// Stands before the bytes of a position.
const ENDPOINT: u8 = b'e';
const KEY: u8 = b'k';

impl Position {
    const START: Self = Self::Endpoint([Uuid::nil(); 3]);

    fn cursor(&self) -> ReencryptionCursor {
        let mut bytes = Vec::new();
        match self {
            Self::Endpoint(ids) => {
                bytes.push(ENDPOINT);
                bytes.extend(ids.iter().flat_map(Uuid::as_bytes));
            }
            Self::Key(kid) => {
                bytes.push(KEY);
                bytes.extend_from_slice(kid.as_bytes());
            }
        }
        ReencryptionCursor(bytes)
    }

    fn read(cursor: &ReencryptionCursor) -> Result<Self, StoreError> {
        let unknown = || fault("the cursor of a re-encryption is not this store's");
        match cursor.0.split_first() {
            Some((&KEY, kid)) => {
                let kid = String::from_utf8(kid.to_vec()).map_err(|_| unknown())?;
                Ok(Self::Key(kid))
            }
            Some((&ENDPOINT, ids)) => {
                let (ids, []) = ids.as_chunks::<16>() else {
                    return Err(unknown());
                };
                let ids = <[[u8; 16]; 3]>::try_from(ids).map_err(|_| unknown())?;
                Ok(Self::Endpoint(ids.map(Uuid::from_bytes)))
            }
            _ => Err(unknown()),
        }
    }
}

/// What a batch has done so far.
#[derive(Default)]
struct Tally {
    changed: u32,
    unreadable: u32,
}

/// What becomes of a sealed value.
enum Looked {
    /// The current key sealed it.
    Current,
    /// Another did; this is the same under the current one.
    Resealed(Vec<u8>),
    /// No known key opens it.
    Unreadable,
}

fn look(sealer: &dyn Sealer, context: &[u8], stored: &[u8]) -> Looked {
    if sealer.is_current(stored) {
        return Looked::Current;
    }
    match sealer.open(context, stored).map(Zeroizing::new) {
        Ok(plain) => Looked::Resealed(sealer.seal(context, &plain)),
        Err(_) => Looked::Unreadable,
    }
}

impl Tally {
    /// Writes a value that was sealed anew, by the statement that `put` makes of it.
    async fn settle(
        &mut self,
        transaction: &Transaction,
        looked: Looked,
        put: impl FnOnce(Vec<u8>) -> Statement + Send,
    ) -> Result<(), StoreError> {
        match looked {
            Looked::Current => {}
            Looked::Unreadable => self.unreadable += 1,
            Looked::Resealed(sealed) => {
                let written = transaction.execute_raw(put(sealed)).await.or_store_error()?;
                self.changed += u32::from(written.rows_affected() == 1);
            }
        }
        Ok(())
    }
}

impl SqlStore {
    /// One batch of endpoints; where to go on.
    async fn reencrypt_endpoints(
        &self,
        transaction: &Transaction,
        [tenant, app, id]: [Uuid; 3],
        limit: u32,
        tally: &mut Tally,
    ) -> Result<Position, StoreError> {
        let (dialect, sealer) = (self.database.dialect(), self.secrets.sealer());
        let after = [tenant.into(), app.into(), id.into(), i64::from(limit).into()];
        let rows = transaction
            .query_all_raw(dialect.exactly(ENDPOINTS, after))
            .await
            .or_store_error()?;
        let mut last = None;
        for row in &rows {
            let row = EndpointRow::from_query_result(row, "").or_store_error()?;
            let (tenant, endpoint) = (TenantId::from_uuid(row.tenant), EndpointId::from_uuid(row.id));
            let names = [row.tenant, row.app, row.id];
            for (purpose, stored, statement) in row.sealed() {
                let context = EndpointSecrets::context(purpose, tenant, endpoint);
                let looked = look(sealer, &context, &stored);
                let put = |sealed: Vec<u8>| {
                    let [tenant, app, id] = names.map(Into::into);
                    dialect.exactly(statement, [tenant, app, id, sealed.into(), stored.into()])
                };
                tally.settle(transaction, looked, put).await?;
            }
            last = Some(names);
        }
        Ok(match last {
            Some(last) if rows.len() == limit as usize => Position::Endpoint(last),
            _ => Position::Key(String::new()),
        })
    }

    /// One batch of signing keys; where to go on, if there are more.
    async fn reencrypt_keys(
        &self,
        transaction: &Transaction,
        after: String,
        limit: u32,
        tally: &mut Tally,
    ) -> Result<Option<Position>, StoreError> {
        let (dialect, sealer) = (self.database.dialect(), self.secrets.sealer());
        let rows = transaction
            .query_all_raw(dialect.exactly(KEYS, [after.into(), i64::from(limit).into()]))
            .await
            .or_store_error()?;
        let mut last = None;
        for row in &rows {
            let row = KeyRow::from_query_result(row, "").or_store_error()?;
            let looked = look(sealer, &StoredSigningKey::seal_context(&row.kid), &row.sealed);
            let kid = row.kid.clone();
            let put =
                |sealed: Vec<u8>| dialect.exactly(PUT_KEY, [kid.into(), sealed.into(), row.sealed.into()]);
            tally.settle(transaction, looked, put).await?;
            last = Some(row.kid);
        }
        Ok(last.filter(|_| rows.len() == limit as usize).map(Position::Key))
    }
}

async fn others_row(
    connection: &impl ConnectionTrait,
    statement: Statement,
) -> Result<OthersRow, StoreError> {
    let row = connection.query_one_raw(statement).await.or_store_error()?;
    let row = row.ok_or_else(|| fault("a count has no row"))?;
    OthersRow::from_query_result(&row, "").or_store_error()
}

#[async_trait]
impl SecretsReencryption for SqlStore {
    async fn begin_reencryption(&self) -> Result<Epoch, ReencryptionError> {
        let key = self.secrets.sealer().key_id();
        let others = self.database.dialect().statement(OTHERS, [key.into()]);
        let reading = self.database.read(Scope::Operator).await?;
        others_row(&reading, others).await?.refuse_any()
    }

    async fn reencrypt(
        &self,
        after: Option<ReencryptionCursor>,
        limit: u32,
    ) -> Result<Reencrypted, StoreError> {
        let limit = limit.max(1);
        let position = match &after {
            Some(cursor) => Position::read(cursor)?,
            None => Position::START,
        };
        let mut tally = Tally::default();
        let transaction = self.database.begin(Scope::Operator).await?;
        let next = match position {
            Position::Endpoint(after) => Some(
                self.reencrypt_endpoints(&transaction, after, limit, &mut tally)
                    .await?,
            ),
            Position::Key(after) => {
                self.reencrypt_keys(&transaction, after, limit, &mut tally)
                    .await?
            }
        };
        transaction.commit().await?;
        Ok(Reencrypted {
            changed: tally.changed,
            unreadable: tally.unreadable,
            next: next.as_ref().map(Position::cursor),
        })
    }

    async fn finish_reencryption(&self, since: Epoch, record: Record) -> Result<(), ReencryptionError> {
        let (dialect, sealer) = (self.database.dialect(), self.secrets.sealer());
        let transaction = self.database.begin(Scope::Operator).await?;
        let values = [sealer.key_id().into(), since.0.into()];
        let others = dialect.statement(OTHERS_SINCE, values);
        others_row(&transaction, others).await?.refuse_any()?;
        let name = || MasterKeyCheck::NAME.into();
        let row = transaction
            .query_one_raw(dialect.exactly(CHECK, [name()]))
            .await
            .or_store_error()?;
        if let Some(row) = row {
            let stored = CheckRow::from_query_result(&row, "").or_store_error()?.sealed;
            if !MasterKeyCheck::opens(sealer, &stored) {
                return Err(fault("the master key's check value opens with no known key").into());
            }
            let put = dialect.exactly(PUT_CHECK, [name(), MasterKeyCheck::sealed(sealer).into()]);
            transaction.execute_raw(put).await.or_store_error()?;
        }
        // Without a check value the next start writes it.
        audit::record(&transaction, dialect, record).await?;
        Ok(transaction.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_says_where_it_stands_and_a_foreign_one_is_refused() {
        for position in [
            Position::START,
            Position::Endpoint([1, 2, 3].map(Uuid::from_u128)),
            Position::Key(String::new()),
            Position::Key("kid".to_owned()),
        ] {
            assert_eq!(Position::read(&position.cursor()).unwrap(), position);
        }
        for foreign in [
            vec![],
            vec![b'x'],
            vec![b'e'; 12],
            vec![b'e'; 65],
            vec![b'k', 0xff],
        ] {
            assert!(Position::read(&ReencryptionCursor(foreign)).is_err());
        }
    }
}

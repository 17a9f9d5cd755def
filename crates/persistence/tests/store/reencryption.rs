//! Another master key, while the store is in use.

use std::{sync::Arc, thread, time::Duration};

use postrider_application::{
    audit::Record,
    ports::{
        EndpointViews as _, Epoch, InstallationFacts as _, MasterKeyCheck, NodeRegistry as _, Reencrypted,
        ReencryptionError, SealError, Sealer, SecretsReencryption as _, SigningKeyStore as _, StoreError,
        StoredSigningKey,
    },
};
use postrider_crypto::{AeadSealer, MasterKey, OsRandomness};
use postrider_domain::{
    EndpointId,
    endpoints::{EndpointRef, SecretRing},
};
use postrider_persistence::SqlStore;
use postrider_testkit::contract::{Customer, Fixture, Tenancy};

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness, sealer},
};

const ENDPOINTS: usize = 5;
const KID: &str = "kid";
const PRIVATE_KEY: &[u8] = b"the private key";
const LEASE: Duration = Duration::from_secs(15);
/// The last epoch, where no node has ever joined.
const NOBODY_YET: Epoch = Epoch(0);

/// Seals with `current`, and opens what `others` sealed as well.
fn knowing(current: u8, others: &[u8]) -> Arc<dyn Sealer> {
    let others: Vec<_> = others
        .iter()
        .map(|key| MasterKey::from_bytes([*key; 32]))
        .collect();
    Arc::new(AeadSealer::with_known(
        &MasterKey::from_bytes([current; 32]),
        &others,
        Arc::new(OsRandomness::new()),
    ))
}

/// An installation under master key 1, with secrets of every kind.
struct Sealed {
    tenant: Tenancy,
    customer: Customer,
    secrets: Vec<(EndpointId, SecretRing)>,
}

impl Sealed {
    async fn new<H: Outside>(fixture: &Fixture<'_, H>) -> Self {
        let store = fixture.store();
        let tenant = fixture.tenant("acme").await;
        let customer = fixture.application(&tenant).await;
        let mut secrets = Vec::new();
        for _ in 0..ENDPOINTS {
            let id = fixture.endpoint(&tenant, &customer).await;
            let secret = Self::secret(store, &tenant, &customer, id).await;
            secrets.push((id, secret.unwrap().unwrap()));
        }
        let key = StoredSigningKey {
            kid: KID.to_owned(),
            sealed_private_key: sealer(1).seal(&StoredSigningKey::seal_context(KID), PRIVATE_KEY),
            created_at: fixture.now(),
        };
        store.add_first_signing_key(key).await.unwrap();
        let check = MasterKeyCheck::sealed(&*sealer(1));
        store.get_or_insert(MasterKeyCheck::NAME, check).await.unwrap();
        Self {
            tenant,
            customer,
            secrets,
        }
    }

    async fn secret(
        store: &SqlStore,
        tenant: &Tenancy,
        customer: &Customer,
        id: EndpointId,
    ) -> Result<Option<SecretRing>, StoreError> {
        store
            .endpoint_secrets(&tenant.scope, customer.id, &EndpointRef::Id(id))
            .await
    }

    /// Whether everything opens with these keys, and is what it was.
    async fn opens(&self, store: &SqlStore, sealer: Arc<dyn Sealer>) -> bool {
        let store = SqlStore::new(store.database().clone(), sealer.clone());
        for (id, expected) in &self.secrets {
            match Self::secret(&store, &self.tenant, &self.customer, *id).await {
                Ok(secret) => assert_eq!(secret.as_ref(), Some(expected)),
                Err(_) => return false,
            }
        }
        let keys = store.signing_keys().await.unwrap();
        let context = StoredSigningKey::seal_context(KID);
        let opened = sealer.open(&context, &keys[0].sealed_private_key);
        assert!(opened.as_ref().is_err() || opened.as_ref().is_ok_and(|plain| plain == PRIVATE_KEY));
        opened.is_ok()
    }
}

/// One way through all secrets, two at a time.
async fn pass(store: &SqlStore) -> Reencrypted {
    let mut all = Reencrypted {
        changed: 0,
        unreadable: 0,
        next: None,
    };
    for _ in 0..100 {
        let batch = store.reencrypt(all.next.take(), 2).await.unwrap();
        assert!(batch.changed + batch.unreadable <= 2);
        all.changed += batch.changed;
        all.unreadable += batch.unreadable;
        all.next = batch.next;
        if all.next.is_none() {
            return all;
        }
    }
    panic!("it does not end");
}

fn counts(all: &Reencrypted) -> (u32, u32) {
    (all.changed, all.unreadable)
}

async fn check_value(store: &SqlStore) -> Vec<u8> {
    store.get_or_insert(MasterKeyCheck::NAME, vec![]).await.unwrap()
}

/// All secrets move from key 1 to key 2, in batches; afterwards key 1 is of no use, and the check value says so.
async fn everything_is_sealed_anew<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let sealed = Sealed::new(&fixture).await;
    let old = harness.store();
    let new = SqlStore::new(old.database().clone(), knowing(2, &[1]));
    assert_eq!(counts(&pass(&new).await), (6, 0));
    assert!(sealed.opens(old, sealer(2)).await, "without the old key");
    assert!(!sealed.opens(old, sealer(1)).await);
    assert_eq!(counts(&pass(&new).await), (0, 0), "nothing is left to do");

    assert!(
        MasterKeyCheck::opens(&*sealer(1), &check_value(old).await),
        "until the end"
    );
    let record = fixture.operator().await.did("master_key");
    new.finish_reencryption(NOBODY_YET, record).await.unwrap();
    let check = check_value(old).await;
    assert!(MasterKeyCheck::opens(&*sealer(2), &check) && !MasterKeyCheck::opens(&*sealer(1), &check));
    let log = "SELECT target FROM audit_entries WHERE tenant IS NULL AND target = 'master_key'";
    assert_eq!(harness.texts(log).await, ["master_key"]);
}

/// What no known key opens is counted and left as it is; the check value is not overwritten by whoever cannot open it.
async fn what_does_not_open_is_left<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let sealed = Sealed::new(&fixture).await;
    let old = harness.store();
    let foreign = SqlStore::new(old.database().clone(), knowing(3, &[2]));
    assert_eq!(counts(&pass(&foreign).await), (0, 6));
    let refused = foreign
        .finish_reencryption(NOBODY_YET, Record::InHistory)
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        ReencryptionError::Store(StoreError::Internal(_))
    ));
    assert!(sealed.opens(old, sealer(1)).await);
    assert!(MasterKeyCheck::opens(&*sealer(1), &check_value(old).await));
}

#[track_caller]
fn assert_in_use<T: std::fmt::Debug>(result: Result<T, ReencryptionError>, expected: u64) {
    let refused = result.unwrap_err();
    assert!(
        matches!(refused, ReencryptionError::KeysInUse { nodes } if nodes == expected),
        "{refused:?}"
    );
}

/// While a node lives that seals with the old key, the new one neither begins nor ends, and nothing is written. Who has
/// left, or whose lease is over, seals no more.
async fn nodes_that_seal_with_another_key_are_waited_for<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    Sealed::new(&fixture).await;
    let old = harness.store();
    let new = SqlStore::new(old.database().clone(), knowing(2, &[1]));
    let [first, _second] = [old.join(LEASE).await.unwrap(), old.join(LEASE).await.unwrap()];
    let ours = new.join(LEASE).await.unwrap();
    for expected in [2, 1] {
        assert_in_use(new.begin_reencryption().await, expected);
        let record = fixture.operator().await.did("master_key");
        assert_in_use(new.finish_reencryption(ours, record).await, expected);
        assert!(MasterKeyCheck::opens(&*sealer(1), &check_value(old).await));
        old.leave(first).await.unwrap();
    }
    let log = "SELECT target FROM audit_entries WHERE tenant IS NULL AND target = 'master_key'";
    assert!(harness.texts(log).await.is_empty());

    // The second does not leave: it is gone. Nobody has declared it dead yet.
    harness.age(LEASE).await;
    assert!(new.beat(ours, LEASE).await.unwrap());
    let begun = new.begin_reencryption().await.unwrap();
    assert_eq!(begun, ours);
    new.finish_reencryption(begun, Record::InHistory).await.unwrap();
    assert!(MasterKeyCheck::opens(&*sealer(2), &check_value(old).await));
}

/// A node that joined with the old key after the beginning may have sealed something, though it be gone at the end.
async fn a_node_that_was_there_in_between_is_noticed<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    Sealed::new(&fixture).await;
    let old = harness.store();
    let new = SqlStore::new(old.database().clone(), knowing(2, &[1]));
    let begun = new.begin_reencryption().await.unwrap();
    assert_eq!(begun, NOBODY_YET);
    let passing = old.join(LEASE).await.unwrap();
    old.leave(passing).await.unwrap();
    new.join(LEASE).await.unwrap();
    assert_in_use(new.finish_reencryption(begun, Record::InHistory).await, 1);
    assert!(MasterKeyCheck::opens(&*sealer(1), &check_value(old).await));
    // Whoever begins again looks at everything again.
    let begun = new.begin_reencryption().await.unwrap();
    new.finish_reencryption(begun, Record::InHistory).await.unwrap();
}

/// A node of a version that did not say which key it seals with may seal with any.
async fn a_node_that_does_not_say_counts<H: Outside>(harness: &H) {
    let store = harness.store();
    store.join(LEASE).await.unwrap();
    store.begin_reencryption().await.unwrap();
    harness.run("UPDATE nodes SET key_id = ''").await;
    assert_in_use(store.begin_reencryption().await, 1);
}

on_both! {
    everything_is_sealed_anew;
    what_does_not_open_is_left;
    nodes_that_seal_with_another_key_are_waited_for;
    a_node_that_was_there_in_between_is_noticed;
    a_node_that_does_not_say_counts;
}

/// A sealer during whose work somebody else changes the row.
struct Interrupted {
    sealer: Arc<dyn Sealer>,
    database: String,
}

const OVERWRITE: &str = "UPDATE endpoints SET sealed_secret = 'somebody else was here'";

impl Sealer for Interrupted {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        self.sealer.seal(context, plain)
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let database = self.database.clone();
        let overwrite = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let outside = PostgresHarness::outside(&database);
                sqlx::query(OVERWRITE).execute(&outside).await.unwrap();
                outside.close().await;
            });
        };
        thread::spawn(overwrite).join().unwrap();
        self.sealer.open(context, sealed)
    }

    fn is_current(&self, sealed: &[u8]) -> bool {
        self.sealer.is_current(sealed)
    }

    fn key_id(&self) -> String {
        self.sealer.key_id()
    }
}

/// Nobody's change is undone.
#[tokio::test]
async fn what_changes_at_the_same_time_stays_changed() {
    use postrider_testkit::contract::Harness as _;

    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    fixture.endpoint(&tenant, &customer).await;
    let interrupted = Interrupted {
        sealer: knowing(2, &[1]),
        database: harness.name.clone(),
    };
    let store = SqlStore::new(harness.store().database().clone(), Arc::new(interrupted));
    let batch = store.reencrypt(None, 10).await.unwrap();
    assert_eq!(counts(&batch), (0, 0));
    let stored = harness.bytes("SELECT sealed_secret FROM endpoints").await;
    assert_eq!(stored, [b"somebody else was here".to_vec()]);
    harness.finish().await;
}

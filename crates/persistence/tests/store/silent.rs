//! The server cannot be heard any more, and nobody closes the connection.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use postrider_application::{
    audit::Record,
    ports::{ApplicationViews as _, EventLog as _, Repository, Store as _, StoreError, UnitOfWork as _},
};
use postrider_domain::{Aggregate as _, applications::Application};
use postrider_persistence::{Database, DatabaseOptions, PostgresOptions, SqlStore};
use postrider_testkit::contract::{Fixture, Harness};
use secrecy::ExposeSecret as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use crate::support::{PostgresHarness, sealer};

/// Longer than anything may take here, and far shorter than the system sends packets again.
const DEADLINE: Duration = Duration::from_secs(30);

/// What happens to bytes of a client's, once. Other connections pass.
#[derive(Default)]
struct Faults {
    /// After a connection has sent these, nothing of the server's is heard on it any more, nor anything that it says.
    last_words: Mutex<Option<Vec<u8>>>,
    connections: AtomicUsize,
}

impl Faults {
    /// Whether these bytes of a client are the last that is heard of its connection.
    fn are_last_words(&self, bytes: &[u8]) -> bool {
        let mut last = self.last_words.lock().unwrap();
        let are = last
            .as_ref()
            .is_some_and(|words| bytes.windows(words.len()).any(|window| window == words));
        if are {
            *last = None;
        }
        are
    }
}

/// Stands between the store and the server.
struct Wire {
    faults: Arc<Faults>,
    port: u16,
    _tasks: JoinSet<()>,
}

impl Wire {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, faults) = (listener.local_addr().unwrap().port(), Arc::new(Faults::default()));
        let (mut tasks, shared) = (JoinSet::new(), faults.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(forward(client, server.clone(), shared.clone()));
            }
        });
        Self {
            faults,
            port,
            _tasks: tasks,
        }
    }

    fn falls_silent_after(&self, words: &[u8]) {
        *self.faults.last_words.lock().unwrap() = Some(words.to_vec());
    }

    /// Whether it did.
    fn fell_silent(&self) -> bool {
        self.faults.last_words.lock().unwrap().is_none()
    }

    fn connections(&self) -> usize {
        self.faults.connections.load(Ordering::SeqCst)
    }
}

/// Forwards until one side ends. What is not heard is swallowed, and the connection stays open.
async fn forward(mut client: TcpStream, server: String, faults: Arc<Faults>) {
    let mut server = TcpStream::connect(server).await.unwrap();
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    let mut silent = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                if silent {
                    continue;
                }
                silent = faults.are_last_words(&asked[..length]);
                if server.write_all(&asked[..length]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if !silent && client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A store with one connection for requests and one of the engine's, over a wire that can fall silent.
async fn with_a_wire(harness: &PostgresHarness) -> (SqlStore, Wire) {
    let url = PostgresHarness::options(&harness.name)
        .url
        .expose_secret()
        .to_owned();
    let (before, after) = url.split_once('@').unwrap();
    let (server, rest) = after.split_once('/').unwrap();
    let wire = Wire::to(server.to_owned()).await;
    let options = PostgresOptions {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(2),
        statement_timeout: Duration::from_secs(1),
        answer_timeout: Duration::from_secs(2),
        ..PostgresOptions::at(format!("{before}@127.0.0.1:{}/{rest}", wire.port))
    };
    let database = Database::open(DatabaseOptions::Postgres(options)).await.unwrap();
    (SqlStore::new(database, sealer(1)), wire)
}

/// Calls until it is answered; each call waits for a connection by itself.
async fn until_answered<T>(call: impl AsyncFn() -> Result<T, StoreError>) -> T {
    let answered = async {
        loop {
            match call().await {
                Ok(answer) => return answer,
                Err(StoreError::Unavailable(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    timeout(DEADLINE, answered)
        .await
        .expect("a new connection in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_answered_is_given_up_and_its_connection_not_used_again() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let (store, wire) = with_a_wire(&harness).await;
    let head = async || store.head().await.map(drop);
    let read = async || store.application(&tenant.scope, customer.id).await.map(drop);
    let find = async || {
        let mut transaction = store.begin(&tenant.scope).await?;
        let found = Repository::<Application>::find(&mut transaction, &tenant.scope, &customer.id);
        found.await.map(drop)
    };
    // The engine's single statement; a transaction that reads: its beginning, its role, its statement; one that writes.
    // What is prepared already is known by its parameters.
    let id = customer.id.as_uuid();
    for (words, nth) in [
        (b"FROM outbox_events ORDER BY".as_slice(), 0),
        (b"BEGIN", 1),
        (b"postrider_api", 1),
        (id.as_bytes(), 1),
        (id.as_bytes(), 2),
    ] {
        let call = async || match nth {
            0 => head().await,
            1 => read().await,
            _ => find().await,
        };
        let before = wire.connections();
        wire.falls_silent_after(words);
        let answer = timeout(DEADLINE, call()).await.expect("it is given up");
        assert!(wire.fell_silent(), "{nth} {words:?}");
        assert!(
            matches!(answer, Err(StoreError::Unavailable(_))),
            "{nth} {words:?}: {answer:?}"
        );
        until_answered(call).await;
        assert!(wire.connections() > before, "{nth} {words:?}: another connection");
    }
    timeout(DEADLINE, store.database().close())
        .await
        .expect("nothing is held")
        .unwrap();
    harness.finish().await;
}

/// Whoever is told so may find out: what was committed is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_not_answered_is_given_up_and_may_have_been_made() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let (store, wire) = with_a_wire(&harness).await;
    let mut application = fixture.new_application(&tenant, None);
    let id = application.state().id;
    let mut transaction = store.begin(&tenant.scope).await.unwrap();
    transaction.save(&tenant.scope, &mut application).await.unwrap();
    wire.falls_silent_after(b"COMMIT");
    let committed = timeout(DEADLINE, transaction.commit(Record::InHistory))
        .await
        .expect("given up");
    assert!(
        matches!(committed, Err(StoreError::Unavailable(_))),
        "{committed:?}"
    );
    assert!(wire.fell_silent(), "it was sent");
    let seen = until_answered(async || store.application(&tenant.scope, id).await).await;
    assert!(seen.is_some());
    timeout(DEADLINE, store.database().close())
        .await
        .expect("nothing is held")
        .unwrap();
    harness.finish().await;
}

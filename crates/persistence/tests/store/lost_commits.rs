//! The connection is lost while an accept is under way: was it committed?

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use postrider_application::ports::{
    AcceptMessage, Accepted, IntakeError, MessageIntake as _, MessageViews as _, StoreError,
};
use postrider_persistence::{Database, DatabaseOptions, PostgresOptions, SqlStore};
use postrider_testkit::contract::{Fixture, Harness as _};
use secrecy::ExposeSecret as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{PostgresHarness, sealer};

/// What happens to one statement, once. New connections pass but in the last case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It does not reach the server.
    StatementLost,
    /// It reaches the server; the answer does not come back.
    AnswerLost,
    /// As before, and there are no new connections.
    CutOff,
}

#[derive(Default)]
struct Faults {
    /// The statement, recognised by bytes among its parameters, and what happens to it.
    next: Mutex<Option<([u8; 16], Trouble)>>,
    shut: AtomicBool,
}

impl Faults {
    /// The trouble that these bytes of a client run into.
    fn of(&self, bytes: &[u8]) -> Option<Trouble> {
        let mut next = self.next.lock().unwrap();
        let met = next.is_some_and(|(marker, _)| bytes.windows(marker.len()).any(|window| window == marker));
        if met {
            next.take().map(|(_, trouble)| trouble)
        } else {
            None
        }
    }
}

/// Stands between the store and the server.
struct Wire {
    faults: Arc<Faults>,
    port: u16,
    /// Ends what it forwards when the test ends.
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
                if !shared.shut.load(Ordering::SeqCst) {
                    connections.spawn(forward(client, server.clone(), shared.clone()));
                }
            }
        });
        Self {
            faults,
            port,
            _tasks: tasks,
        }
    }
}

/// Forwards until one side ends, or until there is trouble.
async fn forward(mut client: TcpStream, server: String, faults: Arc<Faults>) {
    let mut server = TcpStream::connect(server).await.unwrap();
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    let mut trouble = None;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                trouble = trouble.or(faults.of(&asked[..length]));
                if trouble == Some(Trouble::StatementLost) || server.write_all(&asked[..length]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                // The server answers a statement after it has committed it.
                if let Some(trouble) = trouble {
                    faults.shut.store(trouble == Trouble::CutOff, Ordering::SeqCst);
                    return;
                }
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A store whose every byte goes over a wire that can be cut.
async fn with_a_wire(harness: &PostgresHarness) -> (SqlStore, Wire) {
    let url = PostgresHarness::options(&harness.name)
        .url
        .expose_secret()
        .to_owned();
    let (before, after) = url.split_once('@').unwrap();
    let (server, rest) = after.split_once('/').unwrap();
    let wire = Wire::to(server.to_owned()).await;
    let url = format!("{before}@127.0.0.1:{}/{rest}", wire.port);
    let options = PostgresOptions {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(2),
        ..PostgresOptions::at(url)
    };
    let database = Database::open(DatabaseOptions::Postgres(options)).await.unwrap();
    (SqlStore::new(database, sealer(1)), wire)
}

/// Accepts two messages, so that the statement is prepared and the second is one exchange, which meets `trouble`;
/// its answer, and whether it is stored.
async fn accept_while(trouble: Trouble) -> (Result<Accepted, IntakeError>, bool) {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let (store, wire) = with_a_wire(&harness).await;
    let accept = async |message| {
        store
            .accept(&customer.scope, AcceptMessage { message, dedup: None })
            .await
    };
    assert_eq!(accept(fixture.message(&customer)).await.unwrap(), Accepted::New);

    let message = fixture.message(&customer);
    let id = message.id;
    *wire.faults.next.lock().unwrap() = Some((*id.as_uuid().as_bytes(), trouble));
    let answer = accept(message).await;
    let stored = harness
        .store()
        .message(&tenant.scope, customer.id, id)
        .await
        .unwrap()
        .is_some();
    assert!(wire.faults.next.lock().unwrap().is_none(), "there was trouble");
    store.database().close().await.unwrap();
    harness.finish().await;
    (answer, stored)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_looked_up() {
    let (answer, stored) = accept_while(Trouble::AnswerLost).await;
    assert!(stored);
    assert!(matches!(answer, Ok(Accepted::New)), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_arrive_was_not_accepted() {
    let (answer, stored) = accept_while(Trouble::StatementLost).await;
    assert!(!stored);
    assert!(
        matches!(answer, Err(IntakeError::Store(StoreError::Unavailable(_)))),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_looked_up_is_unknown() {
    let (answer, stored) = accept_while(Trouble::CutOff).await;
    assert!(stored);
    assert!(
        matches!(answer, Err(IntakeError::OutcomeUnknown(_))),
        "{answer:?}"
    );
}

/// No connection at all is no question: nothing was sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_never_sent_is_unavailable() {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    harness.store().database().close().await.unwrap();
    let accept = AcceptMessage {
        message: fixture.message(&customer),
        dedup: None,
    };
    let answer = harness.store().accept(&customer.scope, accept).await;
    assert!(
        matches!(answer, Err(IntakeError::Store(StoreError::Unavailable(_)))),
        "{answer:?}"
    );
    drop(tenant);
    harness.finish().await;
}

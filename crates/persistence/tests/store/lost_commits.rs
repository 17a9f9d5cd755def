//! The connection is lost while a batch is being written: was it committed?

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use postrider_application::ports::{MessageViews as _, MessageWriter as _, NewMessage, WriteError, Written};
use postrider_domain::messages::Message;
use postrider_persistence::{Database, DatabaseOptions, PostgresOptions, SqlStore};
use postrider_testkit::contract::{Fixture, Harness as _};
use secrecy::ExposeSecret as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness, sealer},
};

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

fn alone(message: &Message) -> [NewMessage; 1] {
    [NewMessage {
        message: Arc::new(message.clone()),
        dedup: None,
        owner: None,
    }]
}

/// Writes two messages, so that the statement is prepared and the second is one exchange, which meets `trouble`; its
/// answer, whether it is stored, and the answer of the rerun if there are connections for one.
async fn write_while(
    trouble: Trouble,
) -> (
    Result<Vec<Written>, WriteError>,
    bool,
    Result<Vec<Written>, WriteError>,
) {
    let harness = PostgresHarness::new().await;
    let fixture = Fixture::new(&harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    let (store, wire) = with_a_wire(&harness).await;
    let first = store.write(&alone(&fixture.message(&customer))).await.unwrap();
    assert_eq!(first, STORED);

    let message = fixture.message(&customer);
    *wire.faults.next.lock().unwrap() = Some((*message.id.as_uuid().as_bytes(), trouble));
    let answer = store.write(&alone(&message)).await;
    let stored = harness
        .store()
        .message(&tenant.scope, customer.id, message.id)
        .await
        .unwrap()
        .is_some();
    assert!(wire.faults.next.lock().unwrap().is_none(), "there was trouble");
    let rerun = store.write(&alone(&message)).await;
    let node = fixture.node().await;
    let queued = fixture.claim(node).await.len();
    assert_eq!(queued, 1 + usize::from(stored || rerun.is_ok()), "each once");
    store.database().close().await.unwrap();
    harness.finish().await;
    (answer, stored, rerun)
}

const STORED: [Written; 1] = [Written::Stored { endpoints_version: 0 }];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_unknown_until_the_rerun() {
    let (answer, stored, rerun) = write_while(Trouble::AnswerLost).await;
    assert!(stored);
    assert!(matches!(answer, Err(WriteError::Unknown(_))), "{answer:?}");
    assert_eq!(rerun.unwrap(), STORED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_arrive_is_unknown_until_the_rerun() {
    let (answer, stored, rerun) = write_while(Trouble::StatementLost).await;
    assert!(!stored);
    assert!(matches!(answer, Err(WriteError::Unknown(_))), "{answer:?}");
    assert_eq!(rerun.unwrap(), STORED);
}

/// While there is no connection to be had, the rerun tells nothing, and says that it wrote nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_cut_off_it_stays_unknown() {
    let (answer, stored, rerun) = write_while(Trouble::CutOff).await;
    assert!(stored);
    assert!(matches!(answer, Err(WriteError::Unknown(_))), "{answer:?}");
    assert!(matches!(rerun, Err(WriteError::Unavailable(_))), "{rerun:?}");
}

/// No connection at all is no question: nothing was sent.
async fn what_was_never_sent_is_unavailable<H: Outside>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    harness.store().database().close().await.unwrap();
    let answer = harness.store().write(&alone(&fixture.message(&customer))).await;
    assert!(matches!(answer, Err(WriteError::Unavailable(_))), "{answer:?}");
}

on_both! { what_was_never_sent_is_unavailable; }

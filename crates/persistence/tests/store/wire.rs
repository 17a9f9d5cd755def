//! A wire to the server that breaks, or falls silent, at a chosen statement.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use postrider_persistence::{Database, DatabaseOptions, PostgresOptions, SqlStore};
use secrecy::ExposeSecret as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{PostgresHarness, sealer};

/// What happens to one statement, once. New connections pass, unless they are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It does not reach the server.
    StatementLost,
    /// It reaches the server; the answer does not come back.
    AnswerLost,
    /// As before, and there are no new connections.
    CutOff,
    /// It reaches the server, which hears nothing more until it ends the connection: so it is with a node that is
    /// paused.
    Paused,
    /// It reaches the server. From then on neither side hears the other, and nobody closes the connection.
    Silence,
}

#[derive(Default)]
struct Faults {
    /// The statement, recognised by bytes among its parameters, and what happens to it.
    next: Mutex<Option<(Vec<u8>, Trouble)>>,
    shut: AtomicBool,
    /// How many connections there have been.
    connections: AtomicUsize,
}

impl Faults {
    /// The trouble that these bytes of a client run into.
    fn of(&self, bytes: &[u8]) -> Option<Trouble> {
        let mut next = self.next.lock().unwrap();
        let met = |(marker, _): &mut (Vec<u8>, Trouble)| {
            bytes
                .windows(marker.len())
                .any(|window| window == marker.as_slice())
        };
        next.take_if(met).map(|(_, trouble)| trouble)
    }
}

/// Stands between a store and the server.
pub(crate) struct Wire {
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
                    shared.connections.fetch_add(1, Ordering::SeqCst);
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

    /// The next that has these bytes, in its text or among its parameters, runs into this trouble.
    pub(crate) fn trouble(&self, marker: &[u8], trouble: Trouble) {
        *self.faults.next.lock().unwrap() = Some((marker.to_owned(), trouble));
    }

    /// Whether the trouble was met.
    pub(crate) fn was_met(&self) -> bool {
        self.faults.next.lock().unwrap().is_none()
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.faults.connections.load(Ordering::SeqCst)
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
                if trouble == Some(Trouble::Silence) {
                    continue;
                }
                trouble = trouble.or(faults.of(&asked[..length]));
                if trouble == Some(Trouble::StatementLost) || server.write_all(&asked[..length]).await.is_err() {
                    return;
                }
                if trouble == Some(Trouble::Paused) {
                    while matches!(server.read(&mut answered).await, Ok(1..)) {}
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if trouble == Some(Trouble::Silence) {
                    continue;
                }
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

/// A store whose every byte goes over a wire that can be cut, with one connection for requests and one of the engine's.
pub(crate) async fn with_a_wire(harness: &PostgresHarness) -> (SqlStore, Wire) {
    with_a_wire_and(harness, |options| options).await
}

/// The same, with changed options.
pub(crate) async fn with_a_wire_and(
    harness: &PostgresHarness,
    change: impl FnOnce(PostgresOptions) -> PostgresOptions,
) -> (SqlStore, Wire) {
    let url = PostgresHarness::options(&harness.name)
        .url
        .expose_secret()
        .to_owned();
    let (before, after) = url.split_once('@').unwrap();
    let (server, rest) = after.split_once('/').unwrap();
    let wire = Wire::to(server.to_owned()).await;
    let options = change(PostgresOptions {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(2),
        ..PostgresOptions::at(format!("{before}@127.0.0.1:{}/{rest}", wire.port))
    });
    let database = Database::open(DatabaseOptions::Postgres(options)).await.unwrap();
    (SqlStore::new(database, sealer(1)), wire)
}

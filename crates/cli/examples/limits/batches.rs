//! The rows of accepted messages in batches, by the database alone.

use std::{sync::Arc, time::Duration};

use postrider_api::composition::{SystemClock, UuidV7Ids};
use postrider_application::ports::{Clock as _, Ids as _};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    Failure,
    args::ConfigArgs,
    configuration::Configuration,
    own_cpu, runtime,
    storage::{Row, Storage},
    tell,
};

const BATCH: usize = 64;
const CONNECTIONS: u32 = 2;

/// Of `batches`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For how long
    #[arg(long)]
    seconds: f64,
    /// How long each payload is
    #[arg(long, default_value_t = 1_024)]
    bytes: usize,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Inserts, and tells how many messages.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let configuration = Configuration::load(&args.config, None)?;
    runtime::block_on(insert(&configuration, args))?
}

async fn insert(configuration: &Configuration, args: &Args) -> Result<(), Failure> {
    let storage = Arc::new(Storage::open(&configuration.database, CONNECTIONS).await?);
    let clock = SystemClock::new();
    let (tenant, application) = (UuidV7Ids::new().next(), UuidV7Ids::new().next());
    let body: Arc<[u8]> = vec![b'x'; args.bytes].into();
    let (began, cpu) = (clock.monotonic(), own_cpu());
    let until = began + Duration::from_secs_f64(args.seconds);
    let mut committers = JoinSet::new();
    // One writer on SQLite: a second would only wait for its turn.
    let many = if matches!(*storage, Storage::Sqlite(_)) {
        1
    } else {
        CONNECTIONS
    };
    for _ in 0..many {
        let (storage, body) = (storage.clone(), body.clone());
        committers.spawn(commit(storage, until, tenant, application, body));
    }
    let mut count = 0;
    while let Some(committed) = committers.join_next().await {
        count += committed??;
    }
    tell(count, clock.monotonic().saturating_sub(began), own_cpu() - cpu)
}

async fn commit(
    storage: Arc<Storage>,
    until: Duration,
    tenant: Uuid,
    application: Uuid,
    body: Arc<[u8]>,
) -> Result<u64, sqlx::Error> {
    let (clock, ids) = (SystemClock::new(), UuidV7Ids::new());
    let mut count = 0;
    while clock.monotonic() < until {
        let row = || Row {
            id: ids.next(),
            tenant,
            application,
            created_at: clock.now().as_micros(),
            body: body.clone(),
        };
        let rows: Vec<Row> = std::iter::repeat_with(row).take(BATCH).collect();
        storage.insert_batch(&rows).await?;
        count += u64::try_from(BATCH).unwrap_or_default();
    }
    Ok(count)
}

use std::{
    net::{SocketAddr, TcpListener},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use postrider_api::{
    Health,
    composition::{Platform, Server, SystemClock},
    management::{ManagementContext, ManagementServer},
};
use tokio::{net::TcpSocket, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Outcome, start};
use crate::{
    args::ServeArgs,
    configuration::Configuration,
    dev, options,
    runtime::{self, Farewell, Signals},
    telemetry::{Scope, Telemetry},
};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Serves until a signal.
pub(super) fn run(args: &ServeArgs) -> Outcome {
    let configuration = Configuration::load(&args.config, args.listen)?;
    if configuration.database.url.is_none() {
        dev::refuse_dev_directory(&configuration.database.directory)?;
    }
    let telemetry = Telemetry::start(&configuration.telemetry, Scope::Server)?;
    runtime::raise_open_file_limit();
    runtime::block_on(serve(&configuration, &telemetry))?
}

/// From the first moment on the management listener tells how the process is, while it waits for its database too.
async fn serve(configuration: &Configuration, telemetry: &Telemetry) -> Outcome {
    let signals = Signals::install()?;
    // First: a taken port is told before anything is touched.
    let socket = reserve(configuration.server.listen)?;
    let health = Arc::new(Health::new(Arc::new(SystemClock::new())));
    health.observe();
    let mut heart = JoinSet::new();
    let beating = Arc::clone(&health);
    heart.spawn(async move { beating.keep_beating().await });
    let management = manage(configuration, telemetry, &health)?;
    telemetry.observe_process(if configuration.database.url.is_some() {
        "postgresql"
    } else {
        "sqlite"
    });
    let ended = live(configuration, &health, socket, signals).await;
    health.drain();
    if let Some(management) = management {
        management.stop().await;
    }
    ended
}

/// Starts, serves and stops.
async fn live(
    configuration: &Configuration,
    health: &Arc<Health>,
    socket: TcpSocket,
    mut signals: Signals,
) -> Outcome {
    let platform = tokio::select! {
        biased;
        () = signals.next() => {
            tracing::info!("a signal: stopped before it had started");
            return Ok(ExitCode::SUCCESS);
        }
        opened = Box::pin(start::open(configuration, health)) => opened?,
    };
    let listener = socket.listen(BACKLOG)?.into_std()?;
    let server = Server::start(&platform, listener, options::server(&configuration.server))?;
    tracing::info!(address = %server.address(), version = env!("CARGO_PKG_VERSION"), "serving");
    let farewell = Farewell {
        health: Arc::clone(health),
        grace: Duration::from_secs(configuration.server.drain_grace_s),
        asked: CancellationToken::new(),
        shutdown: CancellationToken::new(),
    };
    let limit = Duration::from_secs(configuration.server.shutdown_timeout_s);
    drain(platform, server, signals, farewell, limit).await
}

/// Runs until a signal, and then for as long as the end may take in all.
async fn drain(
    platform: Platform,
    server: Server,
    signals: Signals,
    farewell: Farewell,
    limit: Duration,
) -> Outcome {
    let (asked, shutdown) = (farewell.asked.clone(), farewell.shutdown.clone());
    let overdue = async {
        // It also ends by itself, when something gives up that nobody can do without.
        tokio::select! {
            () = asked.cancelled() => {}
            () = shutdown.cancelled() => {}
        }
        tokio::time::sleep(limit).await;
    };
    let last_words = platform.last_words();
    let mut watch = JoinSet::new();
    watch.spawn(runtime::farewell_on_signal(signals, farewell));
    let mut running = JoinSet::new();
    // The engine drains first, while the API goes on accepting: what it accepts is durable either way. The database
    // connections that the API's threads opened live as long as those threads, so they end after it.
    //
    // On a thread of the runtime's, beside the attempts and the database's answers that it works with: on this one each
    // of them would have to wake it across threads.
    running.spawn(platform.run(shutdown.clone(), server.stop()));
    let ended = tokio::select! {
        ended = running.join_next() => ended,
        () = overdue => {
            running.shutdown().await;
            last_words.say().await;
            return Ok(ExitCode::FAILURE);
        }
    };
    match ended {
        Some(Ok(ended)) => ended?,
        Some(Err(panic)) => return Err(panic.into()),
        None => {} // one was spawned
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// Takes the address, but lets nobody in yet: until this node can answer, whoever comes is told at once that nobody is
/// there.
fn reserve(address: SocketAddr) -> Result<TcpSocket, String> {
    let taken = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        std::io::Result::Ok(socket)
    };
    taken().map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// The listener for whoever runs it, unless it is switched off.
fn manage(
    configuration: &Configuration,
    telemetry: &Telemetry,
    health: &Arc<Health>,
) -> Result<Option<ManagementServer>, super::Failure> {
    let (Some(address), Some(metrics), Some(logs)) = (
        configuration
            .management
            .enabled
            .then_some(configuration.management.listen),
        telemetry.metrics_page(),
        telemetry.log_control(),
    ) else {
        return Ok(None);
    };
    let context = ManagementContext {
        metrics,
        health: Arc::clone(health),
        logs,
    };
    let server = ManagementServer::start(bind(address)?, context)?;
    tracing::info!(address = %server.address(), "metrics, health and log level");
    Ok(Some(server))
}

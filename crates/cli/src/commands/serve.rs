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

use super::{Outcome, listening, open_files::must_be_told, start};
use crate::{
    args::ServeArgs,
    configuration::{Configuration, ServerConfig},
    dev,
    ending::{self, Deadline, Farewell, Signals},
    files::Files,
    options, runtime,
    telemetry::{Scope, Telemetry},
};

/// Serves until a signal.
pub(super) fn run(args: &ServeArgs) -> Outcome {
    let configuration = Configuration::load(&args.config, args.listen)?;
    if configuration.database.url.is_none() {
        dev::refuse_dev_directory(&configuration.database.directory)?;
    }
    let telemetry = Telemetry::start(&configuration.telemetry, Scope::Server)?;
    for doubt in configuration.doubts() {
        tracing::warn!(key = doubt.key, "{}", doubt.message);
    }
    let files = runtime::raise_open_file_limit();
    tell_of_files(&configuration, files);
    let limit = Duration::from_secs(configuration.server.shutdown_timeout_s);
    let signals = Signals::install(Some(limit))?;
    let deadline = Arc::new(Deadline::new(limit));
    let ended = runtime::block_on(serve(&configuration, &telemetry, files, signals, &deadline));
    telemetry.flush(deadline.left());
    ended?
}

/// From the first moment on the management listener tells how the process is, while it waits for its database too.
async fn serve(
    configuration: &Configuration,
    telemetry: &Telemetry,
    files: Option<u64>,
    signals: Signals,
    deadline: &Arc<Deadline>,
) -> Outcome {
    // First: a taken port is told before anything is touched.
    let socket = listening::reserve(configuration.server.listen)?;
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
    let ready = Ready {
        socket,
        files,
        signals,
    };
    let ended = live(configuration, &health, ready, deadline).await;
    health.drain();
    deadline.begin();
    if let Some(management) = management {
        let stopped = tokio::time::timeout(deadline.left() / 2, management.stop()).await;
        if stopped.is_err() {
            tracing::warn!("the management listener did not end in time");
        }
    }
    ended
}

/// What a server has before it has its database.
struct Ready {
    /// The address of the API.
    socket: TcpSocket,
    /// How many files it may have open.
    files: Option<u64>,
    signals: Signals,
}

/// Starts, serves and stops.
async fn live(
    configuration: &Configuration,
    health: &Arc<Health>,
    ready: Ready,
    deadline: &Arc<Deadline>,
) -> Outcome {
    let Ready {
        socket,
        files,
        signals,
    } = ready;
    let platform = tokio::select! {
        biased;
        () = signals.asked() => {
            tracing::info!("a signal: stopped before it had started");
            return Ok(ExitCode::SUCCESS);
        }
        opened = Box::pin(start::open(configuration, health)) => opened?,
    };
    let listener = listening::open(socket)?;
    let server = Server::start(&platform, listener, options::server(configuration, files))?;
    tracing::info!(address = %server.address(), version = env!("CARGO_PKG_VERSION"), "serving");
    let farewell = Farewell {
        health: Arc::clone(health),
        grace: Duration::from_secs(configuration.server.drain_grace_s),
        deadline: Arc::clone(deadline),
        asked: CancellationToken::new(),
        shutdown: CancellationToken::new(),
    };
    drain(platform, server, signals, farewell, &configuration.server).await
}

/// Runs until a signal, and then for as long as the end may take.
async fn drain(
    platform: Platform,
    server: Server,
    signals: Signals,
    farewell: Farewell,
    limits: &ServerConfig,
) -> Outcome {
    let (asked, shutdown) = (farewell.asked.clone(), farewell.shutdown.clone());
    let deadline = Arc::clone(&farewell.deadline);
    let (answers, work) = (limits.answers_limit(), limits.work_limit());
    let hurry = CancellationToken::new();
    let overdue = async {
        // It also ends by itself, when something gives up that nobody can do without.
        tokio::select! {
            () = asked.cancelled() => {}
            () = shutdown.cancelled() => {}
        }
        deadline.begin();
        tokio::time::sleep(answers).await;
        hurry.cancel();
        tokio::time::sleep(work.saturating_sub(answers)).await;
    };
    let last_words = platform.last_words();
    let mut watch = JoinSet::new();
    watch.spawn(ending::farewell_on_signal(signals, farewell));
    let mut running = JoinSet::new();
    // The engine drains first, while the API goes on accepting: what it accepts is durable either way. The database
    // connections that the API's threads opened live as long as those threads, so they end after it.
    //
    // On a thread of the runtime's, beside the attempts and the database's answers that it works with: on this one each
    // of them would have to wake it across threads.
    running.spawn(platform.run(shutdown.clone(), server.stop_by(hurry.clone())));
    let ended = tokio::select! {
        ended = running.join_next() => ended,
        () = overdue => {
            running.shutdown().await;
            last_words.say(deadline.left() / 2).await;
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

fn tell_of_files(configuration: &Configuration, limit: Option<u64>) {
    let wanted = Files::wanted(configuration);
    let (for_us, for_clients) = (wanted.ours, wanted.of_clients);
    let connections_per_worker = wanted.fewer_clients(limit);
    if must_be_told(configuration, limit) {
        tracing::warn!(
            limit,
            for_us,
            for_clients,
            connections_per_worker,
            "the limit of open files is too low for delivery.max_in_flight and server.max_connections_per_worker: fewer \
             clients are held"
        );
    } else if connections_per_worker.is_some() {
        tracing::info!(
            limit,
            for_us,
            connections_per_worker,
            "as many clients are held as the limit of open files has room for"
        );
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| format!("cannot listen on {address}: {error}"))
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
        remote_log_level: configuration.management.remote_log_level,
    };
    let server = ManagementServer::start(bind(address)?, context)?;
    tracing::info!(address = %server.address(), "metrics, health and log level");
    Ok(Some(server))
}

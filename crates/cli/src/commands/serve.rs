use std::{
    net::{SocketAddr, TcpListener},
    process::ExitCode,
};

use postrider_api::{
    composition::{Platform, Server},
    management::{ManagementContext, ManagementServer},
};
use tokio_util::sync::CancellationToken;

use super::Outcome;
use crate::{
    args::ServeArgs,
    configuration::Configuration,
    dev, options, runtime,
    telemetry::{Scope, Telemetry},
};

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

async fn serve(configuration: &Configuration, telemetry: &Telemetry) -> Outcome {
    // Bound first: a taken port is told before anything is touched.
    let listener = bind(configuration.server.listen)?;
    let management = manage(configuration, telemetry)?;
    telemetry.observe_process(if configuration.database.url.is_some() {
        "postgresql"
    } else {
        "sqlite"
    });
    let platform = Platform::open(options::platform(configuration)).await?;
    let server = Server::start(&platform, listener, options::server(&configuration.server))?;
    tracing::info!(address = %server.address(), version = env!("CARGO_PKG_VERSION"), "serving");

    let shutdown = CancellationToken::new();
    let mut signals = tokio::task::JoinSet::new();
    signals.spawn(runtime::cancel_on_signal(shutdown.clone()));
    let mut running = tokio::task::JoinSet::new();
    // The engine drains first, while the API goes on accepting: what it accepts is durable either way. The database
    // connections that the API's threads opened live as long as those threads, so they end after it.
    //
    // On a thread of the runtime's, beside the attempts and the database's answers that it works with: on this one each
    // of them would have to wake it across threads.
    running.spawn(platform.run(shutdown, server.stop()));
    let ended = match running.join_next().await {
        Some(Ok(ended)) => ended,
        Some(Err(panic)) => return Err(panic.into()),
        None => Ok(()), // one was spawned
    };
    signals.abort_all();
    if let Some(management) = management {
        management.stop().await;
    }
    ended?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// The listener for whoever runs it, unless it is switched off.
fn manage(
    configuration: &Configuration,
    telemetry: &Telemetry,
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
    let server = ManagementServer::start(bind(address)?, ManagementContext { metrics, logs })?;
    tracing::info!(address = %server.address(), "metrics, health and log level");
    Ok(Some(server))
}

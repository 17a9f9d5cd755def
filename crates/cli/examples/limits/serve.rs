//! The real server with another way in.

use std::{net::TcpListener, sync::Arc};

use postrider_api::composition::{Platform, Server};
use postrider_application::ports::MessageIntake;
use tokio_util::sync::CancellationToken;

use crate::{
    Failure,
    args::ServeArgs,
    configuration::Configuration,
    ending::{self, Signals},
    intake::{Discard, Plain},
    options, runtime,
    storage::Storage,
    telemetry::{Scope, Telemetry},
};

/// Of `serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What becomes of a message
    #[arg(long)]
    intake: Kind,
    #[command(flatten)]
    serve: ServeArgs,
}

/// The ways in.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Nothing
    Discard,
    /// It is stored by a transaction of its own
    Plain,
}

/// Serves until a signal.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let configuration = Configuration::load(&args.serve.config, args.serve.listen)?;
    let _telemetry = Telemetry::start(&configuration.telemetry, Scope::Server)?;
    let files = runtime::raise_open_file_limit();
    runtime::block_on(serve(&configuration, files, args.intake))?
}

async fn serve(configuration: &Configuration, files: Option<u64>, kind: Kind) -> Result<(), Failure> {
    let listener = TcpListener::bind(configuration.server.listen)?;
    let intake: Arc<dyn MessageIntake> = match kind {
        Kind::Discard => Arc::new(Discard),
        Kind::Plain => Arc::new(Plain::new(
            Storage::open(&configuration.database, Storage::ENGINE).await?,
        )),
    };
    let platform = Box::pin(Platform::open_with_intake(
        options::platform(configuration),
        intake,
    ))
    .await?;
    let server = Server::start(&platform, listener, options::server(configuration, files))?;
    let shutdown = CancellationToken::new();
    let mut signals = tokio::task::JoinSet::new();
    signals.spawn(ending::cancel_on_signal(
        Signals::install(None)?,
        shutdown.clone(),
    ));
    let ended = Box::pin(platform.run(shutdown, server.stop())).await;
    signals.abort_all();
    Ok(ended?)
}

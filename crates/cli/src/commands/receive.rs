use std::{io::IsTerminal as _, process::ExitCode};

use postrider_domain::endpoints::SigningSecret;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Outcome, quiet_telemetry};
use crate::{
    args::ReceiveArgs,
    ending::{self, Signals},
    receiver::{self, Receiver},
    runtime,
};

/// Receives until a signal.
pub(super) fn run(args: &ReceiveArgs) -> Outcome {
    let _telemetry = quiet_telemetry("warn")?;
    let secrets = args
        .secret
        .iter()
        .map(|text| SigningSecret::parse(text).map_err(|invalid| format!("--secret: {invalid}")))
        .collect::<Result<Vec<_>, _>>()?;
    runtime::block_on(receive(args, secrets))?
}

async fn receive(args: &ReceiveArgs, secrets: Vec<SigningSecret>) -> Outcome {
    let (sender, mut arrivals) = mpsc::channel(1_024);
    let listener = std::net::TcpListener::bind(args.listen)?;
    let options = receiver::Options {
        secrets,
        fail_first: args.fail_first,
    };
    let receiver = Receiver::start(listener, options, sender)?;
    if !args.json {
        println!("Receiving on {} (any path). Ctrl-C ends.", receiver.url());
    }
    let shutdown = CancellationToken::new();
    let signal = ending::cancel_on_signal(Signals::install(None)?, shutdown.clone());
    tokio::pin!(signal);
    let color = std::io::stdout().is_terminal();
    loop {
        tokio::select! {
            Some(arrival) = arrivals.recv() => {
                println!("{}", if args.json { arrival.to_json() } else { arrival.to_line(color) });
            }
            () = &mut signal => break,
        }
    }
    receiver.stop().await;
    Ok(ExitCode::SUCCESS)
}

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{HttpServer, dev::ServerHandle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Platform;
use crate::connections::Connections;

/// Bounds of the listener.
#[derive(Debug, Clone, Copy)]
pub struct ServerOptions {
    /// The most connections that one worker holds at once.
    pub max_connections_per_worker: usize,
    /// How long a client may take to send a request's head.
    pub request_head_timeout: Duration,
    /// How long a connection may be silent after an answer.
    pub keep_alive: Duration,
    /// How long a stop waits for requests under way.
    pub shutdown_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_connections_per_worker: 10_000,
            request_head_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

/// The API on a listener.
pub struct Server {
    address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<io::Result<()>>,
    connections: Arc<Connections>,
    watch: JoinHandle<()>,
    stop_watching: CancellationToken,
}

impl Server {
    /// Serves `platform` on `listener`, on threads of its own.
    pub fn start(platform: &Platform, listener: TcpListener, options: ServerOptions) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let context = platform.context();
        let connections = Arc::new(Connections::default());
        let admitted = connections.clone();
        let server = HttpServer::new(move || crate::app(context.clone()))
            .on_connect(move |io, data| admitted.admit(io, data))
            .max_connections(options.max_connections_per_worker)
            .client_request_timeout(options.request_head_timeout)
            .keep_alive(options.keep_alive)
            .shutdown_timeout(options.shutdown_timeout.as_secs())
            // Signals are the process's affair: the engine must drain too.
            .disable_signals()
            .listen(listener)?
            .run();
        let handle = server.handle();
        #[expect(clippy::disallowed_methods, reason = "stop() awaits it")]
        let task = tokio::spawn(server);
        let stop_watching = CancellationToken::new();
        let stopped = stop_watching.clone();
        let quiet = options.keep_alive + options.request_head_timeout;
        #[expect(clippy::disallowed_methods, reason = "stop() awaits it")]
        let watch = {
            let connections = Arc::clone(&connections);
            tokio::spawn(async move { connections.watch(quiet, stopped).await })
        };
        Ok(Self {
            address,
            handle,
            task,
            connections,
            watch,
            stop_watching,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Finishes the requests under way, and ends.
    pub async fn stop(self) {
        self.stop_by(CancellationToken::new()).await;
    }

    /// The same; but at `hurry`, clients that are still reading what they were answered are cut off: what they asked for is
    /// done, and how fast they read is not for us to wait for.
    pub async fn stop_by(self, hurry: CancellationToken) {
        let cut = async {
            hurry.cancelled().await;
            self.connections.let_go().await;
        };
        tokio::select! {
            () = self.handle.stop(true) => {}
            () = cut => {}
        }
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the listener failed"),
            Err(error) => tracing::error!(%error, "the listener panicked"),
        }
        self.stop_watching.cancel();
        if let Err(error) = self.watch.await {
            tracing::error!(%error, "the watch over connections panicked");
        }
    }
}

//! Connections on which nothing is asked are ended.
//!
//! The framework gives a client so long to send the head of its *first* request, and closes a connection that is silent
//! after an answer. Between the two it waits for ever: for the rest of a later request's head once its first byte has
//! come, and for the end of a chunked body that nobody reads any more. Whoever sends such beginnings over and over, known
//! to us or not, would hold all connections of a node. So each connection is watched from outside, as long as no request
//! of it is being served (a request that is has limits of its own).

use std::{
    any::Any,
    net::{Shutdown, TcpStream},
    os::fd::AsFd as _,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    Error,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Extensions, ServiceRequest, ServiceResponse},
    middleware::Next,
    web::Bytes,
};
use tokio_util::sync::CancellationToken;

/// How often the connections are looked at. Quiet time is counted in these, so that no clock is needed.
const TICK: Duration = Duration::from_millis(250);

/// How long a client may take nothing of what is sent to it (TCP's user time-out): the other way to hold a connection.
#[cfg(target_os = "linux")]
const NOT_TAKEN: Duration = Duration::from_mins(1);

/// The open connections of a listener.
#[derive(Default)]
pub(crate) struct Connections {
    open: Mutex<Vec<Weak<Connection>>>,
}

/// One of them.
struct Connection {
    /// A second handle of its socket, closed with the connection: the first is the framework's, and may be closed and its
    /// number be another's at any time. So each connection counts twice among the process's open files.
    socket: TcpStream,
    /// Requests whose answers have not begun.
    unanswered: AtomicU32,
    /// Requests whose answers are not sent yet.
    under_way: AtomicU32,
    /// For how many ticks there was none.
    quiet_ticks: AtomicU32,
}

impl Connections {
    /// Takes in a new connection. One whose socket cannot be watched is closed: the process is at its limit of files.
    pub(crate) fn admit(&self, io: &dyn Any, data: &mut Extensions) {
        let Some(stream) = io.downcast_ref::<tokio::net::TcpStream>() else {
            return;
        };
        #[cfg(target_os = "linux")]
        if let Err(error) = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(NOT_TAKEN)) {
            tracing::debug!(%error, "a connection has no limit for what its client does not take");
        }
        let socket = match stream.as_fd().try_clone_to_owned() {
            Ok(socket) => TcpStream::from(socket),
            Err(error) => {
                tracing::warn!(%error, "a connection was refused: its socket has no second handle");
                let _ = socket2::SockRef::from(stream).shutdown(Shutdown::Both);
                return;
            }
        };
        let connection = Arc::new(Connection {
            socket,
            unanswered: AtomicU32::new(0),
            under_way: AtomicU32::new(0),
            quiet_ticks: AtomicU32::new(0),
        });
        self.lock().push(Arc::downgrade(&connection));
        data.insert(connection);
    }

    /// Ends what is quiet for longer than this, until stopped.
    pub(crate) async fn watch(&self, quiet: Duration, stop: CancellationToken) {
        let limit = u32::try_from(quiet.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX / 2);
        while stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_some() {
            self.lock().retain(|connection| {
                let connection = connection.upgrade();
                connection.inspect(|open| open.tick(limit)).is_some()
            });
        }
    }

    /// Cuts off, again and again until dropped, whoever has nothing more to wait for than to read an answer, or asks nothing.
    pub(crate) async fn let_go(&self) {
        loop {
            for connection in self.lock().iter().filter_map(Weak::upgrade) {
                if connection.unanswered.load(Ordering::Acquire) == 0 {
                    let _ = connection.socket.shutdown(Shutdown::Both);
                }
            }
            tokio::time::sleep(TICK).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Connection>>> {
        // Whole after each statement.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn tick(&self, limit: u32) {
        if self.under_way.load(Ordering::Acquire) > 0 {
            return;
        }
        let quiet = self.quiet_ticks.fetch_add(1, Ordering::AcqRel);
        // First only what comes in: an answer that a slow client is still reading is sent to its end. Who has not read
        // it after the same time again does not read.
        if quiet == limit {
            let _ = self.socket.shutdown(Shutdown::Read);
        } else if quiet == limit.saturating_mul(2) {
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}

/// A request whose answer has not begun.
struct Unanswered(Arc<Connection>);

impl Unanswered {
    fn begin(connection: &Arc<Connection>) -> Self {
        connection.unanswered.fetch_add(1, Ordering::AcqRel);
        Self(connection.clone())
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.unanswered.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A request that is being served, and its connection not quiet.
struct UnderWay(Arc<Connection>);

impl UnderWay {
    fn begin(connection: &Arc<Connection>) -> Self {
        connection.under_way.fetch_add(1, Ordering::AcqRel);
        Self(connection.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.quiet_ticks.store(0, Ordering::Release);
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The middleware that says when a request is being served: until the last byte of its answer is handed on.
pub(crate) async fn under_way<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let connection = request.conn_data::<Arc<Connection>>();
    let unanswered = connection.map(Unanswered::begin);
    let under_way = connection.map(UnderWay::begin);
    let response = next.call(request).await?.map_into_boxed_body();
    drop(unanswered);
    Ok(response.map_body(|_, body| Watched {
        body,
        _under_way: under_way,
    }))
}

/// An answer's body.
struct Watched {
    body: BoxBody,
    _under_way: Option<UnderWay>,
}

impl MessageBody for Watched {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;

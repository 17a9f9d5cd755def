//! An export on its way to whoever asked for it, which takes as long as they take.
//!
//! A task writes and the response reads, with one piece between them. That way the export ends when it must, whether
//! or not anybody reads: the server does not look at a body while its client takes nothing.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::Stream;
use postrider_application::{Error, ErrorKind, Result, ports::ExportRow, tenants::TenantExporter};
use tokio::{
    sync::mpsc::{self, Permit},
    task::JoinSet,
    time::{error::Elapsed, timeout},
};
use tracing::Instrument as _;

use crate::{authentication::Standing, wire::export::ExportLines};

/// How long an export may take from its first line to its last: at some 10 MB/s enough for 200 GB, and a bound for
/// one that is taken as slowly as is tolerated.
pub(crate) const LONGEST: Duration = Duration::from_hours(6);
/// How long one piece may wait until it is taken: whoever reads more slowly than a kilobyte a second is as good as
/// gone, and keeps others from exporting.
pub(crate) const UNTAKEN: Duration = Duration::from_mins(1);
/// The most bytes of a piece. Each is handed on only after another look at whom it is for.
const PIECE_BYTES: usize = 64 * 1024;

/// Where the rows come from.
pub(crate) trait Pages: Send + 'static {
    /// The next rows; none at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<ExportRow>>>> + Send;
}

impl Pages for TenantExporter {
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<ExportRow>>>> + Send {
        Self::next(self)
    }
}

/// An export was cut off. The answer has begun: only a broken connection and the missing last line can say so.
#[derive(Debug, thiserror::Error)]
#[error("the export was cut off")]
pub(crate) struct Cut;

/// The lines. An error ends them without the last one. Dropping it ends the export.
pub(crate) struct ExportStream {
    pieces: mpsc::Receiver<Bytes>,
    writer: JoinSet<Result<(), Cut>>,
    cut: bool,
}

impl ExportStream {
    /// Begins to write `head` and then what `pages` holds, for as long as `standing` lasts.
    pub(crate) fn begin(head: Bytes, pages: impl Pages, standing: Standing) -> Self {
        // One piece: what was let out of our hands cannot be taken back.
        let (to, pieces) = mpsc::channel(1);
        let writing = async {
            let writer = Writer { standing, to };
            let written = timeout(LONGEST, writer.write(head, pages)).await;
            written.unwrap_or(Err(Stop::TooLong)).map_err(Stop::cut)
        };
        let mut writer = JoinSet::new();
        writer.spawn(writing.in_current_span());
        Self {
            pieces,
            writer,
            cut: false,
        }
    }
}

impl Stream for ExportStream {
    type Item = Result<Bytes, Cut>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        let this = self.get_mut();
        if this.cut {
            return Poll::Ready(None);
        }
        match this.writer.poll_join_next(context) {
            // Also when it panicked; a piece that still waits is not handed out any more.
            Poll::Ready(Some(Ok(Err(Cut)) | Err(_))) => {
                this.cut = true;
                return Poll::Ready(Some(Err(Cut)));
            }
            Poll::Ready(_) | Poll::Pending => {}
        }
        match ready!(this.pieces.poll_recv(context)) {
            Some(piece) => Poll::Ready(Some(Ok(piece))),
            None if this.writer.is_empty() => Poll::Ready(None),
            // It has let go of the channel and is about to say how it ended, which wakes us.
            None => Poll::Pending,
        }
    }
}

/// Why an export ends early.
enum Stop {
    Failed(Error),
    Untaken,
    TooLong,
    /// Nobody is there any more.
    Gone,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(Error::internal(error))
    }
}

impl Stop {
    /// The log says why; the caller sees only that it is so.
    fn cut(self) -> Cut {
        let reason = match self {
            Self::Failed(error) => {
                let (code, error_chain) = (error.code().as_str(), error.chain());
                match error.code().kind() {
                    ErrorKind::Internal | ErrorKind::Unavailable => {
                        tracing::error!(code, error = error_chain, "an export was cut off");
                    }
                    _ => tracing::warn!(
                        code,
                        error = error_chain,
                        "an export was cut off: whoever asked for it may not have it any more"
                    ),
                }
                return Cut;
            }
            Self::Untaken => "nothing of it was taken for too long",
            Self::TooLong => "it took too long",
            Self::Gone => return Cut,
        };
        tracing::warn!(reason, "an export was cut off");
        Cut
    }
}

struct Writer {
    standing: Standing,
    to: mpsc::Sender<Bytes>,
}

impl Writer {
    async fn write(self, head: Bytes, mut pages: impl Pages) -> Result<(), Stop> {
        self.place().await?.send(head);
        let mut lines = ExportLines::default();
        loop {
            // Nothing is read before it is wanted.
            drop(self.place().await?);
            let Some(rows) = pages.next().await? else {
                break;
            };
            let mut page = lines.rows(&rows)?;
            while !page.is_empty() {
                let piece = page.split_to(page.len().min(PIECE_BYTES));
                self.place().await?.send(piece);
            }
        }
        self.place().await?.send(lines.end()?);
        Ok(())
    }

    /// Waits until the piece before was taken, and looks again at whom the next one is for.
    async fn place(&self) -> Result<Permit<'_, Bytes>, Stop> {
        let place = timeout(UNTAKEN, self.to.reserve())
            .await
            .map_err(|_: Elapsed| Stop::Untaken)?
            .map_err(|_| Stop::Gone)?;
        self.standing.check().await?;
        Ok(place)
    }
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;

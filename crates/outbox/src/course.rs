use std::{error::Error, sync::Arc, time::Duration};

use postrider_application::ports::{EventLog, LoggedEvent};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{RelayOptions, RelaySignal, Subscriber, backoff::Backoff};

/// The relay was told to stop.
struct Stopped;

/// One subscriber's way along the log.
pub(crate) struct Course {
    log: Arc<dyn EventLog>,
    subscriber: Arc<dyn Subscriber>,
    /// The last event that is done with.
    position: i64,
    options: RelayOptions,
    /// Held, so that the receiver does not end while the relay runs.
    signal: RelaySignal,
}

impl Course {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        subscriber: Arc<dyn Subscriber>,
        position: i64,
        options: RelayOptions,
        signal: RelaySignal,
    ) -> Self {
        Self {
            log,
            subscriber,
            position,
            options,
            signal,
        }
    }

    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut woken = self.signal.0.subscribe();
        let mut backoff = self.backoff();
        loop {
            let read = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                read = self.log.after(self.position, self.options.batch) => read,
            };
            let full = match read {
                Ok(events) => {
                    backoff.reset();
                    let full = events.len() >= self.options.batch as usize;
                    if let Err(Stopped) = self.tell_all(events, &shutdown).await {
                        return;
                    }
                    full
                }
                Err(error) => {
                    let pause = backoff.pause();
                    tracing::warn!(
                        subscriber = self.subscriber.name(),
                        position = self.position,
                        pause_ms = millis(pause),
                        error = chain(&error),
                        "the event log cannot be read; trying again"
                    );
                    if let Err(Stopped) = rest(pause, &shutdown).await {
                        return;
                    }
                    continue;
                }
            };
            if full {
                continue;
            }
            // A signal given since the last pause ended, during the read or the work too, ends this one at once.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = woken.changed() => {}
                () = sleep(self.options.poll_interval) => {}
            }
        }
    }

    async fn tell_all(
        &mut self,
        events: Vec<LoggedEvent>,
        shutdown: &CancellationToken,
    ) -> Result<(), Stopped> {
        for event in events {
            if self.subscriber.wants(&event.kind) {
                self.tell(&event, shutdown).await?;
            }
            self.position = event.position;
        }
        Ok(())
    }

    /// Tells one event until it is taken.
    async fn tell(&self, event: &LoggedEvent, shutdown: &CancellationToken) -> Result<(), Stopped> {
        let mut backoff = self.backoff();
        let mut failures = 0_u64;
        loop {
            if shutdown.is_cancelled() {
                return Err(Stopped);
            }
            let error = match timeout(self.options.handle_timeout, self.subscriber.handle(event)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => chain(&error),
                Err(elapsed) => chain(&elapsed),
            };
            failures += 1;
            let pause = backoff.pause();
            // The kind and the position say which event it is; its body may hold what does not belong in a log.
            tracing::warn!(
                subscriber = self.subscriber.name(),
                kind = event.kind,
                position = event.position,
                failures,
                pause_ms = millis(pause),
                error,
                "a subscriber could not take an event; trying again"
            );
            rest(pause, shutdown).await?;
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(self.options.retry_first, self.options.retry_cap)
    }
}

async fn rest(pause: Duration, shutdown: &CancellationToken) -> Result<(), Stopped> {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => Err(Stopped),
        () = sleep(pause) => Ok(()),
    }
}

fn millis(pause: Duration) -> u64 {
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
}

/// The error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

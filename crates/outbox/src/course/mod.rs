//! One subscriber's way along the log, on the node that holds its cursor.

mod again;
mod held;
mod tell;

use std::{convert::Infallible, error::Error, pin::Pin, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use postrider_application::ports::{AggregateKey, Epoch, LoggedEvent, SetAside, StoreError};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::held::Held;
use crate::{
    Installed, RelayOptions, RelayPorts, Subscriber, SubscriberError, Subscription,
    backoff::Backoff,
    store_calls::{STORE_TIMEOUT, bounded},
};

/// An event of a form that this release does not know.
const UNKNOWN_FORM: &str = "unknown_form";
/// An event over which the subscriber panicked.
const PANICKED: &str = "panicked";

/// Why a course ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The relay was told to stop.
    Stopped,
    /// The cursor is another node's, or our lease ran out.
    Lost,
}

/// A question to the store.
type Call<'c, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'c>>;

/// A question to the subscriber.
type Asked<'s, T> = Pin<Box<dyn Future<Output = Result<T, SubscriberError>> + Send + 's>>;

/// What is to become of an event of a batch.
#[derive(Clone, Copy)]
enum Answer {
    /// It was taken, or is none of the subscriber's business.
    Done,
    /// An earlier one of its aggregate is set aside.
    Waits,
    /// It was not its turn: what came before it found no room. It is read again.
    Untold,
    Refused {
        attempts: u32,
        error: &'static str,
    },
}

/// What became of an event that was told.
enum Told {
    Taken,
    Refused { attempts: u32, error: &'static str },
}

/// One subscriber's way along the log.
pub(crate) struct Course {
    pub(crate) ports: RelayPorts,
    pub(crate) subscription: Subscription,
    pub(crate) subscriber: Arc<dyn Subscriber>,
    /// The life by which the cursor is ours.
    pub(crate) epoch: Epoch,
    /// The last event that is done with, or was set aside.
    pub(crate) position: i64,
    pub(crate) options: RelayOptions,
    /// The newest event that this node has seen.
    pub(crate) head: watch::Receiver<i64>,
    /// Told when the operator wants something delivered again.
    pub(crate) again: Arc<Notify>,
    pub(crate) shutdown: CancellationToken,
    /// What is set aside.
    blocked: Held,
}

impl Course {
    pub(crate) fn new(
        ports: RelayPorts,
        installed: &Installed,
        (epoch, position): (Epoch, i64),
        options: RelayOptions,
        (head, again, shutdown): (watch::Receiver<i64>, Arc<Notify>, CancellationToken),
    ) -> Self {
        Self {
            ports,
            subscription: installed.subscription,
            subscriber: Arc::clone(&installed.subscriber),
            epoch,
            position,
            options,
            head,
            again,
            shutdown,
            blocked: Held::default(),
        }
    }

    /// Goes on until it is told to stop, or the cursor is another's; answers its name.
    pub(crate) async fn run(mut self) -> &'static str {
        let Err(ended) = self.go().await;
        tracing::debug!(subscriber = self.subscription.name, ?ended, "a cursor is let go");
        self.subscription.name
    }

    async fn go(&mut self) -> Result<Infallible, Ended> {
        self.begin().await?;
        self.learn_blocked().await?;
        // What the last holder's release did not know, ours may.
        let name = self.subscription.name;
        self.ask(|| self.ports.cursors.reconsider(name, UNKNOWN_FORM))
            .await?;
        self.deliver_again().await?;
        loop {
            let events = self.read().await?;
            let full = events.len() >= self.options.batch as usize;
            if !events.is_empty() {
                self.take(events).await?;
            }
            let again = if full {
                self.again.notified().now_or_never().is_some()
            } else {
                self.wait().await?
            };
            if again {
                self.deliver_again().await?;
            }
        }
    }

    fn may_go_on(&self) -> Result<(), Ended> {
        if self.shutdown.is_cancelled() {
            Err(Ended::Stopped)
        } else if self.ports.life.holds(self.epoch) {
            Ok(())
        } else {
            Err(Ended::Lost)
        }
    }

    /// Waits for a newer event, or until something is to be delivered again: whether that is so.
    async fn wait(&mut self) -> Result<bool, Ended> {
        let position = self.position;
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(Ended::Stopped),
            () = self.ports.life.changed(Some(self.epoch)) => Err(Ended::Lost),
            () = self.again.notified() => Ok(true),
            newer = self.head.wait_for(|head| *head > position) => match newer {
                Ok(_) => Ok(false),
                Err(_) => Err(Ended::Stopped),
            },
        }
    }

    async fn rest(&self, pause: Duration) -> Result<(), Ended> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(Ended::Stopped),
            () = self.ports.life.changed(Some(self.epoch)) => Err(Ended::Lost),
            () = sleep(pause) => Ok(()),
        }
    }

    /// Asks the store until it answers.
    async fn ask<'c, T>(&self, asked: impl Fn() -> Call<'c, T> + Send) -> Result<T, Ended> {
        let mut backoff = self.backoff();
        loop {
            self.may_go_on()?;
            let answer = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Err(Ended::Stopped),
                answer = bounded(STORE_TIMEOUT, asked()) => answer,
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let pause = backoff.pause();
                    tracing::warn!(
                        subscriber = self.subscription.name,
                        position = self.position,
                        pause_ms = millis(pause),
                        error = chain(&error),
                        "the relay cannot read or write; trying again"
                    );
                    self.rest(pause).await?;
                }
            }
        }
    }

    async fn read(&self) -> Result<Vec<LoggedEvent>, Ended> {
        self.ask(|| self.ports.log.after(self.position, self.options.batch))
            .await
    }

    async fn learn_blocked(&mut self) -> Result<(), Ended> {
        let name = self.subscription.name;
        let blocked = self.ask(|| self.ports.cursors.blocked(name)).await?;
        self.blocked = Held::learned(blocked);
        Ok(())
    }

    /// Takes a batch: tells the subscriber, makes it durable, moves the cursor.
    async fn take(&mut self, events: Vec<LoggedEvent>) -> Result<(), Ended> {
        let answers = self.tell_all(&events).await;
        let (mut done, mut aside) = (self.position, Vec::new());
        let mut told = Ok(true);
        for (event, answer) in events.iter().zip(answers) {
            if matches!(answer, Ok(Answer::Untold)) {
                break;
            }
            told = answer.map(|answer| self.is_done(event, answer, &mut aside));
            if !matches!(told, Ok(true)) {
                break;
            }
            done = event.position;
        }
        // When we are to stop, what was taken so far is not told again, if that is quickly said.
        let may = told != Err(Ended::Lost) && done > self.position;
        if may && (told.is_ok() || self.flushed_once().await) {
            if told.is_ok() {
                self.flush().await?;
            }
            self.advance(done, &aside, told.is_ok()).await?;
        }
        if !told? {
            tracing::error!(
                subscriber = self.subscription.name,
                set_aside = self.blocked.events(),
                "as many events are set aside as may be: the subscriber stands still until some are delivered"
            );
            self.rest(self.options.retry_cap).await?;
            self.deliver_again().await?;
            self.learn_blocked().await?;
        }
        Ok(())
    }

    /// Whether another event may be set aside, after so many of those that are being told.
    fn has_room(&self, aside: u64) -> bool {
        self.blocked.events() + aside < self.options.max_set_aside
    }

    /// Notes what became of an event, and sets it aside if need be; `false` if there is no room for that.
    fn is_done(&mut self, event: &LoggedEvent, answer: Answer, aside: &mut Vec<SetAside>) -> bool {
        let (attempts, error) = match answer {
            Answer::Done => return true,
            Answer::Untold => return false,
            // It is read from the log again when its turn comes.
            Answer::Waits if self.blocked.is_later_in_log(&key(event)) => return true,
            Answer::Waits => (0, None),
            Answer::Refused { attempts, error } => (attempts, Some(error)),
        };
        if !self.has_room(0) {
            return false;
        }
        if let Some(error) = error {
            tracing::error!(
                subscriber = self.subscription.name,
                kind = event.kind,
                position = event.position,
                attempts,
                error,
                "an event is set aside; later ones of its aggregate wait for it"
            );
            self.ports.metrics.set_aside(self.subscription.name);
        }
        let of = key(event);
        aside.push(SetAside {
            position: event.position,
            kind: event.kind.clone(),
            attempts,
            error: error.map(str::to_owned),
            discarded: false,
            later_in_log: self.blocked.add(&of, self.options.max_waiting),
            of,
        });
        true
    }

    /// Has the subscriber forget what an earlier life left.
    async fn begin(&self) -> Result<(), Ended> {
        self.insist("a subscriber could not begin; trying again", || {
            self.subscriber.begin()
        })
        .await
    }

    /// Makes what was taken durable.
    async fn flush(&self) -> Result<(), Ended> {
        self.insist("a subscriber could not keep what it took; trying again", || {
            self.subscriber.flush()
        })
        .await
    }

    /// The same, tried once and for so long as an event may take: whether it worked.
    async fn flushed_once(&self) -> bool {
        let flushed = timeout(self.options.handle_timeout, self.subscriber.flush()).await;
        matches!(flushed, Ok(Ok(())))
    }

    /// Asks the subscriber until it answers.
    async fn insist<'s, T>(
        &self,
        otherwise: &'static str,
        ask: impl Fn() -> Asked<'s, T> + Send,
    ) -> Result<T, Ended> {
        let mut backoff = self.backoff();
        loop {
            self.may_go_on()?;
            let error = match timeout(self.options.handle_timeout, ask()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => chain(&error),
                Err(elapsed) => chain(&elapsed),
            };
            let pause = backoff.pause();
            tracing::warn!(
                subscriber = self.subscription.name,
                position = self.position,
                pause_ms = millis(pause),
                error,
                otherwise
            );
            self.rest(pause).await?;
        }
    }

    async fn advance(&mut self, position: i64, aside: &[SetAside], patiently: bool) -> Result<(), Ended> {
        let (cursors, name) = (&self.ports.cursors, self.subscription.name);
        let advance = || cursors.advance(self.epoch, name, position, aside);
        let moved = if patiently {
            self.ask(advance).await?
        } else {
            bounded(self.options.handle_timeout, advance())
                .await
                .unwrap_or(false)
        };
        if !moved {
            return Err(Ended::Lost);
        }
        self.position = position;
        Ok(())
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(self.options.retry_first, self.options.retry_cap)
    }
}

fn key(event: &LoggedEvent) -> AggregateKey {
    AggregateKey {
        tenant: event.tenant,
        aggregate: event.aggregate.clone(),
    }
}

pub(crate) fn millis(pause: Duration) -> u64 {
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
}

/// The error and its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

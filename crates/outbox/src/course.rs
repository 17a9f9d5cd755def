//! One subscriber's way along the log, on the node that holds its cursor.

use std::{
    collections::HashSet, convert::Infallible, error::Error, panic::AssertUnwindSafe, pin::Pin, sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use postrider_application::ports::{AggregateKey, Epoch, EventForm, LoggedEvent, SetAside, StoreError};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Installed, RelayOptions, RelayPorts, Subscriber, SubscriberError, Subscription, backoff::Backoff,
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

/// What became of an event.
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
    /// Aggregates of which an event is set aside.
    blocked: HashSet<AggregateKey>,
    /// How many events are.
    set_aside: u64,
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
            blocked: HashSet::new(),
            set_aside: 0,
        }
    }

    /// Goes on until it is told to stop, or the cursor is another's; answers its name.
    pub(crate) async fn run(mut self) -> &'static str {
        let Err(ended) = self.go().await;
        tracing::debug!(subscriber = self.subscription.name, ?ended, "a cursor is let go");
        self.subscription.name
    }

    async fn go(&mut self) -> Result<Infallible, Ended> {
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
            let lag = (*self.head.borrow() - self.position).max(0);
            self.ports.metrics.lag(self.subscription.name, lag);
            if !full && self.wait().await? {
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
                answer = asked() => answer,
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
        self.set_aside = blocked.events;
        self.blocked = blocked.aggregates.into_iter().collect();
        Ok(())
    }

    /// Takes a batch: tells the subscriber, makes it durable, moves the cursor.
    async fn take(&mut self, events: Vec<LoggedEvent>) -> Result<(), Ended> {
        let (mut done, mut aside) = (self.position, Vec::new());
        let mut told = Ok(true);
        for event in events {
            told = self.take_one(&event, &mut aside).await;
            if !matches!(told, Ok(true)) {
                break;
            }
            done = event.position;
        }
        // When we are to stop, what was taken so far is not told again, if that is quickly said.
        let may = told != Err(Ended::Lost) && done > self.position;
        if may && (told.is_ok() || self.subscriber.flush().await.is_ok()) {
            if told.is_ok() {
                self.flush().await?;
            }
            self.advance(done, &aside, told.is_ok()).await?;
        }
        if !told? {
            tracing::error!(
                subscriber = self.subscription.name,
                set_aside = self.set_aside,
                "as many events are set aside as may be: the subscriber stands still until some are delivered"
            );
            self.rest(self.options.retry_cap).await?;
            self.deliver_again().await?;
            self.learn_blocked().await?;
        }
        Ok(())
    }

    /// Takes one event, or sets it aside; `false` if it would have to be and there is no room.
    async fn take_one(&mut self, event: &LoggedEvent, aside: &mut Vec<SetAside>) -> Result<bool, Ended> {
        if !self.subscription.wants(&event.kind) {
            return Ok(true);
        }
        let of = AggregateKey {
            tenant: event.tenant,
            aggregate: event.aggregate.clone(),
        };
        let has_room = self.set_aside < self.options.max_set_aside;
        let waits = self.blocked.contains(&of);
        let (attempts, error) = if waits {
            (0, None)
        } else if event.form == EventForm::Unknown {
            (1, Some(UNKNOWN_FORM))
        } else {
            match self.tell(event).await? {
                Told::Taken => return Ok(true),
                Told::Refused { attempts, error } => (attempts, Some(error)),
            }
        };
        if !has_room {
            return Ok(false);
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
        self.set_aside += 1;
        self.blocked.insert(of.clone());
        aside.push(SetAside {
            position: event.position,
            of,
            kind: event.kind.clone(),
            attempts,
            error: error.map(str::to_owned),
        });
        Ok(true)
    }

    /// Tells one event until it is taken, or refused as often as may be.
    async fn tell(&self, event: &LoggedEvent) -> Result<Told, Ended> {
        let mut backoff = self.backoff();
        let mut attempts = 0;
        loop {
            self.may_go_on()?;
            let Err(error) = self.handled(event).await else {
                return Ok(Told::Taken);
            };
            let (code, error) = (error.code(), chain(&error));
            attempts += u32::from(code.is_some());
            if let Some(error) = code.filter(|_| attempts >= self.options.max_attempts) {
                return Ok(Told::Refused { attempts, error });
            }
            let pause = backoff.pause();
            // The kind and the position say which event it is; its body may hold what does not belong in a log.
            tracing::warn!(
                subscriber = self.subscription.name,
                kind = event.kind,
                position = event.position,
                attempts,
                pause_ms = millis(pause),
                error,
                "a subscriber could not take an event; trying again"
            );
            self.rest(pause).await?;
        }
    }

    /// What the subscriber answers. One that takes too long counts as away: what it waits for (a database that stalls, a
    /// full disk) is more likely the trouble than this event, and an outage must not set good events aside. One that
    /// panics over an event refuses it: every node would panic over it in its turn, and none would be left.
    async fn handled(&self, event: &LoggedEvent) -> Result<(), SubscriberError> {
        // Subscribers bear to be told again after a crash, so after a panic as well.
        let handled = AssertUnwindSafe(async { self.subscriber.handle(event).await }).catch_unwind();
        match timeout(self.options.handle_timeout, handled).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(SubscriberError::refused(PANICKED, "it panicked")),
            Err(elapsed) => Err(SubscriberError::away(elapsed)),
        }
    }

    /// Makes what was taken durable.
    async fn flush(&self) -> Result<(), Ended> {
        let mut backoff = self.backoff();
        loop {
            self.may_go_on()?;
            let error = match timeout(self.options.handle_timeout, self.subscriber.flush()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => chain(&error),
                Err(elapsed) => chain(&elapsed),
            };
            let pause = backoff.pause();
            tracing::warn!(
                subscriber = self.subscription.name,
                pause_ms = millis(pause),
                error,
                "a subscriber could not keep what it took; trying again"
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
            advance().await.unwrap_or(false)
        };
        if !moved {
            return Err(Ended::Lost);
        }
        self.position = position;
        Ok(())
    }

    /// Delivers what the operator wants delivered again, and after each what waits for it.
    async fn deliver_again(&mut self) -> Result<(), Ended> {
        let (name, batch) = (self.subscription.name, self.options.batch);
        loop {
            let wanted = self
                .ask(|| self.ports.cursors.to_deliver_again(name, batch))
                .await?;
            if wanted.is_empty() {
                return Ok(());
            }
            for letter in wanted {
                self.deliver_from(&letter.of).await?;
            }
        }
    }

    /// Delivers what is set aside of an aggregate, in order, as far as it is taken.
    async fn deliver_from(&mut self, of: &AggregateKey) -> Result<(), Ended> {
        let name = self.subscription.name;
        loop {
            let first = self.ask(|| self.ports.cursors.first_set_aside(name, of)).await?;
            let Some(letter) = first else {
                self.blocked.remove(of);
                return Ok(());
            };
            let position = letter.position;
            match self.tell_again(&letter).await? {
                Told::Taken => {
                    self.flush().await?;
                    let done = || self.ports.cursors.delivered(self.epoch, name, position);
                    if !self.ask(done).await? {
                        return Err(Ended::Lost);
                    }
                    self.set_aside = self.set_aside.saturating_sub(1);
                }
                Told::Refused { attempts, error } => {
                    let cursors = &self.ports.cursors;
                    let refused = || cursors.refused_again(self.epoch, name, position, attempts, error);
                    if !self.ask(refused).await? {
                        return Err(Ended::Lost);
                    }
                    tracing::error!(
                        subscriber = name,
                        kind = letter.kind,
                        position,
                        error,
                        "an event that was set aside was refused again"
                    );
                    return Ok(());
                }
            }
        }
    }

    async fn tell_again(&self, letter: &SetAside) -> Result<Told, Ended> {
        let before = letter.position - 1;
        let found = self.ask(|| self.ports.log.after(before, 1)).await?;
        let event = found.into_iter().find(|event| event.position == letter.position);
        match event {
            // Its tenant was erased: nobody is to hear of it any more.
            None => Ok(Told::Taken),
            Some(event) if event.form == EventForm::Unknown => Ok(Told::Refused {
                attempts: 1,
                error: UNKNOWN_FORM,
            }),
            Some(event) => self.tell(&event).await,
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(self.options.retry_first, self.options.retry_cap)
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

//! One subscriber's way along the log, on the node that holds its cursor.

use std::{
    collections::{HashMap, HashSet}, convert::Infallible, error::Error, panic::AssertUnwindSafe, pin::Pin, sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use postrider_application::ports::{AggregateKey, Epoch, EventForm, LoggedEvent, SetAside, StoreError};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Installed, RelayOptions, RelayPorts, Subscriber, SubscriberError, Subscription, Unknown,
    backoff::Backoff, held::Held,
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

/// What is to become of an event of a batch.
enum Answer {
    /// It was taken, or is none of the subscriber's business.
    Done,
    /// An earlier one of its aggregate is set aside.
    Waits,
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
        self.blocked = Held::learned(blocked);
        Ok(())
    }

    /// Takes a batch: tells the subscriber, makes it durable, moves the cursor.
    async fn take(&mut self, events: Vec<LoggedEvent>) -> Result<(), Ended> {
        let answers = self.tell_all(&events).await;
        let (mut done, mut aside) = (self.position, Vec::new());
        let mut told = Ok(true);
        for (event, answer) in events.iter().zip(answers) {
            told = answer.map(|answer| self.is_done(event, answer, &mut aside));
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
                set_aside = self.blocked.events(),
                "as many events are set aside as may be: the subscriber stands still until some are delivered"
            );
            self.rest(self.options.retry_cap).await?;
            self.deliver_again().await?;
            self.learn_blocked().await?;
        }
        Ok(())
    }

    /// What is to become of each of the events; each aggregate's are told in order, those of different ones at once as
    /// far as the subscription says. When we are to stop, the rest is not begun.
    async fn tell_all(&self, events: &[LoggedEvent]) -> Vec<Result<Answer, Ended>> {
        let wanted: Vec<&LoggedEvent> = events
            .iter()
            .filter(|event| self.subscription.wants(&event.kind))
            .collect();
        let passed = match self.passed_over(&wanted).await {
            Ok(passed) => passed,
            Err(ended) => return vec![Err(ended)],
        };
        let mut answers: Vec<_> = events.iter().map(|_| Ok(Answer::Done)).collect();
        let mut lanes: HashMap<AggregateKey, Vec<usize>> = HashMap::new();
        // Without room what comes after the first that needs it would only be told in vain, again and again.
        let all_in_order = self.subscription.at_once <= 1 || !self.has_room(0);
        for (index, event) in events.iter().enumerate() {
            if self.subscription.wants(&event.kind) && !passed.contains(&event.position) {
                let lane = if all_in_order { AggregateKey::default() } else { key(event) };
                lanes.entry(lane).or_default().push(index);
            }
        }
        let lanes = lanes.into_values().map(|lane| self.tell_lane(events, lane));
        let mut lanes = stream::iter(lanes).buffer_unordered(self.subscription.at_once.max(1));
        while let Some(told) = lanes.next().await {
            for (index, answer) in told {
                answers[index] = answer;
            }
        }
        answers
    }

    /// Tells the events at these indexes, one after the other.
    async fn tell_lane(
        &self,
        events: &[LoggedEvent],
        lane: Vec<usize>,
    ) -> Vec<(usize, Result<Answer, Ended>)> {
        let mut refused = HashSet::new();
        let mut told = Vec::with_capacity(lane.len());
        let (mut ended, mut aside) = (None, 0);
        for index in lane {
            let event = &events[index];
            let of = key(event);
            let answer = if let Some(ended) = ended {
                Err(ended)
            } else if self.blocked.contains(&of) || refused.contains(&of) {
                Ok(Answer::Waits)
            } else {
                self.tell(event).await.map(|told| match told {
                    Told::Taken => Answer::Done,
                    Told::Refused { attempts, error } => Answer::Refused { attempts, error },
                })
            };
            let needs_room = match &answer {
                Ok(Answer::Refused { .. }) => true,
                Ok(Answer::Waits) => !self.blocked.is_later_in_log(&of),
                Ok(Answer::Done) => false,
                Err(why) => {
                    ended = Some(*why);
                    false
                }
            };
            if matches!(answer, Ok(Answer::Refused { .. })) {
                refused.insert(of);
            }
            told.push((index, answer));
            if needs_room && !self.has_room(aside) {
                // Nobody looks at what comes after it.
                break;
            }
            aside += u64::from(needs_room);
        }
        told
    }

    /// Whether another event may be set aside, after so many of those that are being told.
    fn has_room(&self, aside: u64) -> bool {
        self.blocked.events() + aside < self.options.max_set_aside
    }

    /// Which of the events the subscriber has nothing to do with; asks until it says so.
    async fn passed_over(&self, events: &[&LoggedEvent]) -> Result<HashSet<i64>, Ended> {
        if events.is_empty() {
            return Ok(HashSet::new());
        }
        let mut backoff = self.backoff();
        loop {
            self.may_go_on()?;
            let asked = self.subscriber.passes_over(events);
            let error = match timeout(self.options.handle_timeout, asked).await {
                Ok(Ok(passed)) => return Ok(passed),
                Ok(Err(error)) => chain(&error),
                Err(elapsed) => chain(&elapsed),
            };
            let pause = backoff.pause();
            tracing::warn!(
                subscriber = self.subscription.name,
                position = self.position,
                pause_ms = millis(pause),
                error,
                "a subscriber could not look at what comes next; trying again"
            );
            self.rest(pause).await?;
        }
    }

    /// Notes what became of an event, and sets it aside if need be; `false` if there is no room for that.
    fn is_done(&mut self, event: &LoggedEvent, answer: Answer, aside: &mut Vec<SetAside>) -> bool {
        let (attempts, error) = match answer {
            Answer::Done => return true,
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

    /// Tells one event until it is taken, or refused as often as may be.
    async fn tell(&self, event: &LoggedEvent) -> Result<Told, Ended> {
        if event.form == EventForm::Unknown && self.subscription.unknown == Unknown::SetAside {
            return Ok(Told::Refused {
                attempts: 1,
                error: UNKNOWN_FORM,
            });
        }
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
                    let next = if letter.later_in_log {
                        self.later_in_log(of, position).await?
                    } else {
                        Vec::new()
                    };
                    let done = || self.ports.cursors.delivered(self.epoch, name, position, &next);
                    if !self.ask(done).await? {
                        return Err(Ended::Lost);
                    }
                    self.blocked.replace(of, &letter, &next);
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

    /// The events of an aggregate that wait and are not written down: those after `position`, as far as the cursor is.
    async fn later_in_log(&self, of: &AggregateKey, position: i64) -> Result<Vec<SetAside>, Ended> {
        let (mut after, mut later) = (position, Vec::new());
        while after < self.position {
            let events = self.ask(|| self.ports.log.after(after, self.options.batch)).await?;
            let Some(last) = events.last() else { break };
            after = last.position;
            for event in events {
                let waits = event.position <= self.position && self.subscription.wants(&event.kind);
                if !waits || key(&event) != *of {
                    continue;
                }
                later.push(SetAside {
                    position: event.position,
                    of: of.clone(),
                    kind: event.kind,
                    attempts: 0,
                    error: None,
                    discarded: false,
                    later_in_log: later.len() as u64 + 1 >= self.options.max_waiting,
                });
                if later.last().is_some_and(|last| last.later_in_log) {
                    return Ok(later);
                }
            }
        }
        Ok(later)
    }

    async fn tell_again(&self, letter: &SetAside) -> Result<Told, Ended> {
        if letter.discarded {
            tracing::warn!(
                subscriber = self.subscription.name,
                kind = letter.kind,
                position = letter.position,
                "an event that was set aside is passed over, as the operator wants it"
            );
            return Ok(Told::Taken);
        }
        let before = letter.position - 1;
        let found = self.ask(|| self.ports.log.after(before, 1)).await?;
        let event = found.into_iter().find(|event| event.position == letter.position);
        match event {
            // Its tenant was erased: nobody is to hear of it any more.
            None => Ok(Told::Taken),
            Some(event) if self.passed_over(&[&event]).await?.contains(&event.position) => Ok(Told::Taken),
            Some(event) => self.tell(&event).await,
        }
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

//! Delivering again what was set aside.

use postrider_application::ports::{AggregateKey, SetAside};

use super::{Course, Ended, Told, key};

impl Course {
    /// Delivers what the operator wants delivered again, and after each what waits for it.
    pub(super) async fn deliver_again(&mut self) -> Result<(), Ended> {
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
            let events = self
                .ask(|| self.ports.log.after(after, self.options.batch))
                .await?;
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
}

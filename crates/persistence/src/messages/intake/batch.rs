//! A batch in the form that both databases are given it.

use std::{borrow::Cow, collections::HashMap};

use postrider_application::ports::{Dedup, NewMessage, StoreError, Written};
use postrider_domain::{Timestamp, messages::Message};
use uuid::Uuid;

use super::Found;
use crate::{
    codec::StoredTexts,
    error::{corrupt, fault},
};

/// The most bytes of payload in a batch. Both databases end at one gigabyte, all else included.
const MAX_BYTES: usize = 900_000_000;

/// Tenant, application, and the key's hash.
type Key<'b> = (Uuid, Uuid, &'b [u8; 32]);

/// A message of a batch.
pub(super) struct Row<'b> {
    pub(super) message: &'b Message,
    pub(super) dedup: Option<&'b Dedup>,
    pub(super) id: Uuid,
    pub(super) tenant: Uuid,
    pub(super) app: Uuid,
    /// JSON.
    pub(super) channels: Cow<'static, str>,
    pub(super) owner: i64,
    /// Microseconds; none: it is due at once.
    pub(super) deliver_at: Option<i64>,
    /// Where its payload begins among those of the batch, counted from 1, and how long it is, in bytes.
    pub(super) begins: i32,
    pub(super) payload_bytes: i32,
    /// Its place in the batch as it was given.
    place: usize,
}

/// A batch, in the order in which its rows are written: first those without a key, by their ids; then those with one,
/// by their keys. Whoever writes some of the same rows at the same time waits for them in the same order, so that
/// nobody waits in a circle.
pub(super) struct Batch<'b> {
    pub(super) rows: Vec<Row<'b>>,
    /// The row of each id.
    of: HashMap<Uuid, usize>,
}

impl<'b> Batch<'b> {
    /// Checked for what the databases would refuse each time, or what only one of them would.
    pub(super) fn of(batch: &'b [NewMessage]) -> Result<Self, StoreError> {
        let rows = batch.iter().enumerate().map(|(place, new)| Row::of(place, new));
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        rows.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
        if rows
            .windows(2)
            .any(|two| two[0].key().is_some() && two[0].key() == two[1].key())
        {
            return Err(fault("a key that is in the batch twice"));
        }
        let mut begins = 1_usize;
        for row in &mut rows {
            row.begins = i32::try_from(begins).map_err(|why| corrupt("length of a batch", why))?;
            begins += row.message.payload.bytes().len();
        }
        if begins > MAX_BYTES {
            return Err(fault("a batch that is too large"));
        }
        let of: HashMap<_, _> = rows.iter().enumerate().map(|(at, row)| (row.id, at)).collect();
        if of.len() < rows.len() {
            return Err(fault("a message that is in the batch twice"));
        }
        Ok(Self { rows, of })
    }

    pub(super) fn payloads(&self) -> impl Iterator<Item = &'b [u8]> {
        self.rows.iter().map(|row| &**row.message.payload.bytes())
    }

    /// How many bytes they have in all.
    pub(super) fn payload_bytes(&self) -> usize {
        self.payloads().map(<[u8]>::len).sum()
    }
}

impl<'b> Row<'b> {
    fn of(place: usize, new: &'b NewMessage) -> Result<Self, StoreError> {
        let message = &*new.message;
        // PostgreSQL's texts hold no NUL. All others are of kinds that have none.
        if message.event_id.as_ref().is_some_and(|text| text.contains('\0')) {
            return Err(fault("a text with a NUL in it"));
        }
        let payload_bytes = i32::try_from(message.payload.bytes().len());
        Ok(Self {
            message,
            dedup: new.dedup.as_ref(),
            id: message.id.as_uuid(),
            tenant: message.tenant.as_uuid(),
            app: message.application.as_uuid(),
            channels: StoredTexts::json_of_channels(&message.channels)?,
            owner: new.owner.map_or(0, |node| node.0),
            deliver_at: message.deliver_at.map(Timestamp::as_micros),
            begins: 1,
            payload_bytes: payload_bytes.map_err(|why| corrupt("length of a payload", why))?,
            place,
        })
    }

    fn key(&self) -> Option<Key<'b>> {
        self.dedup.map(|dedup| (self.tenant, self.app, &dedup.key_hash))
    }

    fn order(&self) -> (Option<Key<'b>>, Uuid) {
        (self.key(), self.id)
    }
}

/// The answers of a batch, as they come in.
pub(super) struct Answers<'b> {
    batch: &'b Batch<'b>,
    /// By the rows' order.
    written: Vec<Option<Written>>,
}

impl<'b> Answers<'b> {
    /// The rows that were written, with the version of their application's endpoints.
    pub(super) fn of(
        batch: &'b Batch<'b>,
        stored: impl IntoIterator<Item = (Uuid, i64)>,
    ) -> Result<Self, StoreError> {
        let mut written = vec![None; batch.rows.len()];
        for (id, endpoints_version) in stored {
            let at = batch
                .of
                .get(&id)
                .ok_or_else(|| fault("a message that nobody wrote"))?;
            written[*at] = Some(Written::Stored { endpoints_version });
        }
        Ok(Self { batch, written })
    }

    /// The rows that have no answer yet, each with its number.
    pub(super) fn missing(&self) -> Vec<(i32, &'b Row<'b>)> {
        let rows = (0..).zip(&self.batch.rows).zip(&self.written);
        rows.filter(|(_, written)| written.is_none())
            .map(|(row, _)| row)
            .collect()
    }

    /// What was in the way of the row of that number.
    pub(super) fn found(&mut self, number: i32, found: &Found) -> Result<(), StoreError> {
        let at = usize::try_from(number).map_err(|why| corrupt("number of a row", why))?;
        let row = self
            .batch
            .rows
            .get(at)
            .ok_or_else(|| fault("a row that nobody wrote"))?;
        self.written[at] = Some(found.answer(row));
        Ok(())
    }

    /// In the order in which the batch was given.
    pub(super) fn finish(self) -> Result<Vec<Written>, StoreError> {
        let mut answers = vec![Written::Again; self.written.len()];
        for (row, written) in self.batch.rows.iter().zip(self.written) {
            answers[row.place] = written.ok_or_else(|| fault("a message without an answer"))?;
        }
        Ok(answers)
    }
}

//! Rows that are this node's without it knowing, because an answer was lost: of a claim, of a commit whose caller gave
//! up. They are looked for now and then, and adopted.
//!
//! A row that is ours and not in memory may be just on its way here. It is adopted if it is still ours and not here
//! when looked at again, later than any call of the store may take.

use std::{collections::HashMap, sync::Arc, time::Duration};

use postrider_application::ports::{ClaimedWork, StoreError};
use postrider_domain::WorkId;

use super::{Done, Life};
use crate::{
    EngineOptions,
    store_calls::{bounded, warn},
};

/// How many rows are asked for at once, and how often at most in one look.
const PAGE: u32 = 500;
const PAGES: usize = 40;

/// When to look, and what was seen the last time. Pure.
pub(super) struct Adoption {
    interval: Duration,
    confirm_after: Duration,
    /// None while a look is under way.
    at: Option<Duration>,
    /// Rows that were ours and not here, and under which claim.
    suspects: HashMap<WorkId, i32>,
    /// Whether to look again soon after the look that is under way.
    again: bool,
}

impl Adoption {
    pub(super) fn new(options: &EngineOptions, now: Duration) -> Self {
        Self {
            interval: options.adoption_interval,
            confirm_after: options.store_timeout + options.store_timeout / 2,
            at: Some(now + options.adoption_interval),
            suspects: HashMap::new(),
            again: false,
        }
    }

    /// An answer was lost: look soon.
    pub(super) fn suspect(&mut self, now: Duration) {
        match &mut self.at {
            Some(at) => *at = (*at).min(now + self.confirm_after),
            None => self.again = true,
        }
    }

    /// When to look next.
    pub(super) const fn looks_at(&self) -> Option<Duration> {
        self.at
    }

    fn is_due(&mut self, now: Duration) -> bool {
        self.at.take_if(|at| *at <= now).is_some()
    }

    /// Of rows that are ours and not here: those that were so the last time too.
    fn seen(&mut self, strangers: Vec<ClaimedWork>, now: Duration) -> Vec<ClaimedWork> {
        let before = std::mem::take(&mut self.suspects);
        let (ours, new): (Vec<_>, Vec<_>) = strangers
            .into_iter()
            .partition(|row| before.get(&row.work.id) == Some(&row.work.claim));
        self.suspects = new.iter().map(|row| (row.work.id, row.work.claim)).collect();
        let soon = !self.suspects.is_empty() || std::mem::take(&mut self.again);
        self.at = Some(now + if soon { self.confirm_after } else { self.interval });
        ours
    }
}

impl Life {
    /// Looks for rows that are ours and not here, if it is time.
    pub(super) fn look_for_own(&mut self, now: Duration) {
        if !self.adoption.is_due(now) {
            return;
        }
        let (queue, epoch) = (Arc::clone(&self.ports.queue), self.lease.epoch);
        let timeout = self.options.store_timeout;
        self.calls.spawn(async move {
            let mut rows: Vec<ClaimedWork> = Vec::new();
            for _ in 0..PAGES {
                let after = rows.last().map(|row| (row.due_at, row.work.id));
                match bounded(timeout, queue.owned(epoch, timeout, after, PAGE)).await {
                    Ok(page) => {
                        let is_last = page.len() < PAGE as usize;
                        rows.extend(page);
                        if is_last {
                            break;
                        }
                    }
                    Err(error) => return Done::Owned(Err(error)),
                }
            }
            Done::Owned(Ok(rows))
        });
    }

    pub(super) fn found_own(&mut self, rows: Result<Vec<ClaimedWork>, StoreError>) {
        let now = self.now();
        let rows = rows.unwrap_or_else(|error| {
            warn("cannot look for own rows", &error);
            Vec::new()
        });
        let strangers = rows
            .into_iter()
            .filter(|row| self.held.get(&row.work.id) != Some(&row.work.claim))
            .collect();
        let ours = self.adoption.seen(strangers, now);
        if ours.is_empty() || self.drain.is_some() {
            return;
        }
        tracing::info!(rows = ours.len(), "adopting rows whose answer was lost");
        for work in ours {
            // What finds no room is found again.
            if let Some(permit) = self.budget.take_rows(1) {
                self.admit(&work, permit);
            } else {
                self.adoption.suspect(now);
            }
        }
        self.park_full();
    }
}

#[cfg(test)]
mod tests {
    use postrider_application::ports::WorkRef;
    use postrider_domain::{ApplicationId, MessageId, TenantId, Timestamp};
    use uuid::Uuid;

    use super::*;

    const T0: Duration = Duration::from_secs(100);

    fn row(id: u128, claim: i32) -> ClaimedWork {
        let nil = Uuid::nil();
        ClaimedWork {
            work: WorkRef {
                id: WorkId::from_uuid(Uuid::from_u128(id)),
                claim,
            },
            tenant: TenantId::from_uuid(nil),
            application: ApplicationId::from_uuid(nil),
            message: MessageId::from_uuid(nil),
            endpoint: None,
            due_at: Timestamp::from_micros(0),
            attempts: 0,
            failures: 0,
            seq: 0,
            payload_bytes: 0,
            endpoints_version: 0,
            asked_for: false,
            asked_in: None,
        }
    }

    fn ids(rows: &[ClaimedWork]) -> Vec<(WorkId, i32)> {
        rows.iter().map(|row| (row.work.id, row.work.claim)).collect()
    }

    #[test]
    fn a_row_is_adopted_when_it_is_seen_twice_under_the_same_claim_and_no_sooner() {
        let mut adoption = Adoption::new(&EngineOptions::default(), T0);
        assert!(adoption.seen(vec![row(1, 1), row(2, 1)], T0).is_empty());
        // The second was claimed anew meanwhile, the third is new.
        let rows = vec![row(1, 1), row(2, 2), row(3, 1)];
        assert_eq!(ids(&adoption.seen(rows, T0)), ids(&[row(1, 1)]));
        // Whoever was not seen in between begins anew.
        assert_eq!(ids(&adoption.seen(vec![row(2, 2)], T0)), ids(&[row(2, 2)]));
        assert!(adoption.seen(vec![row(3, 1)], T0).is_empty());
    }

    #[test]
    fn it_looks_soon_where_something_is_suspected_and_else_now_and_then() {
        let options = EngineOptions::default();
        let soon = options.store_timeout + options.store_timeout / 2;
        let mut adoption = Adoption::new(&options, T0);
        assert_eq!(adoption.looks_at(), Some(T0 + options.adoption_interval));
        adoption.suspect(T0);
        assert_eq!(adoption.looks_at(), Some(T0 + soon));
        assert!(!adoption.is_due(T0) && adoption.is_due(T0 + soon));
        // While it looks, another answer is lost.
        adoption.suspect(T0 + soon);
        assert_eq!(adoption.looks_at(), None);
        adoption.seen(Vec::new(), T0);
        assert_eq!(adoption.looks_at(), Some(T0 + soon));
        adoption.seen(vec![row(1, 1)], T0);
        assert_eq!(adoption.looks_at(), Some(T0 + soon), "to see it twice");
        adoption.seen(Vec::new(), T0);
        assert_eq!(adoption.looks_at(), Some(T0 + options.adoption_interval));
    }
}

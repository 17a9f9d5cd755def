//! Denials that wait to be written: those alike as one, each tenant's within bounds, nobody's at the cost of another.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
};

use postrider_application::audit::{Actor, AuditEntry};
use postrider_domain::TenantId;

/// The most rows that wait.
pub(super) const MAX_ROWS: usize = 1_024;
/// The most rows of one tenant that say what was touched and from where. With [`MAX_FOLDED`] it bounds what one tenant
/// adds to the audit log with each batch.
pub(super) const MAX_EXACT: usize = 20;
/// The most further rows of one tenant, each for all that an actor was denied of one kind.
pub(super) const MAX_FOLDED: usize = 20;

/// What denials of one tenant have in common that are counted in one row.
#[derive(PartialEq, Eq, Hash)]
enum Alike {
    /// Everything but the time and the request.
    Exactly(Actor, Cow<'static, str>, Option<String>, Option<IpAddr>),
    /// Who, and what for.
    Roughly(Actor, Cow<'static, str>),
}

#[derive(Default)]
struct OfTenant {
    rows: HashMap<Alike, AuditEntry>,
    exact: usize,
}

impl OfTenant {
    /// Counts it in a row that is there, or in a new one if there may be one; whether it is a new one. Else it is
    /// given back.
    fn add(&mut self, entry: AuditEntry, new_row: bool) -> Result<bool, Box<AuditEntry>> {
        let exactly = Alike::Exactly(
            entry.actor.clone(),
            entry.action.clone(),
            entry.target.clone(),
            entry.address,
        );
        match self.rows.entry(exactly) {
            Entry::Occupied(mut row) => {
                count(row.get_mut(), &entry);
                return Ok(false);
            }
            Entry::Vacant(place) if new_row && self.exact < MAX_EXACT => {
                place.insert(entry);
                self.exact += 1;
                return Ok(true);
            }
            Entry::Vacant(_) => {}
        }
        let folded = self.rows.len() - self.exact;
        let roughly = Alike::Roughly(entry.actor.clone(), entry.action.clone());
        match self.rows.entry(roughly) {
            Entry::Occupied(mut row) => {
                let row = row.get_mut();
                row.address = row.address.filter(|address| entry.address == Some(*address));
                count(row, &entry);
                Ok(false)
            }
            Entry::Vacant(place) if new_row && folded < MAX_FOLDED => {
                place.insert(AuditEntry {
                    target: None,
                    ..entry
                });
                Ok(true)
            }
            Entry::Vacant(_) => Err(Box::new(entry)),
        }
    }
}

fn count(row: &mut AuditEntry, entry: &AuditEntry) {
    row.times = row.times.saturating_add(entry.times);
}

/// The denials that wait.
#[derive(Default)]
pub(super) struct Waiting {
    tenants: HashMap<Option<TenantId>, OfTenant>,
    rows: usize,
    /// How many were dropped and not yet spoken of.
    pub(super) dropped: u64,
}

impl Waiting {
    /// Adds one, or drops it if its tenant has its share.
    pub(super) fn add(&mut self, entry: AuditEntry) {
        // A quarter of what is free: the more wait, the less each may have, and who has nothing yet finds room.
        let share = (MAX_ROWS - self.rows) / 4;
        let of_tenant = match self.tenants.entry(entry.tenant) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if share == 0 => return self.drop_all(&[entry]),
            Entry::Vacant(place) => place.insert(OfTenant::default()),
        };
        let new_row = of_tenant.rows.len() < share;
        match of_tenant.add(entry, new_row) {
            Ok(new) => self.rows += usize::from(new),
            Err(entry) => self.drop_all(std::slice::from_ref(&*entry)),
        }
    }

    /// They will not be written.
    pub(super) fn drop_all(&mut self, entries: &[AuditEntry]) {
        self.dropped += entries.iter().map(|entry| u64::from(entry.times)).sum::<u64>();
    }

    /// All of them, oldest first; none are left.
    pub(super) fn take(&mut self) -> Vec<AuditEntry> {
        self.rows = 0;
        let of_tenants = self.tenants.drain().flat_map(|(_, of_tenant)| of_tenant.rows);
        let mut entries: Vec<_> = of_tenants.map(|(_, entry)| entry).collect();
        // By id, which is by time: rows that follow each other are cheaper to insert.
        entries.sort_unstable_by_key(|entry| entry.id);
        entries
    }
}

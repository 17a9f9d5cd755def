//! Fan-outs in memory: a message's row stands for all of its deliveries until it is settled, which is when all of them
//! are concluded, or some time after it began. Then it explodes: what is concluded is written, and what is not becomes
//! rows of their own, so that no delivery waits for another.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use postrider_application::ports::{Concluded, NewWork, Settlement, WorkRef};
use postrider_domain::{EndpointId, Version, WorkId};

use super::{
    Life,
    jobs::Origin,
    settling::{Settling, Whose},
};
use crate::{budget::Permit, lanes::JobId};

/// An endpoint that said that it is gone, and its version when it was sent to.
pub(super) type Gone = (EndpointId, Version);

/// A part that is concluded, and the room that it takes.
pub(super) struct Part {
    pub(super) concluded: Concluded,
    pub(super) permit: Permit,
    pub(super) gone: Option<Gone>,
}

struct FanOut {
    whose: Whose,
    row: WorkRef,
    /// Parts that are not concluded.
    open: Vec<JobId>,
    done: Vec<Part>,
    /// Parts whose lanes are full.
    parked: Vec<NewWork>,
    permit: Permit,
    /// Once it explodes: the rows that its open parts become, and those of them that were concluded meanwhile.
    exploding: Option<Exploding>,
}

struct Exploding {
    rows: HashMap<JobId, WorkRef>,
    late: Vec<(JobId, Part)>,
}

/// All fan-outs that are not settled.
pub(super) struct FanOuts {
    explode_after: Duration,
    of: HashMap<WorkId, FanOut>,
    /// When each explodes if it is still there; in that order, as all wait equally long.
    deadlines: VecDeque<(Duration, WorkId)>,
}

impl FanOuts {
    pub(super) fn new(explode_after: Duration) -> Self {
        Self {
            explode_after,
            of: HashMap::new(),
            deadlines: VecDeque::new(),
        }
    }

    /// When the next one explodes.
    pub(super) fn explodes_at(&self) -> Option<Duration> {
        self.deadlines.front().map(|(at, _)| *at)
    }

    /// The next one whose time has come.
    fn late(&mut self, now: Duration) -> Option<WorkId> {
        while let Some((at, id)) = self.deadlines.front().copied() {
            let gathers = self
                .of
                .get(&id)
                .is_some_and(|fan_out| fan_out.exploding.is_none());
            if gathers && at > now {
                return None;
            }
            self.deadlines.pop_front();
            if gathers {
                return Some(id);
            }
        }
        None
    }

    /// All that have not exploded.
    fn gathering(&self) -> Vec<WorkId> {
        let gathering = self.of.iter().filter(|(_, fan_out)| fan_out.exploding.is_none());
        gathering.map(|(id, _)| *id).collect()
    }
}

/// A new fan-out.
pub(super) struct NewFanOut {
    pub(super) whose: Whose,
    pub(super) row: WorkRef,
    pub(super) open: Vec<JobId>,
    pub(super) parked: Vec<NewWork>,
    pub(super) permit: Permit,
}

impl Life {
    /// A message is fanned out; nothing is concluded yet. If nothing is open, it is settled at once.
    pub(super) fn begin_fan_out(&mut self, new: NewFanOut) {
        let id = new.row.id;
        let fan_out = FanOut {
            whose: new.whose,
            row: new.row,
            open: new.open,
            done: Vec::new(),
            parked: new.parked,
            permit: new.permit,
            exploding: None,
        };
        if fan_out.open.is_empty() {
            return self.settle_fan_out(fan_out);
        }
        self.fan_outs.of.insert(id, fan_out);
        let deadline = self.now() + self.fan_outs.explode_after;
        self.fan_outs.deadlines.push_back((deadline, id));
    }

    /// A part of the fan-out of row `id` is concluded.
    pub(super) fn part_concluded(&mut self, id: WorkId, job: JobId, part: Part) {
        let Some(fan_out) = self.fan_outs.of.get_mut(&id) else {
            return; // its row is not ours any more
        };
        if let Some(exploding) = &mut fan_out.exploding {
            exploding.late.push((job, part));
            return;
        }
        fan_out.open.retain(|open| *open != job);
        fan_out.done.push(part);
        if fan_out.open.is_empty()
            && let Some(fan_out) = self.fan_outs.of.remove(&id)
        {
            self.settle_fan_out(fan_out);
        }
    }

    fn settle_fan_out(&mut self, fan_out: FanOut) {
        let FanOut {
            whose,
            row,
            done,
            parked,
            mut permit,
            ..
        } = fan_out;
        let mut concluded = Vec::with_capacity(done.len());
        let mut gone = Vec::new();
        for part in done {
            concluded.push(part.concluded);
            permit = permit.and(part.permit);
            gone.extend(part.gone);
        }
        let settlement = Settlement {
            work: row,
            concluded,
            open: parked,
        };
        self.settling.push(Settling::new(whose, settlement, gone, permit));
    }

    /// Lets those explode whose time has come.
    pub(super) fn explode_late(&mut self, now: Duration) {
        while let Some(id) = self.fan_outs.late(now) {
            self.explode(id);
        }
    }

    /// Lets all explode.
    pub(super) fn explode_all(&mut self) {
        for id in self.fan_outs.gathering() {
            self.explode(id);
        }
    }

    fn explode(&mut self, id: WorkId) {
        let Some(fan_out) = self.fan_outs.of.get_mut(&id) else {
            return;
        };
        let mut rows = HashMap::with_capacity(fan_out.open.len());
        let mut open = std::mem::take(&mut fan_out.parked);
        for job in &fan_out.open {
            let Some(endpoint) = self.jobs.get(*job).map(|job| job.subject.endpoint) else {
                continue;
            };
            let row = WorkRef {
                id: WorkId::from_uuid(self.ports.ids.next()),
                claim: 1,
            };
            rows.insert(*job, row);
            self.held.insert(row.id, row.claim);
            open.push(NewWork {
                id: row.id,
                endpoint,
                parked: false,
            });
        }
        let mut concluded = Vec::with_capacity(fan_out.done.len());
        // The fan-out itself is remembered; its concluded parts need their room until they are written.
        let mut permit = self.budget.nothing();
        let mut gone = Vec::new();
        for part in std::mem::take(&mut fan_out.done) {
            concluded.push(part.concluded);
            permit = permit.and(part.permit);
            gone.extend(part.gone);
        }
        let settlement = Settlement {
            work: fan_out.row,
            concluded,
            open,
        };
        let whose = fan_out.whose;
        fan_out.exploding = Some(Exploding {
            rows,
            late: Vec::new(),
        });
        self.settling.push(Settling::new(whose, settlement, gone, permit));
    }

    /// The explosion of row `id` is written, or its row was another's. A try whose answer was lost may have been
    /// committed; repeating it then settles nothing, but the rows are there and ours. If they are not, what becomes of
    /// them is written by nobody.
    pub(super) fn exploded(&mut self, whose: Whose, id: WorkId, settled: bool, uncertain: bool) {
        let Some(fan_out) = self.fan_outs.of.remove(&id) else {
            return;
        };
        let Some(exploding) = fan_out.exploding else {
            return;
        };
        let ours = settled || uncertain;
        for (job, row) in &exploding.rows {
            if ours {
                if self.jobs.is_part_of(*job, id) {
                    self.jobs.becomes(*job, Origin::Row(*row));
                }
            } else {
                self.forget_row(*row);
                self.jobs.becomes(*job, Origin::Nowhere);
            }
        }
        if !ours {
            return;
        }
        for (job, part) in exploding.late {
            if let Some(row) = exploding.rows.get(&job) {
                self.settle_row(whose, *row, part);
            }
        }
    }

    /// The row of a fan-out is not there any more: nothing of it is ours.
    pub(super) fn abandon_fan_out(&mut self, id: WorkId) {
        let Some(fan_out) = self.fan_outs.of.remove(&id) else {
            return;
        };
        for job in &fan_out.open {
            self.jobs.becomes(*job, Origin::Nowhere);
        }
        if let Some(exploding) = fan_out.exploding {
            exploding.rows.values().for_each(|row| self.forget_row(*row));
        }
    }

    /// Parked endpoints of a settlement: their rows are there now.
    pub(super) fn note_parked(&mut self, open: &[NewWork]) {
        for parked in open.iter().filter(|new| new.parked) {
            self.parking.note(parked.endpoint);
        }
    }
}

//! Whose turn it is. Every endpoint has a lane: so many attempts at one time, the others wait. Tenants take turns, and
//! within a tenant its endpoints, so that a backlog delays nobody but its own endpoint.
//!
//! Nothing here is anybody's alone. A lane, and a tenant, may have so much in flight, and waiting, as is still free:
//! the fewer are busy the more each may have. The last quarter is for lanes that have nothing, so that who comes new
//! finds room beside many that do not answer. What finds none is parked in the database, and fetched when its lane has
//! drained. Pure: no clock, no task.

use std::collections::{HashMap, VecDeque};

use postrider_domain::{EndpointId, TenantId};

/// A delivery in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct JobId(pub(crate) u64);

/// What becomes of a job that arrives at its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It has its turn.
    Begins,
    /// It waits for its turn.
    Waits,
    /// It waits in the database.
    Parks,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Turns at one time, over all lanes.
    pub(crate) in_flight: usize,
    /// Turns at one time in one lane.
    pub(crate) per_endpoint: usize,
    /// Bytes of payloads that have turns at one time, over all lanes.
    pub(crate) bytes: usize,
    /// Jobs that wait, over all lanes.
    pub(crate) waiting: usize,
}

/// A job, and the bytes of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weighed {
    pub(crate) job: JobId,
    pub(crate) bytes: usize,
}

/// Turns that are taken, and the bytes of their payloads.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    turns: usize,
    bytes: usize,
}

impl Taken {
    /// One more, of a payload of `bytes`.
    const fn add(&mut self, bytes: usize) {
        self.turns += 1;
        self.bytes += bytes;
    }

    /// One of them ended.
    const fn end(&mut self, bytes: usize) {
        self.turns -= 1;
        self.bytes -= bytes;
    }
}

struct Lane {
    tenant: TenantId,
    taken: Taken,
    waiting: VecDeque<Weighed>,
    /// Whether it is in its tenant's ring.
    in_ring: bool,
}

#[derive(Default)]
struct Tenant {
    taken: Taken,
    waiting: usize,
    /// Lanes with somebody waiting and a turn free.
    ring: VecDeque<EndpointId>,
    /// Whether it is in the ring of tenants.
    in_ring: bool,
}

/// All lanes that somebody is in.
pub(crate) struct Lanes {
    limits: Limits,
    taken: Taken,
    waiting: usize,
    by_endpoint: HashMap<EndpointId, Lane>,
    tenants: HashMap<TenantId, Tenant>,
    /// Tenants with a lane in their ring.
    ring: VecDeque<TenantId>,
}

impl Lanes {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            taken: Taken::default(),
            waiting: 0,
            by_endpoint: HashMap::new(),
            tenants: HashMap::new(),
            ring: VecDeque::new(),
        }
    }

    /// Turns that are taken.
    #[cfg(test)]
    pub(crate) const fn active(&self) -> usize {
        self.taken.turns
    }

    /// Jobs that wait.
    pub(crate) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many wait in the lane of `endpoint`.
    pub(crate) fn waiting_at(&self, endpoint: EndpointId) -> usize {
        self.by_endpoint
            .get(&endpoint)
            .map_or(0, |lane| lane.waiting.len())
    }

    /// Turns that are free.
    const fn free(&self) -> usize {
        self.limits.in_flight.saturating_sub(self.taken.turns)
    }

    /// Turns that one lane may have now: one at least, and its own bound at most. The last quarter of all turns is for
    /// lanes without any; of what is free besides, a quarter.
    fn width(&self) -> usize {
        let spare = self.free().saturating_sub(self.limits.in_flight / 4);
        self.limits.per_endpoint.min(spare / 4).max(1)
    }

    /// Whether a tenant with so many turns may have one more, in a lane with `in_lane`: as many as are free, one at
    /// least. For a lane's first one it is enough if more than the last quarter is free, so that a tenant's slow
    /// endpoints leave turns to its others, and all of them some to other tenants.
    const fn tenant_may_begin(&self, of_tenant: usize, in_lane: usize) -> bool {
        let free = self.free();
        of_tenant == 0 || of_tenant < free || (in_lane == 0 && free > self.limits.in_flight / 4)
    }

    /// Whether `bytes` more may have a turn in a lane that has so much: a quarter of what is free, or the lane's first.
    const fn lane_may_carry(&self, in_lane: Taken, bytes: usize) -> bool {
        in_lane.turns == 0 || in_lane.bytes + bytes <= self.free_bytes() / 4
    }

    /// The same of a tenant: as much as is free, or its first.
    const fn tenant_may_carry(&self, of_tenant: Taken, bytes: usize) -> bool {
        let fits = self.taken.turns == 0 || bytes <= self.free_bytes();
        fits && (of_tenant.turns == 0 || of_tenant.bytes + bytes <= self.free_bytes())
    }

    const fn free_bytes(&self) -> usize {
        self.limits.bytes.saturating_sub(self.taken.bytes)
    }

    /// How many more may be fetched for the lane of `endpoint`: a few if nothing of it is here, as then it is not known
    /// whose it is, and one of the last quarter, which tells.
    pub(crate) fn room_in_lane(&self, endpoint: EndpointId) -> usize {
        match self.by_endpoint.get(&endpoint) {
            Some(lane) => self.room_at(lane.tenant, endpoint),
            None => match self.spare_to_wait() {
                0 => self.free_to_wait().min(1),
                spare => self.few().min(spare),
            },
        }
    }

    const fn free_to_wait(&self) -> usize {
        self.limits.waiting.saturating_sub(self.waiting)
    }

    /// What is free but for the last quarter.
    const fn spare_to_wait(&self) -> usize {
        self.free_to_wait().saturating_sub(self.limits.waiting / 4)
    }

    /// How many may wait in a lane whatever its tenant has, as long as more than the last quarter is free.
    fn few(&self) -> usize {
        (self.limits.waiting / 512).max(1)
    }

    /// How many may wait of a tenant in any case, as long as anybody may.
    fn few_of_tenant(&self) -> usize {
        (self.limits.waiting / 64).max(1)
    }

    /// How many more may wait in the lane of `endpoint`, of `tenant`. Of what is free but for the last quarter, a lane
    /// and a tenant may have as much as is left. The last quarter is for tenants with few.
    fn room_at(&self, tenant: TenantId, endpoint: EndpointId) -> usize {
        let spare = self.spare_to_wait();
        let of_tenant = self.tenants.get(&tenant).map_or(0, |tenant| tenant.waiting);
        let in_lane = self.waiting_at(endpoint);
        let most = spare.saturating_sub(in_lane.max(of_tenant));
        let few = self.few().saturating_sub(in_lane).min(spare);
        let of_few = self
            .few_of_tenant()
            .saturating_sub(of_tenant)
            .min(self.free_to_wait());
        most.max(few).max(of_few)
    }

    /// A job for `endpoint`. With `backlog`, older ones of it wait in the database: it goes there too, unless its turn
    /// is free.
    pub(crate) fn arrive(
        &mut self,
        tenant: TenantId,
        endpoint: EndpointId,
        job: Weighed,
        backlog: bool,
    ) -> Arrival {
        let lane = self.by_endpoint.get(&endpoint);
        let (in_lane, nobody_waits) = lane.map_or((Taken::default(), true), |lane| {
            (lane.taken, lane.waiting.is_empty())
        });
        let of_tenant = self.tenants.get(&tenant);
        let of_tenant = of_tenant.map_or(Taken::default(), |tenant| tenant.taken);
        let turn = nobody_waits
            && in_lane.turns < self.width()
            && self.taken.turns < self.limits.in_flight
            && self.tenant_may_begin(of_tenant.turns, in_lane.turns)
            && self.lane_may_carry(in_lane, job.bytes)
            && self.tenant_may_carry(of_tenant, job.bytes);
        if turn {
            self.lane(tenant, endpoint).taken.add(job.bytes);
            self.tenant(tenant).taken.add(job.bytes);
            self.taken.add(job.bytes);
            return Arrival::Begins;
        }
        if backlog || self.room_at(tenant, endpoint) == 0 {
            return Arrival::Parks;
        }
        self.wait(tenant, endpoint, job);
        Arrival::Waits
    }

    /// A job waits in its lane, whatever the room: it is ours already and was fetched for this lane.
    pub(crate) fn wait(&mut self, tenant: TenantId, endpoint: EndpointId, job: Weighed) {
        self.lane(tenant, endpoint).waiting.push_back(job);
        self.tenant(tenant).waiting += 1;
        self.waiting += 1;
        self.announce(endpoint);
    }

    fn lane(&mut self, tenant: TenantId, endpoint: EndpointId) -> &mut Lane {
        self.by_endpoint.entry(endpoint).or_insert_with(|| Lane {
            tenant,
            taken: Taken::default(),
            waiting: VecDeque::new(),
            in_ring: false,
        })
    }

    fn tenant(&mut self, tenant: TenantId) -> &mut Tenant {
        self.tenants.entry(tenant).or_default()
    }

    /// Puts a lane with somebody waiting into its tenant's ring, and the tenant into the ring of tenants.
    fn announce(&mut self, endpoint: EndpointId) {
        let Some(lane) = self.by_endpoint.get_mut(&endpoint) else {
            return;
        };
        if lane.in_ring || lane.waiting.is_empty() {
            return;
        }
        lane.in_ring = true;
        let id = lane.tenant;
        let tenant = self.tenants.entry(id).or_default();
        tenant.ring.push_back(endpoint);
        if !tenant.in_ring {
            tenant.in_ring = true;
            self.ring.push_back(id);
        }
    }

    /// A turn in the lane of `endpoint`, of a payload of `bytes`, ends.
    pub(crate) fn end_turn(&mut self, endpoint: EndpointId, bytes: usize) {
        let Some(lane) = self.by_endpoint.get_mut(&endpoint) else {
            debug_assert!(false, "a turn ends in a lane that nobody is in");
            return;
        };
        lane.taken.end(bytes);
        let id = lane.tenant;
        self.taken.end(bytes);
        self.tenant(id).taken.end(bytes);
        self.announce(endpoint);
        self.forget(endpoint, id);
    }

    /// A lane, or a tenant, that nobody is in needs no memory.
    fn forget(&mut self, endpoint: EndpointId, tenant: TenantId) {
        if self
            .by_endpoint
            .get(&endpoint)
            .is_some_and(|lane| lane.taken.turns == 0 && lane.waiting.is_empty() && !lane.in_ring)
        {
            self.by_endpoint.remove(&endpoint);
        }
        if self
            .tenants
            .get(&tenant)
            .is_some_and(|tenant| tenant.taken.turns == 0 && tenant.waiting == 0 && !tenant.in_ring)
        {
            self.tenants.remove(&tenant);
        }
    }

    /// The next of those who wait, with its turn: of the tenant whose turn it is, of the endpoint whose turn it is.
    pub(crate) fn call_next(&mut self) -> Option<(EndpointId, JobId)> {
        // Every tenant and every lane is looked at once at most: those that may not begin now go behind the others.
        for _ in 0..self.ring.len() {
            if self.taken.turns >= self.limits.in_flight {
                return None;
            }
            let id = self.ring.pop_front()?;
            let called = self.call_of(id);
            let Some(tenant) = self.tenants.get_mut(&id) else {
                continue;
            };
            if tenant.ring.is_empty() {
                tenant.in_ring = false;
            } else {
                self.ring.push_back(id);
            }
            if let Some((endpoint, job)) = called {
                self.forget(endpoint, id);
                return Some((endpoint, job));
            }
        }
        None
    }

    fn call_of(&mut self, id: TenantId) -> Option<(EndpointId, JobId)> {
        let width = self.width();
        let tenant = self.tenants.get(&id)?;
        let of_tenant = tenant.taken;
        if !self.tenant_may_begin(of_tenant.turns, 0) {
            return None;
        }
        let may_have_more = self.tenant_may_begin(of_tenant.turns, 1);
        for _ in 0..tenant.ring.len() {
            let endpoint = self.tenants.get_mut(&id)?.ring.pop_front()?;
            let Some(lane) = self.by_endpoint.get(&endpoint) else {
                continue;
            };
            let in_lane = lane.taken;
            let bytes = lane.waiting.front().map_or(0, |first| first.bytes);
            let is_full = in_lane.turns >= width
                || (in_lane.turns > 0 && !may_have_more)
                || !self.lane_may_carry(in_lane, bytes);
            if !is_full && !self.tenant_may_carry(of_tenant, bytes) {
                // Something else may be lighter.
                self.tenants.get_mut(&id)?.ring.push_back(endpoint);
                continue;
            }
            let (lane, tenant) = (self.by_endpoint.get_mut(&endpoint)?, self.tenants.get_mut(&id)?);
            if is_full {
                // Its next turn that ends announces it again.
                lane.in_ring = false;
                continue;
            }
            let called = lane.waiting.pop_front();
            if lane.waiting.is_empty() {
                lane.in_ring = false;
            } else {
                tenant.ring.push_back(endpoint);
            }
            let Some(Weighed { job, bytes }) = called else {
                continue;
            };
            lane.taken.add(bytes);
            tenant.taken.add(bytes);
            tenant.waiting -= 1;
            self.taken.add(bytes);
            self.waiting -= 1;
            return Some((endpoint, job));
        }
        None
    }

    /// Sends everybody away who waits.
    pub(crate) fn dismiss_waiting(&mut self) -> Vec<JobId> {
        let mut dismissed = Vec::with_capacity(self.waiting);
        for lane in self.by_endpoint.values_mut() {
            dismissed.extend(lane.waiting.drain(..).map(|waiting| waiting.job));
            lane.in_ring = false;
        }
        self.by_endpoint.retain(|_, lane| lane.taken.turns > 0);
        for tenant in self.tenants.values_mut() {
            tenant.waiting = 0;
            tenant.ring.clear();
            tenant.in_ring = false;
        }
        self.tenants.retain(|_, tenant| tenant.taken.turns > 0);
        self.ring.clear();
        self.waiting = 0;
        dismissed
    }
}

#[cfg(test)]
#[path = "lanes_shares_tests.rs"]
mod shares_tests;
#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;

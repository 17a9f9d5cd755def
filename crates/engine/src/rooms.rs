use std::collections::{HashMap, VecDeque};

use postrider_application::ports::{ClaimedWork, WorkRef};
use postrider_domain::EndpointId;

/// Where claimed rows are: how many are in flight, who waits for a turn at its endpoint, and how much room there is.
///
/// In flight is a row from when it is loaded until it is settled; its turn at the endpoint (the lane) is held only
/// while it is loaded and sent. Rows that the database refuses are set aside: they keep nobody else's room in
/// flight, but count among those that wait. Everything here is bounded, and pure: no clock, no task.
pub(crate) struct Rooms {
    max_in_flight: usize,
    max_waiting: usize,
    lane_width: usize,
    in_flight: usize,
    waiting: usize,
    set_aside: usize,
    reserved: usize,
    lanes: HashMap<EndpointId, Lane>,
    /// Lanes with somebody waiting and a turn free, each once, so that lanes take turns.
    next_lanes: VecDeque<EndpointId>,
}

#[derive(Default)]
struct Lane {
    active: usize,
    waiting: VecDeque<ClaimedWork>,
    is_next: bool,
}

/// What becomes of a row that asks to come in.
#[derive(Debug, PartialEq)]
pub(crate) enum Admission {
    /// It is in flight. If it is a delivery, it has its turn.
    Enters(ClaimedWork),
    /// It waits for its turn.
    Waits,
    /// There is no room.
    Refused(ClaimedWork),
}

impl Rooms {
    pub(crate) fn new(max_in_flight: usize, max_waiting: usize, lane_width: usize) -> Self {
        Self {
            max_in_flight,
            max_waiting,
            lane_width,
            in_flight: 0,
            waiting: 0,
            set_aside: 0,
            reserved: 0,
            lanes: HashMap::new(),
            next_lanes: VecDeque::new(),
        }
    }

    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) const fn waiting(&self) -> usize {
        self.waiting
    }

    pub(crate) const fn set_aside(&self) -> usize {
        self.set_aside
    }

    const fn waiting_has_room_for(&self) -> usize {
        self.max_waiting
            .saturating_sub(self.waiting + self.set_aside + self.reserved)
    }

    /// Whether no more rows are held than ever may be: a fan-out becomes many, so that those set aside could grow
    /// without anything being claimed.
    const fn may_hold_more(&self) -> bool {
        self.in_flight + self.waiting + self.set_aside + self.reserved < self.max_in_flight + self.max_waiting
    }

    /// How many rows may be claimed: each might go in flight, and each might have to wait.
    pub(crate) const fn room(&self) -> usize {
        let flight = self.max_in_flight.saturating_sub(self.in_flight + self.reserved);
        let waiting = self.waiting_has_room_for();
        if flight < waiting { flight } else { waiting }
    }

    /// Keeps room for rows that are being claimed.
    pub(crate) const fn reserve(&mut self, rows: usize) {
        self.reserved += rows;
    }

    /// The claim ended.
    pub(crate) const fn unreserve(&mut self, rows: usize) {
        self.reserved -= rows;
    }

    pub(crate) const fn flight_has_room(&self) -> bool {
        self.in_flight + self.reserved < self.max_in_flight
    }

    /// Lets a row in, if there is room.
    pub(crate) fn admit(&mut self, work: ClaimedWork) -> Admission {
        let turn = work.endpoint.is_none_or(|endpoint| self.turn_is_free(endpoint));
        if turn && self.flight_has_room() && self.may_hold_more() {
            if let Some(endpoint) = work.endpoint {
                self.lanes.entry(endpoint).or_default().active += 1;
            }
            self.in_flight += 1;
            return Admission::Enters(work);
        }
        match work.endpoint {
            Some(endpoint) if self.waiting_has_room_for() > 0 => {
                self.queue(endpoint, work);
                Admission::Waits
            }
            _ => Admission::Refused(work),
        }
    }

    fn turn_is_free(&self, endpoint: EndpointId) -> bool {
        self.lanes
            .get(&endpoint)
            // Who waits comes first.
            .is_none_or(|lane| lane.active < self.lane_width && lane.waiting.is_empty())
    }

    fn queue(&mut self, endpoint: EndpointId, work: ClaimedWork) {
        self.lanes.entry(endpoint).or_default().waiting.push_back(work);
        self.waiting += 1;
        self.announce(endpoint);
    }

    fn announce(&mut self, endpoint: EndpointId) {
        if let Some(lane) = self.lanes.get_mut(&endpoint)
            && !lane.is_next
            && lane.active < self.lane_width
            && !lane.waiting.is_empty()
        {
            lane.is_next = true;
            self.next_lanes.push_back(endpoint);
        }
    }

    /// A turn at `endpoint` for a row in flight, if one is free.
    pub(crate) fn take_turn(&mut self, endpoint: EndpointId) -> bool {
        let free = self.turn_is_free(endpoint);
        if free {
            self.lanes.entry(endpoint).or_default().active += 1;
        }
        free
    }

    /// A row that held a turn at `endpoint` needs it no more.
    pub(crate) fn end_turn(&mut self, endpoint: EndpointId) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            debug_assert!(false, "a turn ends in a lane that nobody is in");
            return;
        };
        lane.active -= 1;
        if lane.active == 0 && lane.waiting.is_empty() {
            self.lanes.remove(&endpoint);
        } else {
            self.announce(endpoint);
        }
    }

    /// A row in flight turned out to be for `endpoint`, where no turn is free: it waits, even if as many wait as
    /// may, because it was let in already.
    pub(crate) fn step_aside(&mut self, endpoint: EndpointId, work: ClaimedWork) {
        self.in_flight -= 1;
        self.queue(endpoint, work);
    }

    /// A row in flight is done with: settled, given back or lost.
    pub(crate) const fn leave(&mut self) {
        self.in_flight -= 1;
    }

    /// A row in flight, without a turn, is refused by the database: it is in flight no more.
    pub(crate) const fn put_aside(&mut self) {
        self.in_flight -= 1;
        self.set_aside += 1;
    }

    /// A row that was set aside is in flight again; only while [`Self::flight_has_room`].
    pub(crate) const fn recall(&mut self) {
        self.set_aside -= 1;
        self.in_flight += 1;
    }

    /// Rows that were set aside are given back.
    pub(crate) const fn dismiss_set_aside(&mut self, rows: usize) {
        self.set_aside -= rows;
    }

    /// The next row of those that waited, now in flight and with its turn at the endpoint.
    pub(crate) fn call_next(&mut self) -> Option<(EndpointId, ClaimedWork)> {
        while self.flight_has_room() {
            let endpoint = self.next_lanes.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&endpoint) else {
                continue;
            };
            lane.is_next = false;
            if lane.active >= self.lane_width {
                continue; // announced again when a turn ends
            }
            let Some(work) = lane.waiting.pop_front() else {
                continue;
            };
            lane.active += 1;
            self.waiting -= 1;
            self.in_flight += 1;
            self.announce(endpoint);
            return Some((endpoint, work));
        }
        None
    }

    /// Sends everybody home who waits.
    pub(crate) fn dismiss_waiting(&mut self) -> Vec<WorkRef> {
        self.waiting = 0;
        self.next_lanes.clear();
        let mut dismissed = Vec::new();
        self.lanes.retain(|_, lane| {
            lane.is_next = false;
            dismissed.extend(lane.waiting.drain(..).map(|work| work.work));
            lane.active > 0
        });
        dismissed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_domain::{ApplicationId, MessageId, TenantId, Timestamp, WorkId};
    use proptest::prelude::*;
    use uuid::Uuid;

    fn row(id: u128, endpoint: Option<u128>) -> ClaimedWork {
        ClaimedWork {
            work: WorkRef {
                id: WorkId::from_uuid(Uuid::from_u128(id)),
                claim: 1,
            },
            tenant: TenantId::from_uuid(Uuid::from_u128(1)),
            application: ApplicationId::from_uuid(Uuid::from_u128(1)),
            message: MessageId::from_uuid(Uuid::from_u128(id)),
            endpoint: endpoint.map(|n| EndpointId::from_uuid(Uuid::from_u128(n))),
            due_at: Timestamp::from_micros(0),
            attempts: 0,
            failures: 0,
            seq: 0,
        }
    }

    fn endpoint(n: u128) -> EndpointId {
        EndpointId::from_uuid(Uuid::from_u128(n))
    }

    #[test]
    fn a_full_endpoint_waits_while_others_proceed() {
        let mut rooms = Rooms::new(10, 10, 2);
        assert!(matches!(rooms.admit(row(1, Some(7))), Admission::Enters(_)));
        assert!(matches!(rooms.admit(row(2, Some(7))), Admission::Enters(_)));
        assert_eq!(rooms.admit(row(3, Some(7))), Admission::Waits);
        assert!(matches!(rooms.admit(row(4, Some(8))), Admission::Enters(_)));
        assert!(rooms.call_next().is_none(), "no turn is free");
        rooms.end_turn(endpoint(7));
        let (lane, work) = rooms.call_next().unwrap();
        assert_eq!((lane, work), (endpoint(7), row(3, Some(7))));
        assert_eq!((rooms.in_flight(), rooms.waiting()), (4, 0));
    }

    #[test]
    fn lanes_take_turns() {
        let mut rooms = Rooms::new(2, 100, 1);
        for (id, ep) in [(1, 1), (2, 2), (3, 1), (4, 1), (5, 2)] {
            rooms.admit(row(id, Some(ep)));
        }
        let mut order = Vec::new();
        for ep in [1, 2] {
            rooms.end_turn(endpoint(ep));
            rooms.leave();
        }
        while let Some((lane, _)) = rooms.call_next() {
            order.push(lane);
            rooms.end_turn(lane);
            rooms.leave();
        }
        assert_eq!(order, [endpoint(1), endpoint(2), endpoint(1)]);
    }

    #[test]
    fn a_reservation_is_room_taken() {
        let mut rooms = Rooms::new(4, 10, 4);
        rooms.reserve(3);
        assert_eq!(rooms.room(), 1);
        assert!(matches!(rooms.admit(row(1, None)), Admission::Enters(_)));
        assert!(matches!(rooms.admit(row(2, None)), Admission::Refused(_)));
        rooms.unreserve(3);
        assert_eq!(rooms.room(), 3);
    }

    #[test]
    fn whoever_waits_is_sent_home_once() {
        let mut rooms = Rooms::new(1, 10, 1);
        for id in 1..=3 {
            rooms.admit(row(id, Some(1)));
        }
        assert_eq!(rooms.dismiss_waiting().len(), 2);
        assert!(rooms.dismiss_waiting().is_empty());
        rooms.end_turn(endpoint(1));
        rooms.leave();
        assert!(rooms.call_next().is_none() && rooms.lanes.is_empty());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Claim(Vec<Option<u8>>),
        EndOldest,
        CallNext,
        Recognise(u8),
        FanOutOldest(u8),
        Refuse,
        Recall,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let endpoint = proptest::option::of(0u8..4);
        let step = prop_oneof![
            proptest::collection::vec(endpoint, 0..6).prop_map(Step::Claim),
            Just(Step::EndOldest),
            Just(Step::CallNext),
            (0u8..4).prop_map(Step::Recognise),
            (0u8..4).prop_map(Step::FanOutOldest),
            Just(Step::Refuse),
            Just(Step::Recall),
        ];
        proptest::collection::vec(step, 0..80)
    }

    proptest! {
        /// Rows are neither lost nor doubled, and no bound is passed, whatever happens.
        #[test]
        fn nothing_is_lost_and_bounds_hold(steps in steps()) {
            let (flight, waiting, width) = (5, 6, 2);
            let mut rooms = Rooms::new(flight, waiting, width);
            let mut flying: VecDeque<(Option<EndpointId>, ClaimedWork)> = VecDeque::new();
            let mut aside: Vec<ClaimedWork> = Vec::new();
            let (mut claimed, mut ended, mut next_id) = (0usize, 0usize, 1u128);
            for step in steps {
                match step {
                    Step::Claim(rows) => {
                        let limit = rooms.room().min(rows.len());
                        for target in rows.into_iter().take(limit) {
                            claimed += 1;
                            next_id += 1;
                            match rooms.admit(row(next_id, target.map(u128::from))) {
                                Admission::Enters(work) => flying.push_back((work.endpoint, work)),
                                Admission::Waits => {}
                                Admission::Refused(_) => prop_assert!(false, "room() promised room"),
                            }
                        }
                    }
                    Step::EndOldest => if let Some((turn, _)) = flying.pop_front() {
                        if let Some(lane) = turn { rooms.end_turn(lane); }
                        rooms.leave();
                        ended += 1;
                    },
                    Step::CallNext => if let Some((lane, work)) = rooms.call_next() {
                        flying.push_back((Some(lane), work));
                    },
                    Step::Recognise(n) => {
                        let lane = endpoint(u128::from(n));
                        if let Some(at) = flying.iter().position(|(turn, _)| turn.is_none()) {
                            if rooms.take_turn(lane) {
                                flying[at].0 = Some(lane);
                            } else if let Some((_, work)) = flying.remove(at) {
                                rooms.step_aside(lane, work);
                            }
                        }
                    }
                    Step::FanOutOldest(lane) => if let Some((turn, _)) = flying.pop_front() {
                        if let Some(lane) = turn { rooms.end_turn(lane); }
                        rooms.leave();
                        ended += 1;
                        for n in 0..4 {
                            next_id += 1;
                            let work = row(next_id, Some(u128::from((lane + n) % 4)));
                            match rooms.admit(work) {
                                Admission::Enters(work) => flying.push_back((work.endpoint, work)),
                                Admission::Waits => {}
                                Admission::Refused(_) => continue,
                            }
                            claimed += 1;
                        }
                    },
                    Step::Refuse => if let Some((turn, work)) = flying.pop_front() {
                        if let Some(lane) = turn { rooms.end_turn(lane); }
                        rooms.put_aside();
                        aside.push(work);
                    },
                    Step::Recall => if rooms.flight_has_room() && let Some(work) = aside.pop() {
                        rooms.recall();
                        flying.push_back((None, work));
                    },
                }
                prop_assert!(rooms.in_flight() <= flight);
                prop_assert!(rooms.in_flight() + rooms.waiting() + rooms.set_aside() <= flight + waiting);
                prop_assert_eq!((rooms.in_flight(), rooms.set_aside()), (flying.len(), aside.len()));
                prop_assert_eq!(claimed, ended + flying.len() + rooms.waiting() + aside.len());
                prop_assert!(rooms.lanes.values().all(|lane| lane.active <= width));
            }
            rooms.dismiss_set_aside(aside.len());
            // Everybody's turn comes.
            loop {
                while let Some((lane, work)) = rooms.call_next() {
                    flying.push_back((Some(lane), work));
                }
                let Some((turn, _)) = flying.pop_front() else { break };
                if let Some(lane) = turn { rooms.end_turn(lane); }
                rooms.leave();
            }
            prop_assert_eq!(rooms.waiting(), 0);
            prop_assert!(rooms.lanes.is_empty());
        }
    }
}

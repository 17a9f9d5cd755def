//! Between which ids that lies which is of a time. Ids of version 7 begin with the time at which they were made.

use postrider_domain::Timestamp;
use uuid::Uuid;

/// How far an id, which is of its time, may be from the time that is stored beside it: they are read off the clock one
/// after the other, seconds apart if a payload is held to its schema in between, and ids do not go back when a clock is
/// set back. An hour is for the latter. One number for all: what one list shows of a time, so does another, and retention
/// and replays go by the same.
const ID_DRIFT_MS: i64 = 3_600_000;

/// The least id of version 7 of that millisecond since the Unix epoch.
fn least_id_of(millis: i64) -> Uuid {
    // 48 bits of milliseconds come first.
    let millis = u64::try_from(millis).unwrap_or(0).min((1 << 48) - 1);
    Uuid::from_u128(u128::from(millis) << 80)
}

/// Nothing of `from` or later has an id below this one.
pub(crate) fn least_id_from(from: Timestamp) -> Uuid {
    least_id_of(from.as_unix_millis().saturating_sub(ID_DRIFT_MS))
}

/// Nothing of before `to` has this id or one above.
pub(crate) fn least_id_beyond(to: Timestamp) -> Uuid {
    least_id_of(to.as_unix_millis().saturating_add(ID_DRIFT_MS + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids that something of that time may have: of the same millisecond, and a little before or after it.
    fn ids_of(at: Timestamp) -> [Uuid; 4] {
        let of = |millis: i64, rest: u128| Uuid::from_u128(least_id_of(millis).as_u128() | rest);
        let (millis, most) = (at.as_unix_millis(), (1_u128 << 80) - 1);
        [
            of(millis, 0),
            of(millis, most),
            of(millis - ID_DRIFT_MS, 0),
            of(millis + ID_DRIFT_MS, most),
        ]
    }

    #[test]
    fn the_bounds_of_a_time_hold_every_id_within_it() {
        const HOUR: i64 = 3_600_000_000;
        let (from, to) = (1_800_000_000_000_999, 1_800_000_000_001_000);
        let bounds = |from, to| {
            let [from, to] = [from, to].map(Timestamp::from_micros);
            least_id_from(from)..least_id_beyond(to)
        };
        // The first and the last microsecond, of a time of one only and of a day.
        for (from, to) in [(from, to), (to, to + 1), (from, from + 24 * HOUR)] {
            let bounds = bounds(from, to);
            for at in [from, to - 1] {
                for id in ids_of(Timestamp::from_micros(at)) {
                    assert!(bounds.contains(&id), "{id} at {at}, from {from} to {to}");
                }
            }
            // And not all that was ever written.
            for at in [from - 3 * HOUR, to + 3 * HOUR] {
                for id in ids_of(Timestamp::from_micros(at)) {
                    assert!(!bounds.contains(&id), "{id} at {at}, from {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn ids_begin_with_their_time() {
        let id = least_id_of(0x0193_a5d2_7b1c);
        assert_eq!(id.to_string(), "0193a5d2-7b1c-0000-0000-000000000000");
    }

    #[test]
    fn times_that_no_id_has_are_bounds_as_well() {
        for (micros, bound) in [(i64::MIN, Uuid::nil()), (-1, Uuid::nil()), (0, Uuid::nil())] {
            assert_eq!(least_id_from(Timestamp::from_micros(micros)), bound);
        }
        let last: Uuid = "ffffffff-ffff-0000-0000-000000000000".parse().unwrap();
        assert_eq!(least_id_of(i64::MAX), last);
        assert!(least_id_beyond(Timestamp::from_micros(i64::MAX)) <= last);
    }
}

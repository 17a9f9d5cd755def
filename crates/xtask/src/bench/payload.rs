//! What is published: 1 KiB of JSON that says which message it is and when it was to be sent.

/// How long a payload is.
pub(super) const BYTES: usize = 1_024;

const HEAD: &str = r#"{"run":"0000","number":"0000000000","at":"00000000000000000000","fill":""#;
const TAIL: &str = r#""}"#;
const RUN: std::ops::Range<usize> = 8..12;
const NUMBER: std::ops::Range<usize> = 24..34;
const AT: std::ops::Range<usize> = 42..62;

/// What a payload says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Which run it belongs to, up to 9,999.
    pub(super) run: u64,
    /// Which message of the run it is, from 0.
    pub(super) number: u64,
    /// When it was to be sent: nanoseconds of the monotonic clock.
    pub(super) at: u64,
}

/// A payload that says nothing yet.
pub(super) fn blank() -> Vec<u8> {
    let mut payload = HEAD.as_bytes().to_vec();
    // Letters without a period, so that nothing on the way makes it smaller than it is.
    let mut state = 1_u32;
    while payload.len() < BYTES - TAIL.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        payload.push(b"abcdefghijklmnopqrstuvwxyz012345"[(state >> 27) as usize]);
    }
    payload.extend_from_slice(TAIL.as_bytes());
    payload
}

impl Stamp {
    /// Writes it into a payload.
    pub(super) fn put(self, payload: &mut [u8]) {
        digits(&mut payload[RUN], self.run);
        digits(&mut payload[NUMBER], self.number);
        digits(&mut payload[AT], self.at);
    }

    /// Reads it; nothing if this is no payload of ours.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        if payload.len() != BYTES || !payload.ends_with(TAIL.as_bytes()) {
            return None;
        }
        Some(Self {
            run: number(&payload[RUN])?,
            number: number(&payload[NUMBER])?,
            at: number(&payload[AT])?,
        })
    }
}

/// Writes a number with leading zeros.
pub(super) fn digits(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
}

fn number(place: &[u8]) -> Option<u64> {
    place.iter().try_fold(0_u64, |value, digit| {
        digit
            .is_ascii_digit()
            .then(|| value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_put() {
        let mut payload = blank();
        let stamp = Stamp {
            run: 12,
            number: 3_456_789,
            at: 98_765_432_101_234,
        };
        stamp.put(&mut payload);
        assert_eq!(payload.len(), BYTES);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        let value: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(value["number"], "0003456789");
        assert_eq!(value["at"], "00000098765432101234");
        assert_eq!((Stamp::read(&payload[1..]), Stamp::read(b"{}")), (None, None));
    }
}

//! Secrets that are good at the same time, while receivers change from one to the next.

use std::time::Duration;

use super::{EndpointSecret, SigningSecret};
use crate::{InvalidValue, Rule, Timestamp};

/// A secret, and until when it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSecret {
    /// The secret.
    pub secret: EndpointSecret,
    /// From when on it does not sign any more; none, if nothing has replaced it.
    pub until: Option<Timestamp>,
}

impl HeldSecret {
    /// Whether it signs at `at`.
    pub fn signs_at(&self, at: Timestamp) -> bool {
        self.until.is_none_or(|until| at < until)
    }
}

impl From<EndpointSecret> for HeldSecret {
    fn from(secret: EndpointSecret) -> Self {
        Self { secret, until: None }
    }
}

impl From<SigningSecret> for HeldSecret {
    fn from(secret: SigningSecret) -> Self {
        EndpointSecret::from(secret).into()
    }
}

/// For how long the secrets of before sign as well after a rotation: 0 to 7 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap(Duration);

impl Overlap {
    /// The longest overlap, in seconds.
    pub const MAX_SECONDS: u64 = 7 * 24 * 60 * 60;

    /// An overlap of `seconds` seconds.
    pub fn from_seconds(seconds: u64) -> Result<Self, InvalidValue> {
        if seconds <= Self::MAX_SECONDS {
            Ok(Self(Duration::from_secs(seconds)))
        } else {
            Err(InvalidValue::new(
                Rule::Range,
                "must be at most 604800 seconds (7 days)",
            ))
        }
    }
}

impl Default for Overlap {
    /// A day.
    fn default() -> Self {
        Self(Duration::from_hours(24))
    }
}

/// Why a secret is not replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationRefused {
    /// The new one signs already.
    InUse,
    /// As many old ones sign as may.
    TooMany,
}

/// The secrets of an endpoint: the one that signs from now on, and those of before that still do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRing {
    /// Newest first; only the first one has no end. Never empty.
    held: Vec<HeldSecret>,
}

impl SecretRing {
    /// The most old ones that may sign at a time: each makes every request's signature longer.
    pub const MAX_OLD: usize = 3;

    /// One secret, and none before it.
    pub fn of(secret: EndpointSecret) -> Self {
        Self::restore(secret, Vec::new())
    }

    /// The secrets as they were stored.
    pub fn restore(current: EndpointSecret, old: Vec<HeldSecret>) -> Self {
        let mut held = Vec::with_capacity(1 + old.len());
        held.push(HeldSecret::from(current));
        held.extend(old);
        Self { held }
    }

    /// The one that signs first.
    pub fn current(&self) -> &EndpointSecret {
        &self.held[0].secret
    }

    /// Those of before, newest first; some may have ended.
    pub fn old(&self) -> &[HeldSecret] {
        &self.held[1..]
    }

    /// All of them, newest first.
    pub fn all(&self) -> &[HeldSecret] {
        &self.held
    }

    /// From now on `to` signs, and for the overlap those of before as well, none of them longer than it did already:
    /// without an overlap they all end at once.
    pub fn rotated(
        &self,
        to: EndpointSecret,
        overlap: Overlap,
        now: Timestamp,
    ) -> Result<Self, RotationRefused> {
        if self
            .held
            .iter()
            .any(|held| held.secret == to && held.signs_at(now))
        {
            return Err(RotationRefused::InUse);
        }
        let ends = now.plus(overlap.0);
        let old: Vec<_> = self
            .held
            .iter()
            .map(|held| HeldSecret {
                secret: held.secret.clone(),
                until: Some(held.until.map_or(ends, |until| until.min(ends))),
            })
            .filter(|held| held.signs_at(now))
            .collect();
        if old.len() > Self::MAX_OLD {
            return Err(RotationRefused::TooMany);
        }
        Ok(Self::restore(to, old))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    fn secret(n: u8) -> EndpointSecret {
        SigningSecret::generate([n; 32]).into()
    }

    fn seconds(n: u64) -> Overlap {
        Overlap::from_seconds(n).unwrap()
    }

    fn signing(ring: &SecretRing, at: Timestamp) -> Vec<EndpointSecret> {
        let signing = ring.all().iter().filter(|held| held.signs_at(at));
        signing.map(|held| held.secret.clone()).collect()
    }

    #[test]
    fn the_new_one_signs_first_and_the_old_one_until_the_overlap_is_over() {
        let ring = SecretRing::of(secret(1))
            .rotated(secret(2), seconds(60), NOW)
            .unwrap();
        let at = |s| NOW.plus(Duration::from_secs(s));
        assert_eq!(signing(&ring, NOW), [secret(2), secret(1)]);
        assert_eq!(
            signing(&ring, Timestamp::from_micros(at(60).as_micros() - 1)),
            [secret(2), secret(1)]
        );
        assert_eq!(signing(&ring, at(60)), [secret(2)]);
        let next = ring.rotated(secret(3), seconds(60), at(60)).unwrap();
        assert_eq!(next.all().len(), 2, "what has ended is forgotten");
    }

    #[test]
    fn without_an_overlap_all_old_ones_end_at_once() {
        let ring = SecretRing::of(secret(1));
        let ring = ring.rotated(secret(2), Overlap::default(), NOW).unwrap();
        let ring = ring.rotated(secret(3), seconds(0), NOW).unwrap();
        assert_eq!(signing(&ring, NOW), [secret(3)]);
        assert!(ring.old().is_empty());
    }

    #[test]
    fn a_later_rotation_shortens_and_never_lengthens() {
        let ring = SecretRing::of(secret(1));
        let ring = ring.rotated(secret(2), seconds(100), NOW).unwrap();
        for (overlap, first_ends) in [(10, 10), (1_000, 100)] {
            let ring = ring.rotated(secret(3), seconds(overlap), NOW).unwrap();
            let ends = |s| Some(NOW.plus(Duration::from_secs(s)));
            assert_eq!(ring.old()[0].until, ends(overlap));
            assert_eq!(ring.old()[1].until, ends(first_ends));
        }
    }

    #[test]
    fn few_sign_at_a_time_and_none_twice() {
        let mut ring = SecretRing::of(secret(0));
        for n in 1..=3 {
            ring = ring.rotated(secret(n), seconds(60), NOW).unwrap();
        }
        assert_eq!(
            ring.rotated(secret(4), seconds(60), NOW),
            Err(RotationRefused::TooMany)
        );
        assert_eq!(
            ring.rotated(secret(1), seconds(60), NOW),
            Err(RotationRefused::InUse)
        );
        assert!(ring.rotated(secret(4), seconds(0), NOW).is_ok());
        let later = NOW.plus(Duration::from_mins(1));
        let again = ring.rotated(secret(1), seconds(60), later).unwrap();
        assert_eq!(again.current(), &secret(1), "one that has ended may come back");
    }

    #[test]
    fn overlaps_have_a_bound() {
        assert!(Overlap::from_seconds(Overlap::MAX_SECONDS).is_ok());
        assert_eq!(
            Overlap::from_seconds(Overlap::MAX_SECONDS + 1).unwrap_err().rule,
            Rule::Range
        );
    }

    proptest! {
        #[test]
        fn however_it_is_rotated_one_signs_for_ever_and_few_for_a_while(
            steps in proptest::collection::vec((0u64..200, 0u64..100), 0..30),
        ) {
            let (mut ring, mut now) = (SecretRing::of(secret(255)), NOW);
            for (n, (overlap, passed)) in steps.into_iter().enumerate() {
                now = now.plus(Duration::from_secs(passed));
                let to = secret(u8::try_from(n).unwrap());
                if let Ok(next) = ring.rotated(to.clone(), seconds(overlap), now) {
                    prop_assert_eq!(next.current(), &to);
                    ring = next;
                }
                prop_assert!(ring.all()[0].until.is_none());
                prop_assert!(ring.old().len() <= SecretRing::MAX_OLD);
                prop_assert!(ring.old().iter().all(|held| held.until.is_some()));
            }
        }
    }
}

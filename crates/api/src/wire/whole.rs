use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

/// A whole number, 0 or more, however it is written: to JSON Schema, and to JSON itself, `30` and `30.0` are one number.
/// To be used with `#[schema(value_type = u64)]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole(pub(crate) u64);

impl Whole {
    /// The same in 32 bits; what does not fit is the most that does, which every rule refuses as too much.
    pub(crate) fn saturating(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl Serialize for Whole {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;

        impl Visitor<'_> for WholeVisitor {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("u64")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(number))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
                /// Up to here every whole number has a form of its own.
                const EXACT: f64 = 9_007_199_254_740_992.0;
                if number.fract() == 0.0 && (0.0..=EXACT).contains(&number) {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "it is whole, not below 0, and exact"
                    )]
                    return Ok(Whole(number as u64));
                }
                Err(E::invalid_type(serde::de::Unexpected::Float(number), &self))
            }
        }

        deserializer.deserialize_u64(WholeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for (text, number) in [
            ("0", 0),
            ("-0.0", 0),
            ("30", 30),
            ("30.0", 30),
            ("3e1", 30),
            ("18446744073709551615", u64::MAX),
            ("9007199254740992.0", 1 << 53),
        ] {
            assert_eq!(
                serde_json::from_str::<Whole>(text).unwrap(),
                Whole(number),
                "{text}"
            );
        }
        for bad in [
            "1.5",
            "-1",
            "-1.0",
            "1e300",
            "18446744073709551616",
            "\"1\"",
            "true",
            "null",
            "[1]",
        ] {
            assert!(serde_json::from_str::<Whole>(bad).is_err(), "{bad}");
        }
        assert_eq!(serde_json::to_string(&Whole(30)).unwrap(), "30");
        assert_eq!(Whole(1 << 40).saturating(), u32::MAX);
    }
}

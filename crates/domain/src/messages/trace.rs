use crate::{InvalidValue, Rule};

/// The `traceparent` of [W3C Trace Context](https://www.w3.org/TR/trace-context/), version 00, stored with a
/// message so that publish and every attempt are one trace, days apart too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(String);

impl TraceParent {
    /// Parses `00-<32 hex>-<16 hex>-<2 hex>`, lower case, ids not all zero.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let hex = |part: &str, len: usize| {
            part.len() == len
                && part
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let nonzero = |part: &str| part.bytes().any(|b| b != b'0');
        let parts: Vec<&str> = text.split('-').collect();
        match parts[..] {
            ["00", trace, span, flags]
                if hex(trace, 32) && nonzero(trace) && hex(span, 16) && nonzero(span) && hex(flags, 2) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidValue::new(
                Rule::Format,
                "must be a W3C traceparent of version 00",
            )),
        }
    }

    /// Whether whoever began the trace decided that it is recorded.
    pub fn is_sampled(&self) -> bool {
        // The flags are the last two of its characters, in hexadecimal; "sampled" is the lowest bit.
        let flags = self.0.as_bytes().last().copied().unwrap_or(b'0');
        char::from(flags).to_digit(16).is_some_and(|flags| flags & 1 == 1)
    }

    /// The header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_version_00_is_kept() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceParent::parse(good).unwrap().as_str(), good);
        for (flags, sampled) in [("00", false), ("01", true), ("02", false), ("ff", true)] {
            let text = format!("{}{flags}", &good[..good.len() - 2]);
            assert_eq!(
                TraceParent::parse(&text).unwrap().is_sampled(),
                sampled,
                "{flags}"
            );
        }
        for bad in [
            "",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(TraceParent::parse(bad).is_err(), "{bad}");
        }
    }
}

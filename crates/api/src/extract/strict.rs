//! What serde does not mind and we do: nesting without end, and keys that stand twice in a map.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// The most arrays and objects within each other, of a body as a whole: whoever is to receive a payload must be able to
/// read it.
pub(crate) const MAX_DEPTH: usize = 64;

/// Fields whose values are kept byte for byte, wherever they stand: what is in them is the tenant's business.
const KEPT: [&str; 3] = ["payload", "schema", "example"];

/// Whether no more than [`MAX_DEPTH`] arrays and objects are within each other. Of what is no JSON it says something,
/// which does not matter: it is refused anyway.
pub(super) fn is_shallow(bytes: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        if in_text {
            match (escaped, byte) {
                (true, _) => escaped = false,
                (false, b'\\') => escaped = true,
                (false, b'"') => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return false;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// Fails, as serde does for structs, where a key stands twice in an object; but not within what is kept as it is.
pub(super) fn check_keys(bytes: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<Unique>(bytes).map(|Unique| ())
}

/// Any JSON whose objects have each key once.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

/// A value under some key.
struct Under<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Under<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if KEPT.contains(&self.0) {
            IgnoredAny::deserialize(deserializer).map(|_| ())
        } else {
            Unique::deserialize(deserializer).map(|_| ())
        }
    }
}

struct UniqueVisitor;

macro_rules! anything {
    ($($visit:ident: $of:ty;)+) => {
        $(fn $visit<E>(self, _: $of) -> Result<Unique, E> {
            Ok(Unique)
        })+
    };
}

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    anything! {
        visit_bool: bool;
        visit_i64: i64;
        visit_u64: u64;
        visit_f64: f64;
        visit_str: &str;
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        while items.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unique, A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            entries.next_value_seed(Under(&key))?;
            if !seen.insert(key) {
                // The key is the caller's, and not repeated.
                return Err(A::Error::custom("duplicate field"));
            }
        }
        Ok(Unique)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_texts() {
        let nested = |depth: usize| format!("{}1{}", "[{\"a\":".repeat(depth / 2), "}]".repeat(depth / 2));
        assert!(is_shallow(nested(MAX_DEPTH).as_bytes()));
        assert!(!is_shallow(nested(MAX_DEPTH + 2).as_bytes()));
        let flat = format!("[{}]", "{\"[[[\\\"[[{{\":\"\\\\\"},".repeat(100));
        assert!(is_shallow(flat.as_bytes()));
        assert!(!is_shallow("[".repeat(10_000_000).as_bytes()));
        assert!(is_shallow(b"]]]}}}"));
    }

    #[test]
    fn keys_stand_once_wherever_they_are() {
        for good in [
            r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}"#,
            r#"{"payload":{"a":1,"a":2}}"#,
            r#"{"messages":[{"payload":{"a":1,"a":[{"b":1,"b":2}]}}]}"#,
            r#"[1,-1,1.5,true,null,"x",18446744073709551616]"#,
        ] {
            check_keys(good.as_bytes()).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"m":{"k":"v","k":"v"}}"#,
            r#"[{"a":[{"b":1,"b":1}]}]"#,
            r#"{"payload":1,"payload":2}"#,
        ] {
            assert!(check_keys(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}

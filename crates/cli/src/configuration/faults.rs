//! What is wrong with a configuration, and within which ranges numbers must be.

use std::{collections::BTreeMap, fmt};

use serde_json::Number;

use super::Fault;

/// Collects faults of all sections, and the ranges that keys were held to: the schema says them too.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(super) wrong: Vec<Fault>,
    pub(super) ranges: BTreeMap<&'static str, AllowedRange>,
}

/// What a number may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AllowedRange {
    pub(super) least: Number,
    pub(super) most: Number,
    /// Whether it may be 0 besides.
    pub(super) or_zero: bool,
}

impl Faults {
    /// Notes that `key` is wrong.
    pub(crate) fn push(&mut self, key: &str, message: impl Into<String>) {
        self.wrong.push(Fault {
            key: key.to_owned(),
            message: message.into(),
        });
    }

    /// Notes that `key` is to be within `range`, and whether it is outside of it.
    pub(crate) fn range<T: PartialOrd + fmt::Display + Copy + Into<Number>>(
        &mut self,
        key: &'static str,
        value: T,
        range: std::ops::RangeInclusive<T>,
    ) {
        let (least, most) = range.clone().into_inner();
        if !range.contains(&value) {
            self.push(key, format!("must be from {least} to {most}"));
        }
        self.allow(key, least, most, false);
    }

    /// The same for days, of which 0 are for ever.
    pub(crate) fn days_or_for_ever(
        &mut self,
        key: &'static str,
        days: u32,
        range: std::ops::RangeInclusive<u32>,
    ) {
        let (least, most) = range.clone().into_inner();
        if days != 0 && !range.contains(&days) {
            self.push(key, format!("must be from {least} to {most}, or 0: for ever"));
        }
        self.allow(key, least, most, true);
    }

    fn allow<T: Into<Number>>(&mut self, key: &'static str, least: T, most: T, or_zero: bool) {
        let (least, most) = (least.into(), most.into());
        self.ranges.insert(key, AllowedRange { least, most, or_zero });
    }
}

/// What figment found wrong, without the value: it may be a secret.
pub(super) fn fault(error: &figment::Error) -> Fault {
    use figment::error::Kind;
    let key = error.path.join(".");
    let message = match &error.kind {
        Kind::UnknownField(field, _) => format!("unknown key `{field}`"),
        Kind::MissingField(field) => format!("`{field}` is missing"),
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            format!("must be {}", in_words(expected))
        }
        Kind::UnknownVariant(_, known) => format!("must be one of {}", known.join(", ")),
        Kind::Message(message) => message.clone(),
        _ => "is not valid".to_owned(),
    };
    let source = error
        .metadata
        .as_ref()
        .map(|metadata| format!(" (from {})", metadata.name));
    // The value is not told; that nothing stands there is what matters here.
    let message =
        if key == "management.listen" && matches!(&error.kind, Kind::InvalidValue(..) | Kind::Message(_)) {
            format!("{message}; to have no such listener, set management.enabled to false")
        } else {
            message
        };
    Fault {
        key: if key.is_empty() {
            "configuration".into()
        } else {
            key
        },
        message: message + &source.unwrap_or_default(),
    }
}

/// What serde expects, for people who do not know Rust's types.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        words => words,
    }
}

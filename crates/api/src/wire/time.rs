use postrider_domain::{InvalidValue, Rule, Timestamp};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A point in time as RFC 3339 in UTC with microseconds: `2026-11-22T18:00:00.000000Z`.
pub(super) fn show(at: Timestamp) -> String {
    // Beyond the year 9999 RFC 3339 has no form; such a time is shown as the last one that has.
    let last = OffsetDateTime::from_unix_timestamp(253_402_300_799).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.as_micros()) * 1_000).unwrap_or(last);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.microsecond()
    )
}

/// Parses RFC 3339 with any offset; finer fractions than microseconds are dropped.
pub(super) fn parse(text: &str) -> Result<Timestamp, InvalidValue> {
    let malformed = || {
        InvalidValue::new(
            Rule::Format,
            "must be a time such as 2026-11-22T18:00:00Z (RFC 3339)",
        )
    };
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| malformed())?;
    // Independent of the offset: converting to UTC would panic where its year has more than four digits.
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000))
        .map(Timestamp::from_micros)
        .map_err(|_| malformed())
}

/// The day of a point in time, in UTC: `2026-11-22`.
pub(super) fn show_date(at: Timestamp) -> String {
    let mut text = show(at);
    text.truncate("2026-11-22".len());
    text
}

/// Parses a day in UTC: its beginning.
pub(super) fn parse_date(text: &str) -> Result<Timestamp, InvalidValue> {
    // Anything but a day would be another time when this is put behind it, or none.
    let is_date = text.len() == "2026-11-22".len() && text.is_ascii();
    let parsed = is_date.then(|| parse(&format!("{text}T00:00:00Z")));
    let malformed = || InvalidValue::new(Rule::Format, "must be a day such as 2026-11-22");
    parsed.and_then(Result::ok).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_microseconds_and_end_in_z() {
        assert_eq!(show(Timestamp::from_micros(0)), "1970-01-01T00:00:00.000000Z");
        assert_eq!(
            show(Timestamp::from_micros(1_795_370_400_000_001)),
            "2026-11-22T18:00:00.000001Z"
        );
        assert_eq!(show(Timestamp::from_micros(-1)), "1969-12-31T23:59:59.999999Z");
        assert_eq!(
            show(Timestamp::from_micros(i64::MAX)),
            "9999-12-31T23:59:59.000000Z"
        );
    }

    #[test]
    fn a_day_begins_at_midnight() {
        let day = Timestamp::from_micros(1_795_305_600_000_000);
        assert_eq!(parse_date("2026-11-22"), Ok(day));
        assert_eq!(show_date(day), "2026-11-22");
        for bad in ["", "2026-11-31", "22.11.2026", "2026-11-22Z", "2026-1-22 "] {
            assert_eq!(parse_date(bad).unwrap_err().rule, Rule::Format, "{bad}");
        }
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        for text in ["9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00"] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn any_offset_is_read() {
        let at = Timestamp::from_micros(1_795_370_400_000_000);
        for text in ["2026-11-22T18:00:00Z", "2026-11-22T19:00:00.0000009+01:00"] {
            assert_eq!(parse(text), Ok(at), "{text}");
        }
        for bad in [
            "",
            "2026-11-22",
            "2026-13-22T18:00:00Z",
            "1795370400",
            "2026-11-22 18:00",
        ] {
            assert_eq!(parse(bad).unwrap_err().rule, Rule::Format, "{bad}");
        }
    }
}

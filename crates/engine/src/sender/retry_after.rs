//! `Retry-After` (RFC 9110, section 10.2.3): how long a receiver asks to be left alone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{
    HeaderMap, HeaderValue,
    header::{DATE, RETRY_AFTER},
};
use postrider_domain::Timestamp;

/// What an answer that arrived at `now` asks for: seconds, or the time until a date in one of HTTP's three forms.
///
/// A date is compared with the receiver's own clock, if the answer tells it (`Date`), so that a clock that is wrong
/// there or here does no harm. What cannot be read is ignored, and so are dates that have passed and waits of more
/// than 136 years (2³² seconds), which nobody means. How long is too long is for the retry policy to say.
pub(super) fn of(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?;
    let seconds = if let Some(seconds) = seconds(asked) {
        seconds
    } else {
        let there = headers.get(DATE).and_then(date);
        let here = u64::try_from(now.as_unix_seconds()).ok()?;
        let wait = date(asked)?.checked_sub(there.unwrap_or(here))?;
        u32::try_from(wait).ok()?
    };
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// Decimal digits only: `+5`, `-5` and `5.0` are not what the RFC has.
fn seconds(value: &HeaderValue) -> Option<u32> {
    let text = value.to_str().ok()?;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Seconds since the Unix epoch.
fn date(value: &HeaderValue) -> Option<u64> {
    let date: SystemTime = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    date.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, as in the RFC.
    const NOW: Timestamp = Timestamp::from_micros(784_111_777_000_000);

    fn asked(retry_after: &[u8], date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_bytes(retry_after).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        of(&headers, NOW).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_are_taken_as_they_are() {
        for (text, wait) in [
            ("1", Some(1)),
            ("120", Some(120)),
            ("007", Some(7)),
            ("4294967295", Some(4_294_967_295)),
            ("0", None),
            ("4294967296", None),
            ("99999999999999999999999999", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1e3", None),
            ("", None),
            ("soon", None),
            ("10 ", None),
            ("120, 240", None),
        ] {
            assert_eq!(asked(text.as_bytes(), None), wait, "{text:?}");
        }
        assert_eq!(asked("١".as_bytes(), None), None);
        assert_eq!(of(&HeaderMap::new(), NOW), None);
    }

    #[test]
    fn a_date_in_all_three_forms() {
        for form in [
            "Sun, 06 Nov 1994 08:51:37 GMT",
            "Sunday, 06-Nov-94 08:51:37 GMT",
            "Sun Nov  6 08:51:37 1994",
        ] {
            assert_eq!(asked(form.as_bytes(), None), Some(120), "{form}");
        }
    }

    #[test]
    fn a_date_is_compared_with_the_receivers_clock_if_it_tells() {
        let later = b"Sun, 06 Nov 1994 08:51:37 GMT";
        // Its clock is a minute ahead of ours.
        let there = "Sun, 06 Nov 1994 08:50:37 GMT";
        assert_eq!(asked(later, Some(there)), Some(60));
        assert_eq!(
            asked(later, Some("now")),
            Some(120),
            "what it tells cannot be read"
        );
        // By its clock the time has come, though not by ours.
        assert_eq!(asked(later, Some("Sun, 06 Nov 1994 09:00:00 GMT")), None);
    }

    #[test]
    fn dates_that_passed_or_mean_nothing_are_ignored() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:36 GMT",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Sun, 31 Feb 1999 00:00:00 GMT",
            "Sun, 06 Nov 1994 08:51:37 CET",
            "1994-11-06T08:51:37Z",
        ] {
            assert_eq!(asked(text.as_bytes(), None), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics(bytes in proptest::collection::vec(0x20u8..0x7f, 0..40), micros: i64) {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(&bytes).unwrap();
            headers.insert(RETRY_AFTER, value.clone());
            headers.insert(DATE, value);
            let _ = of(&headers, Timestamp::from_micros(micros));
        }

        #[test]
        fn every_date_to_come_is_found_again(wait in 1u32.., micros in 0i64..4_000_000_000_000_000) {
            let now = Timestamp::from_micros(micros);
            let seconds = u64::try_from(now.as_unix_seconds()).unwrap() + u64::from(wait);
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::try_from(date).unwrap());
            prop_assert_eq!(of(&headers, now), Some(Duration::from_secs(wait.into())));
        }
    }
}

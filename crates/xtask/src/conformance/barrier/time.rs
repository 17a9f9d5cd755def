//! Times as the API writes them.

/// Microseconds since 1970 of a time as the API writes it: `2026-11-22T18:00:00.000000Z`.
pub(super) fn micros(text: &str) -> Option<i128> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let date: Vec<i128> = numbers(date, '-')?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let clock: Vec<i128> = numbers(clock, ':')?;
    let ([year, month, day], [hour, minute, second]) =
        (date[..].try_into().ok()?, clock[..].try_into().ok()?);
    let fraction: i128 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    // Days since 1970 of the civil calendar, with years that begin in March.
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + fraction)
}

fn numbers(text: &str, between: char) -> Option<Vec<i128>> {
    text.split(between).map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_api_are_read() {
        assert_eq!(micros("1970-01-01T00:00:00.000000Z"), Some(0));
        assert_eq!(micros("2000-03-01T00:00:00Z"), Some(951_868_800_000_000));
        assert_eq!(micros("2026-11-22T18:00:00.000012Z"), Some(1_795_370_400_000_012));
        assert_eq!(micros("2024-02-29T23:59:59.5Z"), Some(1_709_251_199_500_000));
        assert_eq!(micros("yesterday"), None);
    }
}

//! Numbers with their units.

use std::time::Duration;

use postrider_cache::Allowance;

/// `65,536`.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

pub(super) fn count(count: usize) -> String {
    number(wide(count))
}

pub(super) fn characters(most: usize) -> String {
    format!("{} characters", count(most))
}

pub(super) fn bytes(most: usize) -> String {
    large(wide(most))
}

pub(super) fn large(bytes: u64) -> String {
    let units = [("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, size)| bytes.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{} {unit}", number(bytes / size)),
        None => format!("{} bytes", number(bytes)),
    }
}

pub(super) fn milliseconds(ms: u64) -> String {
    time(Duration::from_millis(ms))
}

pub(super) fn time(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)];
    // A day is told in hours, as it is everywhere.
    let fits = |(_, size): &(&str, u64)| ms.is_multiple_of(*size) && (*size < 86_400_000 || ms > 86_400_000);
    match units.into_iter().find(fits) {
        Some((unit, size)) => format!("{} {unit}", number(ms / size)),
        None => format!("{} ms", number(ms)),
    }
}

pub(super) fn allowance(allowed: Allowance) -> String {
    let (first, longest) = (time(allowed.first_wait), time(allowed.longest_wait));
    format!("{}, then waits of {first} to {longest}", allowed.free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_told_in_units() {
        assert_eq!(bytes(65_536), "64 KiB");
        assert_eq!(bytes(2_048), "2 KiB");
        assert_eq!(bytes(1_000), "1,000 bytes");
        assert_eq!(milliseconds(100), "100 ms");
        assert_eq!(milliseconds(15_000), "15 s");
        assert_eq!(time(Duration::from_hours(24)), "24 h");
        assert_eq!(time(Duration::from_hours(168)), "7 d");
    }
}

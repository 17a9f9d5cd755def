//! What the server's log says of statements on partitions.

use std::collections::BTreeMap;
use std::fmt;

/// How often, how long, and how often in vain.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Took {
    ms: Vec<f64>,
    in_vain: u32,
}

impl Took {
    /// All together, in milliseconds.
    pub(super) fn sum(&self) -> f64 {
        self.ms.iter().fold(0.0, |sum, ms| sum + ms)
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worst = self.ms.iter().copied().fold(0.0, f64::max);
        write!(
            f,
            "{:>2} done, {:>7.1} ms together, {worst:>6.1} ms at most, {:>2} gave up",
            self.ms.len(),
            self.sum(),
            self.in_vain
        )
    }
}

/// By the kind of statement.
pub(super) fn read(log: &str) -> BTreeMap<String, Took> {
    let mut found: BTreeMap<String, Took> = BTreeMap::new();
    for line in log.lines() {
        if let Some((_, said)) = line.split_once("LOG:  duration: ")
            && let Some((ms, text)) = said.split_once(" ms  ")
            && let (Ok(ms), Some(kind)) = (ms.parse(), kind(text))
        {
            found.entry(kind).or_default().ms.push(ms);
        } else if let Some((_, text)) = line.split_once("STATEMENT:  ")
            && let Some(kind) = kind(text)
        {
            found.entry(kind).or_default().in_vain += 1;
        }
    }
    found
}

/// The statement without names, if it is one that takes a partition out, puts it in, or drops it.
fn kind(text: &str) -> Option<String> {
    let at = ["ALTER TABLE", "DROP TABLE", "CREATE TABLE"]
        .into_iter()
        .find_map(|begin| text.find(begin))?;
    let words: Vec<&str> = text[at..].split_whitespace().collect();
    let kind = match words.as_slice() {
        ["ALTER", "TABLE", _, "DETACH", "PARTITION", _, how] => {
            format!("ALTER TABLE … DETACH PARTITION … {how}")
        }
        ["ALTER", "TABLE", _, "ATTACH", "PARTITION", ..] => "ALTER TABLE … ATTACH PARTITION …".to_owned(),
        ["DROP", "TABLE", _] => "DROP TABLE …".to_owned(),
        ["CREATE", "TABLE", ..] => "CREATE TABLE … (LIKE …)".to_owned(),
        _ => return None,
    };
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_counted_by_their_kind() {
        let log = "2026 [7] LOG:  duration: 12.5 ms  statement: ALTER TABLE messages DETACH PARTITION messages_p1 CONCURRENTLY\n\
            2026 [7] LOG:  duration: 7.500 ms  execute sqlx_s_1: ALTER TABLE payloads DETACH PARTITION payloads_p1 CONCURRENTLY\n\
            2026 [7] ERROR:  canceling statement due to lock timeout\n\
            2026 [7] STATEMENT:  ALTER TABLE messages DETACH PARTITION messages_p1 FINALIZE\n\
            2026 [7] LOG:  duration: 1.0 ms  statement: SELECT 1\n\
            2026 [7] LOG:  duration: 3.0 ms  statement: DROP TABLE messages_p1\n";
        let found = read(log);
        assert_eq!(found.len(), 3);
        let detach = &found["ALTER TABLE … DETACH PARTITION … CONCURRENTLY"];
        assert!((detach.sum() - 20.0).abs() < 1e-9 && detach.in_vain == 0);
        assert_eq!(found["ALTER TABLE … DETACH PARTITION … FINALIZE"].in_vain, 1);
        assert_eq!(found["DROP TABLE …"].ms, [3.0]);
    }
}

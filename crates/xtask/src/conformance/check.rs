//! What was sent against what was seen.

use std::collections::{HashMap, HashSet};

use crate::receiver::Arrival;

/// A webhook as a receiver saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// `webhook-id`.
    pub(super) id: String,
    /// Of the body.
    pub(super) sha256: [u8; 32],
    /// What the official library found wrong with it.
    pub(super) fault: Option<String>,
}

impl From<Arrival> for Seen {
    fn from(arrival: Arrival) -> Self {
        Self {
            id: arrival.id,
            sha256: arrival.sha256,
            fault: arrival.fault,
        }
    }
}

/// A published message.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// As the 202 gave it.
    pub(super) id: String,
    /// Of the payload's text as it stood in the request.
    pub(super) sha256: [u8; 32],
    /// The payload's length.
    pub(super) bytes: usize,
}

/// What one receiver saw of what was sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Messages that arrived at least once, verified and byte for byte.
    pub(super) good: usize,
    /// How often each message arrived.
    pub(super) arrivals: HashMap<String, u64>,
    /// What is wrong.
    pub(super) problems: Vec<String>,
}

impl Tally {
    /// Compares what a receiver of this name saw with what was sent.
    pub(super) fn of(name: &str, sent: &[Sent], seen: &[Seen]) -> Self {
        let hashes: HashMap<&str, [u8; 32]> = sent.iter().map(|one| (one.id.as_str(), one.sha256)).collect();
        let mut tally = Self::default();
        let mut good = HashSet::new();
        for one in seen {
            *tally.arrivals.entry(one.id.clone()).or_default() += 1;
            let problem = match (hashes.get(one.id.as_str()), &one.fault) {
                (_, Some(fault)) => format!("is not verified: {fault}"),
                (None, None) => "was never published".to_owned(),
                (Some(hash), None) if *hash != one.sha256 => "has other bytes than were published".to_owned(),
                (Some(_), None) => {
                    good.insert(one.id.as_str());
                    continue;
                }
            };
            tally.problems.push(format!("{name}: {} {problem}", one.id));
        }
        for one in sent {
            if !tally.arrivals.contains_key(&one.id) {
                tally.problems.push(format!("{name}: {} is lost", one.id));
            }
        }
        tally.good = good.len();
        tally
    }
}

/// An error that shows the first few problems, if there are any.
pub(super) fn hold(problems: &[String]) -> anyhow::Result<()> {
    const SHOWN: usize = 10;
    if problems.is_empty() {
        return Ok(());
    }
    let shown = problems[..problems.len().min(SHOWN)].join("\n  ");
    anyhow::bail!("{} problems:\n  {shown}", problems.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(id: &str, hash: u8) -> Sent {
        Sent {
            id: id.to_owned(),
            sha256: [hash; 32],
            bytes: 1,
        }
    }

    fn seen(id: &str, hash: u8, fault: Option<&str>) -> Seen {
        Seen {
            id: id.to_owned(),
            sha256: [hash; 32],
            fault: fault.map(str::to_owned),
        }
    }

    #[test]
    fn a_repeated_message_is_counted_and_is_no_problem_by_itself() {
        let tally = Tally::of("r", &[sent("a", 1)], &[seen("a", 1, None), seen("a", 1, None)]);
        assert_eq!((tally.good, tally.arrivals["a"]), (1, 2));
        assert!(hold(&tally.problems).is_ok());
    }

    #[test]
    fn what_is_lost_changed_unverified_or_unknown_is_told() {
        let all = [sent("lost", 1), sent("changed", 1), sent("bad", 1)];
        let seen = [
            seen("changed", 2, None),
            seen("bad", 1, Some("no")),
            seen("stranger", 1, None),
        ];
        let tally = Tally::of("r", &all, &seen);
        assert_eq!((tally.good, tally.problems.len()), (0, 4));
        let said = hold(&tally.problems).unwrap_err().to_string();
        for word in [
            "lost is lost",
            "changed has other",
            "bad is not verified",
            "stranger was never",
        ] {
            assert!(said.contains(word), "{said}");
        }
    }
}

//! What the output of `cargo test` adds up to.

use std::fmt;

/// The module that holds the contract cases of a store, and the store's name.
const STORES: [(&str, &str); 3] = [
    ("contract_memory", "memory"),
    ("contract_sqlite", "SQLite"),
    ("contract_postgres", "PostgreSQL"),
];

/// Counts over all test programs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Summary {
    passed: usize,
    failed: usize,
    ignored: usize,
    contract: [usize; STORES.len()],
    failures: Vec<String>,
}

impl Summary {
    /// Takes one line of output.
    pub fn line(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += count(result, "passed");
            self.failed += count(result, "failed");
            self.ignored += count(result, "ignored");
        } else if let Some((name, outcome)) = line
            .strip_prefix("test ")
            .and_then(|case| case.split_once(" ... "))
        {
            if outcome.ends_with("FAILED") {
                self.failures.push(name.to_owned());
            }
            if !outcome.starts_with("ignored") {
                self.contract_case(name);
            }
        }
    }

    fn contract_case(&mut self, name: &str) {
        let store = STORES
            .iter()
            .position(|(module, _)| name.split("::").any(|part| part == *module));
        if let Some(store) = store {
            self.contract[store] += 1;
        }
    }

    /// The number of tests that were run.
    pub fn ran(&self) -> usize {
        self.passed + self.failed
    }

    /// The number of failed tests.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// What is wrong if a store ran no contract cases, or not as many as the others.
    pub fn uneven(&self) -> Option<String> {
        let even = self.contract.iter().all(|count| *count == self.contract[0]);
        (!even || self.contract[0] == 0).then(|| {
            format!(
                "every store must run the same contract cases, and some; ran: {}",
                self.stores()
            )
        })
    }

    /// Lines for the end of the run, above the last one.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self
            .failures
            .iter()
            .map(|name| format!("failed: {name}"))
            .collect();
        if self.ignored > 0 {
            notes.push(format!("{} ignored", self.ignored));
        }
        if self.contract.iter().any(|count| *count > 0) {
            notes.push(format!("contract cases: {}", self.stores()));
        }
        notes
    }

    fn stores(&self) -> String {
        let counts = STORES
            .iter()
            .zip(self.contract)
            .map(|((_, store), count)| format!("{store} {count}"));
        counts.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The number before this word in `ok. 5 passed; 0 failed; 1 ignored; ...`.
fn count(result: &str, word: &str) -> usize {
    let mut words = result.split([' ', ';', '.']).filter(|part| !part.is_empty());
    let mut previous = "";
    words
        .find_map(|part| {
            let before = std::mem::replace(&mut previous, part);
            (part == word).then(|| before.parse().ok()).flatten()
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Summary {
        let mut summary = Summary::default();
        text.lines().for_each(|line| summary.line(line));
        summary
    }

    #[test]
    fn results_of_all_programs_add_up() {
        let summary = read(
            "running 2 tests\ntest a ... ok\ntest b::c ... FAILED\n\
             test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.00s\n\
             test result: ok. 4 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.00s\n",
        );
        assert_eq!(summary.to_string(), "5 passed, 1 failed");
        assert_eq!((summary.ran(), summary.failed()), (6, 1));
        assert!(summary.notes().contains(&"failed: b::c".to_owned()));
        assert!(summary.notes().contains(&"2 ignored".to_owned()));
    }

    #[test]
    fn contract_cases_are_counted_by_store_and_ignored_ones_are_not() {
        let summary = read(
            "test contract_memory::publish ... ok\ntest contract_sqlite::publish ... ok\n\
             test store::contract_postgres::publish ... ok\ntest contract_postgres::slow ... ignored, too slow\n\
             test contract_memory_of_something_else ... ok\n",
        );
        assert_eq!(summary.stores(), "memory 1, SQLite 1, PostgreSQL 1");
        assert_eq!(summary.uneven(), None);
    }

    #[test]
    fn a_filter_that_fits_nothing_runs_nothing() {
        let summary = read(
            "test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.00s\n",
        );
        assert_eq!(summary.ran(), 0);
    }

    #[test]
    fn a_store_left_out_is_a_failure() {
        let summary = read("test contract_memory::a ... ok\ntest contract_sqlite::a ... ok\n");
        assert!(summary.uneven().unwrap().contains("PostgreSQL 0"));
        assert!(Summary::default().uneven().is_some());
    }
}

//! Whether what was erased is what was exported, to the row.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::ensure;

/// Which kind of an export's rows lie in which table. A message's payload stands in its line.
const KINDS: [(&str, &str); 15] = [
    ("tenants", "tenant"),
    ("memberships", "member"),
    ("sessions", "session"),
    ("invitations", "invitation"),
    ("api_keys", "api_key"),
    ("applications", "application"),
    ("event_types", "event_type"),
    ("endpoints", "endpoint"),
    ("messages", "message"),
    ("payloads", "message"),
    ("deliveries", "delivery"),
    ("attempts", "attempt"),
    ("outbox_work", "queued"),
    ("outbox_events", "event"),
    ("audit_entries", "audit_entry"),
];

/// Rows that no export shows, or that came after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct More {
    /// In which table.
    pub(super) table: &'static str,
    /// How many.
    pub(super) rows: u64,
    /// Why.
    pub(super) why: &'static str,
}

/// One table's account.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Entry {
    exported: u64,
    more: u64,
    why: Vec<&'static str>,
    erased: u64,
}

/// All tables' accounts.
#[derive(Debug)]
pub(super) struct Account {
    entries: BTreeMap<String, Entry>,
    /// Kinds of an export that belong to no known table.
    strange: Vec<String>,
}

impl Account {
    /// Of an export, of what it does not show, and of what was erased then.
    pub(super) fn of(
        exported: &BTreeMap<String, u64>,
        more: &[More],
        erased: &BTreeMap<String, u64>,
    ) -> Self {
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for (table, kind) in KINDS {
            let rows = exported.get(kind).copied().unwrap_or_default();
            entries.entry(table.to_owned()).or_default().exported = rows;
        }
        for more in more {
            let entry = entries.entry(more.table.to_owned()).or_default();
            entry.more += more.rows;
            entry.why.push(more.why);
        }
        for (table, rows) in erased {
            entries.entry(table.clone()).or_default().erased = *rows;
        }
        let known = |kind: &str| KINDS.iter().any(|(_, known)| *known == kind);
        Self {
            entries,
            strange: exported.keys().filter(|kind| !known(kind)).cloned().collect(),
        }
    }

    /// An error unless every table's account is even.
    pub(super) fn judge(&self) -> anyhow::Result<()> {
        let odd: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.exported + entry.more != entry.erased)
            .map(|(table, entry)| {
                format!(
                    "{table}: {} exported and {} more, {} erased",
                    entry.exported, entry.more, entry.erased
                )
            })
            .collect();
        ensure!(odd.is_empty(), "{}", odd.join("; "));
        ensure!(
            self.strange.is_empty(),
            "exported, and in no table known here: {}",
            self.strange.join(", ")
        );
        Ok(())
    }

    /// How many rows were erased.
    pub(super) fn erased(&self) -> u64 {
        self.entries.values().map(|entry| entry.erased).sum()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "  {:<16} {:>10} {:>8} {:>10}",
            "table", "exported", "more", "erased"
        )?;
        for (table, entry) in &self.entries {
            write!(
                f,
                "\n  {table:<16} {:>10} {:>8} {:>10}   {}",
                entry.exported,
                entry.more,
                entry.erased,
                entry.why.join("; ")
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        pairs
            .iter()
            .map(|(name, rows)| ((*name).to_owned(), *rows))
            .collect()
    }

    fn more(table: &'static str, rows: u64) -> More {
        More {
            table,
            rows,
            why: "told apart",
        }
    }

    #[test]
    fn an_even_account_is_exact() {
        let exported = counts(&[("message", 3), ("event", 2), ("member", 1)]);
        let extra = [more("outbox_events", 1), more("users", 1)];
        let erased = |events| {
            counts(&[
                ("messages", 3),
                ("payloads", 3),
                ("outbox_events", events),
                ("memberships", 1),
                ("users", 1),
            ])
        };
        let account = Account::of(&exported, &extra, &erased(3));
        account.judge().unwrap();
        assert_eq!(account.erased(), 11);
        assert!(account.to_string().contains("told apart"));
        let short = Account::of(&exported, &extra, &erased(2)).judge().unwrap_err();
        assert_eq!(
            short.to_string(),
            "outbox_events: 2 exported and 1 more, 2 erased"
        );
        assert!(Account::of(&exported, &[], &erased(3)).judge().is_err());
    }

    #[test]
    fn what_nobody_accounts_for_is_odd() {
        let none = BTreeMap::new();
        assert!(
            Account::of(&none, &[], &counts(&[("secrets", 1)]))
                .judge()
                .is_err()
        );
        assert!(
            Account::of(&counts(&[("secret", 1)]), &[], &none)
                .judge()
                .is_err()
        );
        assert!(
            Account::of(&none, &[], &counts(&[("messages", 0)]))
                .judge()
                .is_ok()
        );
    }
}

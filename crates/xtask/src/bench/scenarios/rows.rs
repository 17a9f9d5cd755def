//! Rows by SQL, where publishing them one by one would take hours.

use crate::bench::payload::{self, Stamp};
use crate::product::Database;

/// So many rows a statement: seconds, not minutes.
const CHUNK: u64 = 50_000;
/// The ids of what is filled in begin so long ago, in milliseconds.
const AGE_MS: u64 = 3_600_000;
/// How long a payload of what is only stored is; its size does not matter to those who look for another.
const STORED: &str = r#"{"note":"stored long ago"}"#;

/// Rows to be filled in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    /// For which database.
    pub(super) database: Database,
    /// How many messages.
    pub(super) messages: u64,
    /// The wall clock, in milliseconds since 1970.
    pub(super) now_ms: u64,
}

impl Rows {
    /// Messages that wait to be fanned out and are due, with payloads of this run.
    pub(super) fn backlog(self, run: u64) -> Vec<String> {
        let mut payload = payload::blank();
        Stamp {
            run,
            number: 0,
            at: 0,
        }
        .put(&mut payload);
        let payload = String::from_utf8_lossy(&payload).replacen("0000000000", "%", 1);
        // The run's number is short, so the first ten zeros in a row are the message's number.
        let (head, tail) = payload.split_once('%').unwrap_or((&payload, ""));
        let body = self.bytes(&format!("'{head}' || {} || '{tail}'", self.padded("i", 10)));
        let (id, bytes, due) = (self.id(), payload::BYTES, self.now_ms * 1_000 - 60_000_000);
        let mut statements = vec![
            "INSERT INTO messages (id, tenant, app, event_type, channels, content_type, payload_bytes, created_at)
             SELECT @id, e.tenant, e.app, 'bench.sent', '[]', 'application/json', @bytes, @due + i FROM @numbers, e"
                .to_owned(),
            "INSERT INTO payloads (message, tenant, body) SELECT @id, e.tenant, @body FROM @numbers, e".to_owned(),
        ];
        let seq = self.choose("", ", seq");
        let value = self.choose("", ", i");
        statements.push(format!(
            "INSERT INTO outbox_work
                 (id, tenant, app, message, due_at, owner, claim, attempts, failures, payload_bytes{seq})
             SELECT @id, e.tenant, e.app, @id, @due + i, 0, 0, 0, 0, @bytes{value} FROM @numbers, e"
        ));
        let mut all = self.chunks(&statements, &|text| {
            text.replace("@bytes", &bytes.to_string())
                .replace("@due", &due.to_string())
                .replace("@body", &body)
                .replace("@id", &id)
        });
        if self.database == Database::Sqlite {
            all.push("UPDATE outbox_work_seq SET last = (SELECT max(seq) FROM outbox_work)".to_owned());
        }
        all
    }

    /// Messages that were delivered long ago, with their keys.
    pub(super) fn history(self) -> Vec<String> {
        let statements = [
            "INSERT INTO messages (id, tenant, app, event_type, channels, content_type, payload_bytes, created_at)
             SELECT @id, e.tenant, e.app, 'bench.sent', '[]', 'application/json', @bytes, @past + i FROM @numbers, e",
            "INSERT INTO payloads (message, tenant, body) SELECT @id, e.tenant, @body FROM @numbers, e",
            "INSERT INTO deliveries
                 (message, endpoint, tenant, app, status, attempts, failures, updated_at)
             SELECT @id, e.id, e.tenant, e.app, 'delivered', 1, 0, @past + i FROM @numbers, e",
            "INSERT INTO attempts
                 (message, endpoint, n, tenant, started_at, latency_us, http_status, body, body_truncated)
             SELECT @id, e.id, 1, e.tenant, @past + i, 900, 204, @nothing, @false FROM @numbers, e",
            "INSERT INTO dedup (tenant, app, key_hash, body_hash, message, expires_at)
             SELECT e.tenant, e.app, @hash, @hash, @id, @future + i FROM @numbers, e",
        ]
        .map(str::to_owned);
        let body = self.bytes(&format!("'{STORED}'"));
        let nothing = self.bytes("''");
        let past = (self.now_ms - AGE_MS) * 1_000;
        let future = (self.now_ms + 20 * AGE_MS) * 1_000;
        self.chunks(&statements, &|text| {
            text.replace("@bytes", &STORED.len().to_string())
                .replace("@past", &past.to_string())
                .replace("@future", &future.to_string())
                .replace("@nothing", &nothing)
                .replace("@false", self.choose("false", "0"))
                .replace("@hash", self.choose("sha256(int8send(i))", "randomblob(32)"))
                .replace("@body", &body)
                .replace("@id", &self.id())
        })
    }

    /// Each statement for each chunk of numbers `i`, beside the first endpoint as `e`.
    fn chunks(self, statements: &[String], fill: &dyn Fn(&str) -> String) -> Vec<String> {
        let filled: Vec<String> = statements.iter().map(|statement| fill(statement)).collect();
        let mut all = Vec::new();
        let mut first = 0;
        while first < self.messages {
            let last = (first + CHUNK).min(self.messages) - 1;
            let numbers = match self.database {
                Database::Postgres => format!("generate_series({first}::bigint, {last}::bigint) AS i"),
                Database::Sqlite => format!(
                    "(WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})
                      SELECT i FROM n)"
                ),
            };
            let beside =
                format!("{numbers}, (SELECT id, tenant, app FROM endpoints ORDER BY id LIMIT 1) AS e");
            all.extend(
                filled
                    .iter()
                    .map(|statement| statement.replace("@numbers, e", &beside)),
            );
            first = last + 1;
        }
        all
    }

    /// The id of message `i`: a UUIDv7, later for a higher number.
    fn id(self) -> String {
        let (first, messages) = (self.now_ms - AGE_MS, self.messages.max(1));
        let time = format!("{first} + i * {AGE_MS} / {messages}");
        // The low bits of the number, and what looks like chance.
        let (low, rest) = ("i & 4095", "(i * 2654435761) & 1152921504606846975");
        match self.database {
            Database::Postgres => format!(
                "(lpad(to_hex({time}), 12, '0') || '7' || lpad(to_hex({low}), 3, '0') || '8' \
                 || lpad(to_hex({rest}), 15, '0'))::uuid"
            ),
            Database::Sqlite => format!(
                "unhex(printf('%012x', {time}) || '7' || printf('%03x', {low}) || '8' || printf('%015x', {rest}))"
            ),
        }
    }

    fn bytes(self, text: &str) -> String {
        match self.database {
            Database::Postgres => format!("convert_to({text}, 'UTF8')"),
            Database::Sqlite => format!("CAST({text} AS BLOB)"),
        }
    }

    fn padded(self, number: &str, digits: usize) -> String {
        match self.database {
            Database::Postgres => format!("lpad({number}::text, {digits}, '0')"),
            Database::Sqlite => format!("printf('%0{digits}d', {number})"),
        }
    }

    fn choose<'t>(self, postgres: &'t str, sqlite: &'t str) -> &'t str {
        match self.database {
            Database::Postgres => postgres,
            Database::Sqlite => sqlite,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_chunks_without_gaps() {
        let rows = Rows {
            database: Database::Postgres,
            messages: CHUNK + 7,
            now_ms: 1_800_000_000_000,
        };
        let statements = rows.backlog(12);
        assert_eq!(statements.len(), 6);
        assert!(statements[0].contains("generate_series(0::bigint, 49999::bigint)"));
        assert!(statements[5].contains("generate_series(50000::bigint, 50006::bigint)"));
        assert!(statements[1].contains(r#"{"run":"0012","number":"' || lpad(i::text, 10, '0') || '","at":"#));
        assert!(
            statements
                .iter()
                .chain(&rows.history())
                .all(|sql| !sql.contains('@'))
        );
        let rows = Rows {
            database: Database::Sqlite,
            ..rows
        };
        assert!(
            rows.backlog(12)
                .iter()
                .chain(&rows.history())
                .all(|sql| !sql.contains('@'))
        );
    }
}

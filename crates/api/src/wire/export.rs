//! An export as JSON Lines: a head, one line a row, and an end that counts them, so that one which was cut off is
//! seen.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

use bytes::Bytes;
use postrider_application::ports::ExportRow;
use postrider_domain::{TenantId, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

use super::time;

/// The media type.
pub(crate) const MEDIA_TYPE: &str = "application/jsonl";

/// The version of the lines' form.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Head<'a> {
    kind: &'static str,
    format: u32,
    tenant: &'a str,
    at: &'a str,
}

#[derive(Serialize)]
struct Row<'a> {
    kind: &'static str,
    data: &'a RawValue,
}

#[derive(Serialize)]
struct End<'a> {
    kind: &'static str,
    rows: &'a BTreeMap<&'static str, u64>,
}

/// Writes the lines of one export.
#[derive(Debug, Default)]
pub(crate) struct ExportLines {
    rows: BTreeMap<&'static str, u64>,
}

impl ExportLines {
    /// The first line.
    pub(crate) fn head(tenant: TenantId, at: Timestamp) -> io::Result<Bytes> {
        let mut lines = Vec::new();
        line(
            &mut lines,
            &Head {
                kind: "export",
                format: FORMAT,
                tenant: &tenant.to_string(),
                at: &time::show(at),
            },
        )?;
        Ok(lines.into())
    }

    /// A line each; counted. Fails if a row is not JSON of one line.
    pub(crate) fn rows(&mut self, rows: &[ExportRow]) -> io::Result<Bytes> {
        let mut lines = Vec::with_capacity(rows.iter().map(|row| row.json.len() + 64).sum());
        for row in rows {
            if row.json.contains(['\n', '\r']) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a row of several lines",
                ));
            }
            let data: &RawValue = serde_json::from_str(&row.json)?;
            line(&mut lines, &Row { kind: row.kind, data })?;
            *self.rows.entry(row.kind).or_default() += 1;
        }
        Ok(lines.into())
    }

    /// The last line.
    pub(crate) fn end(&self) -> io::Result<Bytes> {
        let mut lines = Vec::new();
        line(
            &mut lines,
            &End {
                kind: "end",
                rows: &self.rows,
            },
        )?;
        Ok(lines.into())
    }
}

fn line(lines: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *lines, value)?;
    lines.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: &'static str, json: &str) -> ExportRow {
        ExportRow {
            kind,
            json: json.to_owned(),
        }
    }

    #[test]
    fn a_row_is_a_line_and_the_end_counts_them() {
        let mut export = ExportLines::default();
        let rows = [
            row("endpoint", r#"{"id":"ep_1"}"#),
            row("message", r#"{"a":"\n"}"#),
            row("message", "{}"),
        ];
        let lines = export.rows(&rows).unwrap();
        assert_eq!(
            lines,
            "{\"kind\":\"endpoint\",\"data\":{\"id\":\"ep_1\"}}\n\
             {\"kind\":\"message\",\"data\":{\"a\":\"\\n\"}}\n\
             {\"kind\":\"message\",\"data\":{}}\n"
        );
        assert_eq!(
            export.end().unwrap(),
            "{\"kind\":\"end\",\"rows\":{\"endpoint\":1,\"message\":2}}\n"
        );
    }

    #[test]
    fn what_is_no_json_of_one_line_is_no_row() {
        for json in ["{\"a\":", "{\n}", "{\r}", "{} {}"] {
            assert!(
                ExportLines::default().rows(&[row("message", json)]).is_err(),
                "{json}"
            );
        }
    }
}

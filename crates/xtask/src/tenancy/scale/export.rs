//! An export, read line by line as it comes: counted, searched for secrets, never held.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::memory::{Resident, Watch};
use crate::http::Client;
use crate::interrupt;
use crate::tenancy::site::Node;

/// Between two pieces.
const SILENCE_LIMIT: Duration = Duration::from_mins(1);
/// Far above one row with the largest payload that is taken, as base64.
const MAX_LINE_BYTES: usize = 32 << 20;

/// What must not be in an export.
#[derive(Debug, Clone)]
pub(super) struct Needle {
    /// What it is.
    pub(super) what: String,
    /// Its text.
    pub(super) text: String,
}

impl Needle {
    /// This text.
    pub(super) fn of(what: &str, text: &str) -> Self {
        Self {
            what: what.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The secret part of a token: the id that may stand before it is no secret.
    pub(super) fn secret_of(what: &str, token: &str) -> Self {
        Self::of(what, token.rsplit('_').next().unwrap_or(token))
    }
}

/// What an export held.
#[derive(Debug, Default)]
pub(super) struct Export {
    /// Lines of each kind.
    pub(super) rows: BTreeMap<String, u64>,
    /// All lines in bytes.
    pub(super) bytes: u64,
    /// From the request to the last byte.
    pub(super) took: Duration,
    /// Until the first byte.
    pub(super) first: Duration,
    /// The node's memory.
    pub(super) memory: Option<Resident>,
    /// The rows themselves, by kind, if they were to be kept.
    pub(super) kept: BTreeMap<String, BTreeSet<String>>,
}

impl Export {
    /// How many rows of this kind.
    pub(super) fn of(&self, kind: &str) -> u64 {
        self.rows.get(kind).copied().unwrap_or_default()
    }
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Order<'a> {
    /// Whose.
    pub(super) tenant: &'a str,
    /// The owner's access token.
    pub(super) token: &'a str,
    /// What must not be in it.
    pub(super) needles: &'a [Needle],
    /// Whether the rows are kept: only of a small tenant.
    pub(super) keep: bool,
}

impl Order<'_> {
    /// Takes the export from that node, and checks it.
    pub(super) fn take(&self, node: &Node) -> anyhow::Result<Export> {
        let process = node.id().context("the node does not run")?;
        let client = Client::new(node.address, SILENCE_LIMIT);
        let authorization = format!("Bearer {}", self.token);
        let headers = [("authorization", authorization.as_str())];
        let watch = Watch::begin(process);
        let began = Instant::now();
        let mut first = None;
        let mut reader = Reader::new(self);
        let answer = client.pour("/v1/tenant/export", &headers, |piece| {
            first.get_or_insert_with(|| began.elapsed());
            interrupt::check()?;
            reader.piece(piece)
        });
        let memory = watch.end();
        let answer = answer.with_context(|| format!("the export broke off: {}", reader.beginning()))?;
        ensure!(
            answer.status == 200,
            "the export was answered {}: {}",
            answer.status,
            reader.beginning()
        );
        Ok(Export {
            took: began.elapsed(),
            first: first.unwrap_or_default(),
            memory,
            ..reader.finish()?
        })
    }
}

/// What every line has; the rest is not looked at.
#[derive(Deserialize)]
struct Line {
    kind: String,
    tenant: Option<String>,
    rows: Option<BTreeMap<String, u64>>,
}

#[derive(Debug)]
struct Reader<'a> {
    order: &'a Order<'a>,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
    export: Export,
    head: bool,
    end: Option<BTreeMap<String, u64>>,
}

impl<'a> Reader<'a> {
    fn new(order: &'a Order<'a>) -> Self {
        Self {
            order,
            rest: Vec::new(),
            export: Export::default(),
            head: false,
            end: None,
        }
    }

    /// What an error answer says, or the last line so far.
    fn beginning(&self) -> String {
        String::from_utf8_lossy(&self.rest[..self.rest.len().min(500)]).into_owned()
    }

    fn piece(&mut self, mut piece: &[u8]) -> anyhow::Result<()> {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, after) = piece.split_at(end + 1);
            piece = after;
            if self.rest.is_empty() {
                self.line(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                self.line(&whole)?;
                // Its room is used again.
                whole.clear();
                self.rest = whole;
            }
        }
        ensure!(
            self.rest.len() + piece.len() <= MAX_LINE_BYTES,
            "a line of more than {MAX_LINE_BYTES} bytes"
        );
        self.rest.extend_from_slice(piece);
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        self.export.bytes += u64::try_from(line.len())?;
        let text = std::str::from_utf8(line)
            .context("a line is not text")?
            .trim_end();
        let parsed: Line = serde_json::from_str(text).with_context(|| {
            format!(
                "not a line of an export: {}",
                &text[..text.floor_char_boundary(200)]
            )
        })?;
        for needle in self.order.needles {
            ensure!(
                !text.contains(&needle.text),
                "{} stands in a line of kind {}",
                needle.what,
                parsed.kind
            );
        }
        ensure!(self.end.is_none(), "a line after the last");
        match (parsed.kind.as_str(), self.head) {
            ("export", false) => {
                ensure!(
                    parsed.tenant.as_deref() == Some(self.order.tenant),
                    "the export is of {:?}",
                    parsed.tenant
                );
                self.head = true;
            }
            (_, false) => bail!("the export has no head"),
            ("end", true) => self.end = Some(parsed.rows.context("the last line does not count")?),
            (_, true) => self.row(parsed.kind, text)?,
        }
        Ok(())
    }

    fn row(&mut self, kind: String, text: &str) -> anyhow::Result<()> {
        if self.order.keep {
            let mut line: Value = serde_json::from_str(text)?;
            // Written lazily: it may change by itself.
            if let Some(data) = line["data"].as_object_mut() {
                data.remove("last_used_at");
            }
            let new = self
                .export
                .kept
                .entry(kind.clone())
                .or_default()
                .insert(line.to_string());
            ensure!(new, "a row of kind {kind} comes twice");
        }
        *self.export.rows.entry(kind).or_default() += 1;
        Ok(())
    }

    fn finish(self) -> anyhow::Result<Export> {
        ensure!(self.rest.is_empty(), "the last line has no end");
        let counted = self.end.context("the export has no last line: it was cut off")?;
        ensure!(
            counted == self.export.rows,
            "the last line counts {counted:?}, there are {:?}",
            self.export.rows
        );
        Ok(self.export)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "{\"kind\":\"export\",\"format\":1,\"tenant\":\"ten_1\",\"at\":\"now\"}\n";
    const ROWS: &str = "{\"kind\":\"api_key\",\"data\":{\"id\":\"key_1\",\"last_used_at\":7}}\n\
        {\"kind\":\"message\",\"data\":{\"id\":\"msg_1\"}}\n{\"kind\":\"message\",\"data\":{\"id\":\"msg_2\"}}\n";
    const END: &str = "{\"kind\":\"end\",\"rows\":{\"api_key\":1,\"message\":2}}\n";

    fn read(text: &str, pieces_of: usize) -> anyhow::Result<Export> {
        let needles = [
            Needle::of("a password", "hunter2"),
            Needle::secret_of("a key", "prk_1_s3cr3t"),
        ];
        let order = Order {
            tenant: "ten_1",
            token: "",
            needles: &needles,
            keep: true,
        };
        let mut reader = Reader::new(&order);
        for piece in text.as_bytes().chunks(pieces_of) {
            reader.piece(piece)?;
        }
        reader.finish()
    }

    #[test]
    fn lines_are_counted_however_they_come() {
        let text = format!("{HEAD}{ROWS}{END}");
        for pieces_of in [1, 7, 100, 10_000] {
            let export = read(&text, pieces_of).unwrap();
            assert_eq!(
                (export.of("message"), export.of("api_key"), export.of("x")),
                (2, 1, 0)
            );
            assert_eq!(export.bytes, text.len() as u64);
            assert_eq!(
                export.kept["api_key"].first().unwrap(),
                r#"{"kind":"api_key","data":{"id":"key_1"}}"#
            );
        }
    }

    #[test]
    fn what_is_cut_miscounted_or_of_another_tenant_is_an_error() {
        for bad in [
            format!("{HEAD}{ROWS}"),
            format!("{HEAD}{ROWS}{}", &END[..END.len() - 1]),
            format!("{ROWS}{END}"),
            format!("{HEAD}{END}"),
            format!("{HEAD}{ROWS}{END}{END}"),
            format!("{}{ROWS}{END}", HEAD.replace("ten_1", "ten_2")),
            format!("{HEAD}{ROWS}{}", END.replace('2', "3")),
        ] {
            assert!(read(&bad, 64).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_found() {
        for secret in ["hunter2", "s3cr3t"] {
            let text = format!("{HEAD}{}{END}", ROWS.replace("msg_2", secret));
            let error = read(&text, 64).unwrap_err().to_string();
            assert!(
                error.contains("kind message") && !error.contains(secret),
                "{error}"
            );
        }
        assert!(read(&format!("{HEAD}{}{END}", ROWS.replace("key_1", "prk_1")), 64).is_ok());
    }
}

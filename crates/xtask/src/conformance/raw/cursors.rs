//! A cursor that was tampered with, at each of its bytes.

use anyhow::ensure;

use super::case::{Case, INVALID, Pen};
use crate::conformance::ground::{self, Ground};
use crate::tenancy::client::text;

/// What stands in the place of a byte.
const OTHERS: [char; 3] = ['A', '_', '%'];

/// Each byte changed, the end cut off, and a cursor of another list.
pub(super) fn cases(ground: &Ground, pen: &Pen) -> anyhow::Result<Vec<Case>> {
    let mut client = ground.client(0);
    ground::application(&mut client, "Another")?;
    let list = "/v1/applications?limit=1";
    let cursor = text(&client.get(list)?, "next")?;
    ensure!(cursor.is_ascii(), "a cursor that is no ASCII: {cursor}");
    client.get(&format!("{list}&cursor={cursor}"))?;
    let get = |path: &str, cursor: &str| pen.get(&format!("{path}cursor={cursor}"));
    let mut cases = Vec::new();
    for (at, byte) in cursor.char_indices() {
        for other in OTHERS.into_iter().filter(|other| *other != byte) {
            let written = if other == '%' {
                "%00".to_owned()
            } else {
                other.to_string()
            };
            let changed = format!("{}{written}{}", &cursor[..at], &cursor[at + 1..]);
            let name = format!("a cursor with {written} as its byte {at}");
            cases.push(Case::new(
                name,
                INVALID,
                get("/v1/applications?limit=1&", &changed),
            ));
        }
        let name = format!("a cursor cut off at {at}");
        cases.push(Case::new(
            name,
            INVALID,
            get("/v1/applications?limit=1&", &cursor[..at]),
        ));
    }
    let other = "a cursor of another list";
    cases.push(Case::new(
        other,
        INVALID,
        get("/v1/event-types?limit=1&", &cursor),
    ));
    let twice = format!("{cursor}&cursor={cursor}");
    cases.push(Case::new(
        "a cursor twice",
        REFUSED,
        get("/v1/applications?limit=1&", &twice),
    ));
    Ok(cases)
}

const REFUSED: &[(u16, &str)] = &[(400, "malformed_request"), (422, "validation_failed")];

//! Who may do what: every operation of the document, really asked by everybody, as a table to be reviewed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use actix_web::http::Method;

use crate::support::{Answer, Api, Operation, PORTAL, Scene, Who, operations};

/// How a problem stands in the table: its status, and a letter where several problems have the same.
fn short(answer: &Answer, legend: &mut BTreeMap<String, String>) -> Result<String, String> {
    if answer.status.is_success() {
        return Ok(answer.status.as_u16().to_string());
    }
    let code = answer.text("code");
    let letter = match code.as_str() {
        "tenant_suspended" => "s",
        "invalid_token" => "t",
        "forbidden" | "unauthenticated" | "not_found" => "",
        _ => return Err(code),
    };
    let cell = format!("{}{letter}", answer.status.as_u16());
    legend.insert(cell.clone(), code);
    Ok(cell)
}

/// Tenants, one after the other: whatever an operation changed is never seen by the next.
struct Stage {
    api: Api,
    scene: Scene,
    /// The same, suspended.
    suspended: Scene,
    scenes: u32,
}

impl Stage {
    async fn open() -> Self {
        let api = Api::start().await;
        let scene = Scene::set(&api, "tenant-1").await;
        let suspended = Scene::set(&api, "tenant-2").await;
        Self {
            api,
            scene,
            suspended,
            scenes: 2,
        }
    }

    async fn ask(&mut self, operation: &Operation, who: Who) -> Answer {
        let scene = match who {
            Who::Suspended => &mut self.suspended,
            _ => &mut self.scene,
        };
        let token = scene.credential(&self.api, who).await;
        let (path, body) = (operation.filled(&scene.segments), scene.body(operation));
        let method = operation.method.clone();
        let answer = self.api.call(&token, method, &path, body.as_ref()).await;
        // What was refused changed nothing, and reading changes nothing.
        if answer.status.is_success() && operation.method != Method::GET {
            self.scenes += 1;
            *scene = Scene::set(&self.api, &format!("tenant-{}", self.scenes)).await;
        }
        answer
    }
}

#[actix_web::test]
async fn who_may_do_what() {
    let mut stage = Stage::open().await;
    let (everybody, mut legend) = (Who::everybody(), BTreeMap::new());
    let mut rows = vec![heads(&everybody)];
    for operation in operations() {
        let mut row = vec![
            format!("{} {}", operation.method, operation.path),
            operation.demands.clone(),
        ];
        for (who, _) in &everybody {
            let answer = stage.ask(&operation, *who).await;
            row.push(short(&answer, &mut legend).unwrap_or_else(|code| {
                let fault = "the scene is not fit for the operation, or the table needs a word for it";
                panic!("{} by {who:?}: {code}: {fault}", row[0])
            }));
        }
        assert!(
            row.iter().any(|cell| cell.starts_with('2')),
            "{} was done by nobody: is its example good?",
            row[0]
        );
        rows.push(row);
    }
    insta::assert_snapshot!(format!("{}\n{}", explained(&legend), aligned(&rows)));
    every_use_case_was_asked(&stage.api);
}

fn heads(everybody: &[(Who, String)]) -> Vec<String> {
    let names = everybody.iter().map(|(_, name)| name.clone());
    ["operation".to_owned(), "needs".to_owned()]
        .into_iter()
        .chain(names)
        .collect()
}

/// A use case that no operation reaches could be forgotten by this table.
fn every_use_case_was_asked(api: &Api) {
    let command_line_only = ["password_reset.issue", "signing_key.rotate", "master_key.rotate"];
    let asked: BTreeSet<_> = api.metrics.records().iter().map(|(name, ..)| *name).collect();
    for name in postrider_application::REQUEST_NAMES {
        assert!(asked.contains(name) || command_line_only.contains(name), "{name}");
    }
}

fn explained(legend: &BTreeMap<String, String>) -> String {
    let mut text = format!(
        "owner … publisher: people with that role on the tenant; app.…: on the one application that is asked about;\n\
         key: an API key (publisher); portal: a portal token ({});\n\
         stranger: the owner of another tenant, who asks about the first where the path names something of it, and\n\
         about their own where it does not; suspended: the owner, after the tenant was suspended.\n\n",
        PORTAL.join(", ")
    );
    for (cell, code) in legend {
        writeln!(text, "{cell:5}{code}").unwrap();
    }
    text
}

fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap();
    let widths: Vec<_> = (0..rows[0].len()).map(width).collect();
    let mut table = String::new();
    for row in rows {
        let cells: Vec<_> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(table, "{}", cells.join("  ").trim_end()).unwrap();
    }
    table
}

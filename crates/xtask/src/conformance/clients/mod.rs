//! Clients that stock generators make from the document: TypeScript (type-checked) and Python.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::ground::Ground;
use super::recorder::Recorder;
use super::stage::Stage;
use super::tools;
use crate::http::Client;
use crate::process;
use crate::product::Database;

const TYPESCRIPT: [&str; 4] = [
    "openapi-typescript@7.13.0",
    "openapi-fetch@0.17.0",
    "typescript@5.9.3",
    "@types/node@20.19.0",
];
const PYTHON: [&str; 1] = ["openapi-python-client==0.29.1"];
const CLIENT_TS: &str = include_str!("client.ts");
const CLIENT_PY: &str = include_str!("client.py");
const LIMIT: Duration = Duration::from_mins(3);

/// Runs on each database.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    let packages = tools::npm("clients", &TYPESCRIPT)?;
    let programs = tools::python("clients", &PYTHON)?;
    stage.each(&[], |database, ground| {
        let folder = tempfile::Builder::new().prefix("postrider-clients-").tempdir()?;
        let document = document(ground, folder.path())?;
        let began = Instant::now();
        let mut command = typescript(&packages, folder.path(), &document).context("TypeScript")?;
        tell(database, "TypeScript", began, ground, &mut command).context("TypeScript")?;
        let began = Instant::now();
        let mut command = python(&programs, folder.path(), &document).context("Python")?;
        tell(database, "Python", began, ground, &mut command).context("Python")
    })
}

/// As the running binary serves it.
fn document(ground: &Ground, folder: &Path) -> anyhow::Result<PathBuf> {
    let answer = Client::new(ground.nodes[0].address, LIMIT).get("/openapi.json", &[])?;
    ensure!(answer.status == 200, "GET /openapi.json: {}", answer.status);
    let path = folder.join("openapi.json");
    std::fs::write(&path, answer.body)?;
    Ok(path)
}

/// Types from the document, compiled together with what uses them; the command that runs it.
fn typescript(packages: &Path, folder: &Path, document: &Path) -> anyhow::Result<Command> {
    let folder = folder.join("typescript");
    std::fs::create_dir(&folder)?;
    std::os::unix::fs::symlink(packages.join("node_modules"), folder.join("node_modules"))?;
    std::fs::write(folder.join("package.json"), r#"{ "type": "module" }"#)?;
    std::fs::write(folder.join("client.ts"), CLIENT_TS)?;
    let mut generate = tools::npm_program(packages, "openapi-typescript");
    generate
        .arg(document)
        .args(["--output", "schema.ts"])
        .current_dir(&folder);
    process::capture(&mut generate, LIMIT)?;
    let mut compile = tools::npm_program(packages, "tsc");
    compile
        .args(["--strict", "--target", "es2022", "--module", "nodenext"])
        .args(["--types", "node", "--skipLibCheck", "client.ts"])
        .current_dir(&folder);
    process::capture(&mut compile, LIMIT)?;
    let mut command = Command::new("node");
    command.arg("client.js").current_dir(folder);
    Ok(command)
}

/// A package from the document, beside what uses it; the command that runs it.
fn python(programs: &Path, folder: &Path, document: &Path) -> anyhow::Result<Command> {
    let folder = folder.join("python");
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("client.py"), CLIENT_PY)?;
    // Its own formatting is not wanted, nor a program for it.
    let config = folder.join("config.yaml");
    std::fs::write(&config, "post_hooks: []\n")?;
    let mut generate = Command::new(programs.join("openapi-python-client"));
    generate
        .args(["generate", "--meta", "none", "--output-path", "postrider_client"])
        .arg("--path")
        .arg(document)
        .arg("--config")
        .arg(config)
        .current_dir(&folder);
    let said = process::capture(&mut generate, LIMIT)?;
    for warning in said.lines().filter(|line| line.starts_with("WARNING")) {
        println!("  openapi-python-client: {warning}");
    }
    let mut command = Command::new(programs.join("python"));
    command.arg("client.py").current_dir(folder);
    Ok(command)
}

/// Runs a client, and looks that the receiver saw what the client says.
fn tell(
    database: Database,
    language: &str,
    began: Instant,
    ground: &Ground,
    command: &mut Command,
) -> anyhow::Result<()> {
    let recorder = Recorder::start(Duration::ZERO)?;
    let generated = began.elapsed();
    command
        .env("BASE_URL", ground.url())
        .env("API_KEY", &ground.key.token)
        .env("RECEIVER_URL", recorder.url("/client"));
    let said = process::capture(command, LIMIT)?;
    let saw: Value = serde_json::from_str(&process::tail(&said, 1)).with_context(|| said.clone())?;
    ensure!(
        saw["attempts"] == 1 && saw["status"] == 204,
        "the client read back {saw}"
    );
    let arrived: Vec<String> = recorder
        .since(0)
        .iter()
        .map(|record| record.id().to_owned())
        .collect();
    ensure!(
        saw["message"] == arrived.join(" ").as_str(),
        "the client published {}, and {arrived:?} arrived",
        saw["message"]
    );
    println!(
        "{}: {language}: generated in {:.1} s; application, endpoint, message {} and its attempt (204)",
        database.name(),
        generated.as_secs_f64(),
        arrived.join(" ")
    );
    Ok(())
}

//! The OTLP back end that judges: a small program around a crate that is not ours, built in the cache folder.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::conformance::tools;
use crate::http::Client;
use crate::postgres::{Account, free_port};
use crate::process::{self, Group};
use crate::watchdog::Watchdog;
use crate::{cache, cargo, interrupt};

const BUILD_LIMIT: Duration = Duration::from_mins(30);
const START_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
/// Pinned here; what they depend on is not.
const PROTOC: &str = "grpcio-tools==1.85.1";
const FOLDER: &str = "otlp-embedded-0.0.2";
const MAIN: &str = include_str!("back_end.rs.txt");
const MANIFEST: &str = r#"[package]
name = "otlp-back-end"
version = "0.0.0"
edition = "2024"
publish = false

[workspace]

[dependencies]
axum = "0.8"
otlp-embedded = "=0.0.2"
tokio = { version = "1", features = ["macros", "net", "rt"] }
tonic = "0.14"
"#;

/// A running back end. Dropping it ends it.
pub(super) struct BackEnd {
    ui: SocketAddr,
    otlp: SocketAddr,
    _process: Group,
    _watchdog: Watchdog,
    _folder: tempfile::TempDir,
}

impl BackEnd {
    /// Builds it if it is not there, and starts it on free ports.
    pub(super) fn start() -> anyhow::Result<Self> {
        let program = program()?;
        let port = || Ok::<_, anyhow::Error>(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)));
        let (ui, otlp) = (port()?, port()?);
        let folder = tempfile::Builder::new().prefix("postrider-traces-").tempdir()?;
        let mut command = std::process::Command::new(program);
        command
            .args([ui.to_string(), otlp.to_string()])
            .current_dir(folder.path());
        let mut process = Group::spawn(&mut command)?;
        let pid_file = folder.path().join("back-end.pid");
        fs::write(&pid_file, format!("{}\n", process.id()))?;
        let watchdog = Watchdog::over_process(&pid_file, Path::new(""))?;
        let deadline = Instant::now() + START_LIMIT;
        for address in [ui, otlp] {
            while TcpStream::connect_timeout(&address, POLL).is_err() {
                interrupt::check()?;
                ensure!(process.poll()?.is_none(), "the OTLP back end has ended");
                ensure!(Instant::now() < deadline, "the OTLP back end does not listen");
                thread::sleep(POLL);
            }
        }
        Ok(Self {
            ui,
            otlp,
            _process: process,
            _watchdog: watchdog,
            _folder: folder,
        })
    }

    /// Where spans go, by gRPC.
    pub(super) fn endpoint(&self) -> String {
        format!("http://{}", self.otlp)
    }

    /// The traces of a service, as Jaeger's API has them: those whose first span is here, so not those that a caller
    /// began.
    pub(super) fn traces(&self, service: &str) -> anyhow::Result<Vec<Value>> {
        self.list(&format!("/api/traces?service={service}&limit=1000"))
    }

    /// The trace of this id, whoever began it, as a list of one or none.
    pub(super) fn trace(&self, id: &str) -> anyhow::Result<Vec<Value>> {
        self.list(&format!("/api/traces/{id}"))
    }

    fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let answer = Client::new(self.ui, START_LIMIT).get(path, &[])?;
        if answer.status == 404 {
            return Ok(Vec::new());
        }
        ensure!(answer.status == 200, "GET {path}: {}", answer.status);
        match answer.json()?["data"].take() {
            Value::Array(traces) => Ok(traces),
            Value::Null => Ok(Vec::new()),
            other => anyhow::bail!("GET {path}: no list of traces but {other}"),
        }
    }
}

/// The program, built once in a folder of the cache.
fn program() -> anyhow::Result<PathBuf> {
    let folder = cache::folder("programs", Account::Ourselves)?.join(FOLDER);
    let target = folder.join("target");
    let program = target.join("debug/otlp-back-end");
    fs::create_dir_all(folder.join("src"))?;
    let fresh = keep(&folder.join("Cargo.toml"), MANIFEST)? & keep(&folder.join("src/main.rs"), MAIN)?;
    if fresh && program.is_file() {
        return Ok(program);
    }
    // Of another manifest: it must not be taken for this one's if this one does not build.
    if program.is_file() {
        fs::remove_file(&program)?;
    }
    println!("  building the OTLP back end, once");
    let mut build = cargo::command();
    build
        .args(["build", "--quiet"])
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", &target)
        .env("PROTOC", protoc()?);
    process::capture(&mut build, BUILD_LIMIT).context("the OTLP back end does not build")?;
    Ok(program)
}

/// Writes a file if it says something else; whether it had said so already.
fn keep(path: &Path, text: &str) -> anyhow::Result<bool> {
    let known = fs::read_to_string(path).is_ok_and(|known| known == text);
    if !known {
        fs::write(path, text)?;
    }
    Ok(known)
}

/// The compiler of protocol buffers that its build needs: Python's package of it, behind a script.
fn protoc() -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let programs = tools::python("protoc", &[PROTOC])?;
    let script = programs.join("protoc");
    let python = programs.join("python");
    let text = format!(
        "#!/bin/sh\nexec '{}' -m grpc_tools.protoc \"$@\"\n",
        python.display()
    );
    keep(&script, &text)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

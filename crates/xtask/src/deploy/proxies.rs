//! The proxies' configurations, by the proxies.

use std::fmt::Write as _;
use std::process::Command;

use super::Options;
use super::ground::{Ground, LIMIT};
use super::programs::Program;
use super::table::Verdict;
use crate::process;

const HAPROXY: &str = "deploy/haproxy/haproxy.cfg";
const NGINX: &str = "deploy/nginx/postrider.conf";
const CERTIFICATE: &str = "/etc/nginx/tls/postrider.pem";
const KEY: &str = "/etc/nginx/tls/postrider.key";

/// haproxy reads it without a warning. The nodes' names mean something in the compose stack only.
pub(super) fn haproxy(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let haproxy = Program::get("haproxy", "haproxy")?;
    let file = ground.folder().join("haproxy.cfg");
    let text = ground
        .text(HAPROXY)?
        .replace("postrider-a:", "127.0.0.1:")
        .replace("postrider-b:", "127.0.0.1:");
    std::fs::write(&file, text)?;
    let mut command = haproxy.command();
    command.args(["-c", "-f"]).arg(&file);
    let said = process::capture(&mut command, LIMIT)?;
    let findings = said
        .lines()
        .filter(|line| line.contains("[WARNING]") || line.contains("[ALERT]"))
        .map(str::to_owned)
        .collect();
    Ok(Verdict::of(
        findings,
        format!("haproxy {}", haproxy.version("-v")),
    ))
}

/// nginx reads it, with a certificate that is made for it.
pub(super) fn nginx(ground: &Ground, _: &Options) -> anyhow::Result<Verdict> {
    let nginx = Program::get("nginx", "nginx-light")?;
    let place = |name: &str| ground.folder().join(name);
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=postrider",
    ]);
    openssl
        .arg("-keyout")
        .arg(place("key"))
        .arg("-out")
        .arg(place("certificate"));
    process::capture(&mut openssl, LIMIT)?;
    let text = ground
        .text(NGINX)?
        .replace(CERTIFICATE, &place("certificate").display().to_string())
        .replace(KEY, &place("key").display().to_string());
    std::fs::write(place("site.conf"), text)?;
    // Folders of its own: those of the machine are there only where nginx is installed.
    let mut folders = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(folders, "    {kind}_temp_path {};", place(kind).display())?;
    }
    let whole = format!(
        "pid {};\nevents {{}}\nhttp {{\n    access_log off;\n{folders}    include {};\n}}\n",
        place("nginx.pid").display(),
        place("site.conf").display()
    );
    std::fs::write(place("nginx.conf"), whole)?;
    let mut command = nginx.command();
    command
        .arg("-t")
        .arg("-p")
        .arg(ground.folder())
        .arg("-e")
        .arg(place("nginx.log"))
        .arg("-c")
        .arg(place("nginx.conf"));
    let said = process::capture(&mut command, LIMIT)?;
    let findings = said
        .lines()
        .filter(|line| line.contains("[warn]"))
        .map(str::to_owned)
        .collect();
    Ok(Verdict::of(findings, format!("nginx {}", nginx.version("-v"))))
}

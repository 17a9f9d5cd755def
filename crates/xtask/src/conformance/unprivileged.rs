//! As whom we are and, if that is root, as `nobody`: `postrider dev --once`, and a server that may write its data directory
//! and nothing else.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::http::Client;
use crate::postgres::{Account, free_port};
use crate::process;
use crate::product::{Binary, Complaints, without_own_settings};
use crate::server::{Launch, Server};

const LIMIT: Duration = Duration::from_mins(3);
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// In a mount namespace of its own makes everything read-only but the folder `$1`, makes sure of that, and becomes the
/// account `$2`:`$3` without any rights.
const CONFINED: &str = r#"
set -e
data=$1 uid=$2 gid=$3; shift 3
mount --make-rprivate /
mount --bind "$data" "$data"
mount -o remount,bind,ro /
awk '{print $2}' /proc/mounts | sort -u | while read -r point; do
  case "$point" in "$data"|/|/proc*|/sys*) ;; *) mount -o remount,bind,ro "$point" 2>/dev/null || true ;; esac
done
for folder in / /tmp /var/tmp /dev/shm "$PWD"; do
  if ( : > "$folder/.postrider-probe" ) 2>/dev/null; then echo "$folder can be written" >&2; exit 97; fi
done
exec setpriv --reuid "$uid" --regid "$gid" --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs "$@"
"#;

/// Runs it in a folder of the account's own, and looks that nothing is left there.
pub(super) fn run(binary: &Binary) -> anyhow::Result<()> {
    let root = rustix::process::geteuid().is_root();
    let mut accounts = vec![(if root { "root" } else { "ourselves" }, Account::Ourselves)];
    if root {
        accounts.push(("nobody", Account::nobody()));
    } else {
        println!("not root: tried as ourselves only, and what may be written is not confined");
    }
    for (name, account) in accounts {
        once(binary, account)
            .map(|(seconds, said)| println!("as {name}: exit 0 in {seconds:.1} s: {said}"))
            .with_context(|| format!("as {name}"))?;
    }
    let (name, account) = if root {
        ("nobody", Account::nobody())
    } else {
        ("ourselves", Account::Ourselves)
    };
    served(binary, account).with_context(|| format!("serving as {name}"))
}

/// The build folder may be closed to others, the copy is not.
fn copy(binary: &Binary, shelf: &Path) -> anyhow::Result<PathBuf> {
    let copy = shelf.join("postrider");
    std::fs::copy(binary.path(), &copy).context("could not copy the binary")?;
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755))?;
    Ok(copy)
}

fn once(binary: &Binary, account: Account) -> anyhow::Result<(f64, String)> {
    let home = account.temporary_folder("postrider-once-")?;
    // Outside of `home`, which must end up empty.
    let shelf = account.temporary_folder("postrider-binary-")?;
    let mut command = Command::new(copy(binary, shelf.path())?);
    without_own_settings(&mut command)
        .args(["dev", "--once"])
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("TMPDIR", home.path());
    account.apply(&mut command);
    let began = Instant::now();
    let said = process::capture(&mut command, LIMIT)?;
    let left: Vec<_> = std::fs::read_dir(home.path())?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    ensure!(left.is_empty(), "it left {left:?} behind");
    Ok((began.elapsed().as_secs_f64(), process::tail(&said, 1)))
}

/// Serves with one folder that may be written, is asked for its health and examined, and ends in order.
fn served(binary: &Binary, account: Account) -> anyhow::Result<()> {
    let data = account.temporary_folder("postrider-data-")?;
    let shelf = account.temporary_folder("postrider-binary-")?;
    // Ours: the log is written by us.
    let folder = tempfile::Builder::new().prefix("postrider-confined-").tempdir()?;
    let program = copy(binary, shelf.path())?;
    let [api, management] =
        [free_port()?, free_port()?].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let words = |command: &str| {
        let data = data.path().display().to_string();
        [command, "--data-dir", &data, "--listen", &api.to_string()].map(str::to_owned)
    };
    let (first, mut arguments) = confined(account, data.path(), &program);
    arguments.extend(words("serve"));
    let launch = Launch::new(&first, folder.path(), api)
        .arguments(arguments)
        .environment("HOME", "/nonexistent")
        .environment("TMPDIR", "/nonexistent")
        .environment("POSTRIDER_MANAGEMENT__LISTEN", management.to_string());
    let began = Instant::now();
    let server = Server::start(launch)?;
    println!("serves after {:.2} s", began.elapsed().as_secs_f64());
    answers_its_probes(&[("API", api), ("management", management)])?;

    let (first, arguments) = confined(account, data.path(), &program);
    let mut doctor = Command::new(first);
    without_own_settings(&mut doctor)
        .args(arguments)
        .args(words("doctor"))
        .arg("--json")
        .current_dir(folder.path())
        .env("POSTRIDER_MANAGEMENT__LISTEN", management.to_string());
    let found: Value = serde_json::from_str(&process::capture(&mut doctor, LIMIT)?)?;
    println!("doctor beside it: exit 0, {}", found["status"]);
    ends_in_order(server, data.path())
}

fn answers_its_probes(listeners: &[(&str, SocketAddr)]) -> anyhow::Result<()> {
    for (listener, address) in listeners {
        for probe in ["live", "ready", "startup"] {
            let answer = Client::new(*address, ASK_LIMIT).get(&format!("/health/{probe}"), &[])?;
            let body = answer.json()?;
            ensure!(
                answer.status == 200,
                "{listener} /health/{probe}: {} {body}",
                answer.status
            );
            ensure!(
                has_ages(probe, &body),
                "{listener} /health/{probe} tells no ages: {body}"
            );
        }
    }
    println!("/health/{{live,ready,startup}}: 200 on both listeners, with ages");
    Ok(())
}

/// Ends it, and looks what it leaves in its data directory.
fn ends_in_order(mut server: Server, data: &Path) -> anyhow::Result<()> {
    let status = server.stop().context("SIGTERM did not end it in time")?;
    ensure!(status.code() == Some(0), "after SIGTERM it ended with {status}");
    let complaints = Complaints::of(&server.log());
    ensure!(
        complaints.panics.is_empty(),
        "it panicked: {:?}",
        complaints.panics
    );
    let mut files: Vec<_> = std::fs::read_dir(data)?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    println!(
        "exit 0 after SIGTERM; in its data directory: {}",
        files.join(", ")
    );
    Ok(())
}

/// The program and its first arguments for a confined run; where that cannot be, for an ordinary one.
fn confined(account: Account, data: &Path, program: &Path) -> (PathBuf, Vec<String>) {
    let Account::Nobody { uid, gid } = account else {
        return (program.to_owned(), Vec::new());
    };
    let mut arguments = ["--mount", "/bin/sh", "-c", CONFINED, "confined"]
        .map(str::to_owned)
        .to_vec();
    arguments.extend([
        data.display().to_string(),
        uid.to_string(),
        gid.to_string(),
        program.display().to_string(),
    ]);
    (PathBuf::from("unshare"), arguments)
}

fn has_ages(probe: &str, body: &Value) -> bool {
    match probe {
        "live" => body["heartbeat_age_ms"].is_u64(),
        "startup" => body["state_age_ms"].is_u64(),
        _ => body["checks"].as_array().is_some_and(|checks| {
            checks.len() >= 4
                && checks
                    .iter()
                    .all(|check| check["state_age_ms"].is_u64() && check["checked_age_ms"].is_u64())
        }),
    }
}

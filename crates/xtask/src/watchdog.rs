//! The last net: a small process that outlives a `kill -9` of ours and stops what we had started.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;

/// Waits for a line on its input. "done" is an orderly end; end of input means that we died.
const WAIT: &str = r#"read -r word; [ "$word" = done ] && exit 0"#;

/// Stops the process whose id stands first in the file `$1` (SIGINT, after 5 s SIGKILL), removes the folder `$2`.
const PROCESS: &str = r#"
pid=$(head -n 1 "$1" 2>/dev/null)
if [ -n "$pid" ]; then
  kill -INT "$pid" 2>/dev/null
  for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || break; sleep 0.5; done
  kill -KILL "$pid" 2>/dev/null
fi
rm -rf "$2"
"#;

/// Removes the container `$1`.
const CONTAINER: &str = r#"docker rm --force --volumes "$1""#;

/// A running watchdog; dropping it tells it that all is well.
#[derive(Debug)]
pub struct Watchdog {
    child: Child,
}

impl Watchdog {
    /// Watches over the process whose id is (or will be) the first line of `pid_file`, and over `folder`.
    pub fn over_process(pid_file: &Path, folder: &Path) -> anyhow::Result<Self> {
        Self::start(PROCESS, &[pid_file.as_os_str(), folder.as_os_str()])
    }

    /// Watches over a Docker container.
    pub fn over_container(name: &str) -> anyhow::Result<Self> {
        Self::start(CONTAINER, &[OsStr::new(name)])
    }

    fn start(script: &str, arguments: &[&OsStr]) -> anyhow::Result<Self> {
        let child = Command::new("/bin/sh")
            .args(["-c", &format!("{WAIT}\n{script}"), "postrider-watchdog"])
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("could not start the watchdog")?;
        Ok(Self { child })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut input) = self.child.stdin.take() {
            let _ = input.write_all(b"done\n");
        }
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn victim(folder: &Path) -> (Child, std::path::PathBuf) {
        let victim = Command::new("sleep").arg("60").spawn().unwrap();
        let file = folder.join("pid");
        std::fs::write(&file, format!("{}\nmore\n", victim.id())).unwrap();
        (victim, file)
    }

    #[test]
    fn our_death_stops_the_process_and_removes_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (mut victim, file) = victim(folder.path());
        let mut dog = Watchdog::over_process(&file, folder.path()).unwrap();
        drop(dog.child.stdin.take()); // what the kernel does when we are killed
        assert!(!victim.wait().unwrap().success());
        dog.child.wait().unwrap();
        assert!(!folder.path().exists());
    }

    #[test]
    fn an_orderly_end_touches_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (mut victim, file) = victim(folder.path());
        drop(Watchdog::over_process(&file, folder.path()).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        assert!(victim.try_wait().unwrap().is_none());
        assert!(folder.path().exists());
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
}

//! Child processes that end when we do.

use std::io::{BufRead, BufReader, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::interrupt;

const POLL: Duration = Duration::from_millis(25);
const GRACE: Duration = Duration::from_secs(3);

/// A child in a process group of its own, so that the whole tree under it can be stopped at once and a Ctrl-C of the
/// terminal reaches us first. Dropping it stops the group.
#[derive(Debug)]
pub struct Group {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Group {
    /// Starts the command in a process group of its own, with no input.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        Self::spawn_reading(command, Stdio::null())
    }

    fn spawn_reading(command: &mut Command, input: Stdio) -> anyhow::Result<Self> {
        let name = command.get_program().to_owned();
        let child = command
            .stdin(input)
            .process_group(0)
            .spawn()
            .with_context(|| format!("could not start {}", name.display()))?;
        Ok(Self { child, ended: None })
    }

    /// The id of the process, which is also its group's.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child's status if it has ended.
    pub fn poll(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    /// Waits for the end, for a signal to us, or for the limit (an error).
    pub fn wait(&mut self, limit: Option<Duration>) -> anyhow::Result<ExitStatus> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            if let Some(status) = self.poll()? {
                return Ok(status);
            }
            interrupt::check()?;
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                bail!("not finished within {:?}", limit.unwrap_or_default());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Sends a signal to the process itself, not to its children.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.poll()?.is_none()
            && let Some(pid) = pid(self.id())
        {
            kill_process(pid, signal).context("could not signal the process")?;
        }
        Ok(())
    }

    /// Ends the process and what is left of its group: first politely, then not.
    pub fn stop(&mut self, first: Signal, grace: Duration) {
        let Some(group) = pid(self.id()) else { return };
        if matches!(self.poll(), Ok(None)) {
            let _ = kill_process(group, first);
            self.await_end(grace);
        }
        // Also after an orderly end: what it left behind in its group is ours to remove.
        let _ = kill_process_group(group, Signal::KILL);
        self.await_end(GRACE);
    }

    fn await_end(&mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        while matches!(self.poll(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let already_reaped = self.ended.is_some();
        if !already_reaped {
            if let Some(group) = pid(self.id()) {
                let _ = kill_process_group(group, Signal::TERM);
            }
            self.stop(Signal::TERM, GRACE);
        }
    }
}

/// Runs to the end with our own output, whatever it is; stopped with us.
pub fn run(command: &mut Command) -> anyhow::Result<ExitStatus> {
    Group::spawn(command)?.wait(None)
}

/// Runs quietly within the limit; the error of a failure carries the end of what was said.
pub fn capture(command: &mut Command, limit: Duration) -> anyhow::Result<String> {
    capture_reading(command, Stdio::null(), limit)
}

/// Like [`capture`], with something to read on standard input (a secret has no place on a command line).
pub fn capture_with_input(command: &mut Command, input: &[u8], limit: Duration) -> anyhow::Result<String> {
    let mut file = tempfile::tempfile().context("no temporary file")?;
    file.write_all(input)?;
    file.rewind()?;
    capture_reading(command, Stdio::from(file), limit)
}

fn capture_reading(command: &mut Command, input: Stdio, limit: Duration) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    // A file and not a pipe: nobody need read it while we wait, and it cannot fill up.
    let log = tempfile::NamedTempFile::new().context("no temporary file")?;
    command
        .stdout(log.as_file().try_clone()?)
        .stderr(log.as_file().try_clone()?);
    let status = Group::spawn_reading(command, input)?
        .wait(Some(limit))
        .with_context(|| name.clone())?;
    let said = String::from_utf8_lossy(&std::fs::read(log.path())?).into_owned();
    if !status.success() {
        bail!("{name} failed ({status}): {}", tail(&said, 6));
    }
    Ok(said)
}

/// Runs with standard output passed line by line; `None` if the limit was reached first.
pub fn stream(
    command: &mut Command,
    limit: Duration,
    mut line: impl FnMut(&str),
) -> anyhow::Result<Option<ExitStatus>> {
    let mut speaker = Speaker::spawn(command)?;
    let deadline = Instant::now() + limit;
    let mut open = true;
    while open {
        match speaker.lines.recv_timeout(POLL) {
            Ok(text) => line(&text),
            Err(RecvTimeoutError::Disconnected) => open = false,
            // A process that escaped its group may hold the pipe open for ever: the child's end is the end.
            Err(RecvTimeoutError::Timeout) => open = speaker.group.poll()?.is_none(),
        }
        interrupt::check()?;
        if Instant::now() >= deadline {
            return Ok(None);
        }
    }
    let rest = deadline.saturating_duration_since(Instant::now()) + GRACE;
    speaker.group.wait(Some(rest)).map(Some)
}

/// A child whose standard output is read line by line while it runs. Dropping it stops its group.
#[derive(Debug)]
pub struct Speaker {
    group: Group,
    lines: Receiver<String>,
}

impl Speaker {
    /// Starts the command in a process group of its own.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let mut group = Group::spawn(command.stdout(Stdio::piped()))?;
        let output = group.child.stdout.take().context("no output to read")?;
        Ok(Self {
            group,
            lines: reader(output),
        })
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.group.id()
    }

    /// The next line, waiting for it at most this long; `None` if none came. An error once the child has ended.
    pub fn line(&self, limit: Duration) -> anyhow::Result<Option<String>> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the process has ended and says nothing more"),
        }
    }

    /// Stops it and returns what it had said and was not yet read.
    pub fn stop(mut self) -> Vec<String> {
        self.group.stop(Signal::TERM, GRACE);
        self.lines.into_iter().collect()
    }
}

fn reader(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut input = BufReader::new(output);
        let mut bytes = Vec::new();
        while matches!(input.read_until(b'\n', &mut bytes), Ok(1..)) {
            let text = String::from_utf8_lossy(&bytes)
                .trim_end_matches(['\n', '\r'])
                .to_owned();
            bytes.clear();
            if sender.send(text).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The last lines of a text, on one line.
pub fn tail(text: &str, lines: usize) -> String {
    let kept: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    kept[kept.len().saturating_sub(lines)..].join(" | ")
}

/// The process id as the system calls want it.
pub(crate) fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::test_kill_process;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_says_what_the_program_said() {
        let error = capture(&mut shell("echo first; echo no such thing >&2; exit 3"), GRACE).unwrap_err();
        assert!(error.to_string().contains("no such thing"), "{error}");
    }

    #[test]
    fn input_is_read_and_a_speaker_is_heard_while_it_runs() {
        let said = capture_with_input(Command::new("/bin/cat").arg("-"), b"secret", GRACE).unwrap();
        assert_eq!(said, "secret");
        let speaker = Speaker::spawn(&mut shell("printf 'one\\ntwo\\n'; exec sleep 60")).unwrap();
        assert_eq!(speaker.line(GRACE).unwrap().as_deref(), Some("one"));
        assert_eq!(speaker.stop(), ["two"]);
        let silent = Speaker::spawn(&mut shell("exit 0")).unwrap();
        assert!(silent.line(GRACE).is_err());
    }

    #[test]
    fn a_limit_ends_the_whole_group() {
        let mut seen = Vec::new();
        let ended = stream(
            &mut shell("sleep 60 & echo $!; wait"),
            Duration::from_millis(400),
            |line| {
                seen.push(line.to_owned());
            },
        );
        assert!(ended.unwrap().is_none());
        let grandchild = pid(seen[0].parse().unwrap()).unwrap();
        let gone_by = Instant::now() + GRACE;
        while test_kill_process(grandchild).is_ok() && Instant::now() < gone_by {
            // A killed orphan is a zombie until init reaps it; /proc tells them apart.
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", seen[0])).unwrap_or_default();
            if stat.contains(") Z ") || stat.is_empty() {
                return;
            }
            std::thread::sleep(POLL);
        }
        assert!(test_kill_process(grandchild).is_err());
    }

    #[test]
    fn lines_arrive_and_the_status_is_kept() {
        let mut seen = Vec::new();
        let ended = stream(&mut shell("echo one; echo two; exit 5"), GRACE, |line| {
            seen.push(line.to_owned());
        });
        assert_eq!(seen, ["one", "two"]);
        assert_eq!(ended.unwrap().unwrap().code(), Some(5));
    }

    #[test]
    fn the_tail_is_the_last_lines_that_say_something() {
        assert_eq!(tail("a\n\nb\n c \n", 2), "b | c");
    }
}

//! What processes cost, as Linux tells it.

use std::fs;

use super::numbers::float;

/// Where the children's clocks are finer than the kernel's ticks, they are read there.
const NANOSECONDS: u64 = 1_000_000_000;

/// CPU time of a process so far, its ended threads included, in nanoseconds.
pub(super) fn cpu(process: u32) -> Option<u64> {
    Stat::of(process).map(|stat| stat.own)
}

/// CPU time of a process and all its children, ended ones included.
pub(super) fn cpu_of_family(parent: u32) -> Option<u64> {
    let own = Stat::of(parent)?;
    let children = children(parent)
        .into_iter()
        // One that has ended since it was listed is among the ended ones the next time.
        .filter_map(|child| fine(child).or_else(|| cpu(child)));
    Some(own.own + own.ended_children + children.sum::<u64>())
}

/// The parent of a process.
pub(super) fn parent(process: u32) -> Option<u32> {
    Stat::of(process).map(|stat| stat.parent)
}

/// The name of a process.
pub(super) fn name(process: u32) -> Option<String> {
    Some(
        fs::read_to_string(format!("/proc/{process}/comm"))
            .ok()?
            .trim_end()
            .to_owned(),
    )
}

/// Resident memory now, in bytes.
pub(super) fn resident(process: u32) -> Option<u64> {
    memory(process, "VmRSS:")
}

/// How much of the resident memory is mapped files, such as the program itself, in bytes.
pub(super) fn mapped_files(process: u32) -> Option<u64> {
    memory(process, "RssFile:")
}

/// Lets the kernel count the peak of resident memory from here on.
pub(super) fn reset_peak(process: u32) {
    // 5 sets the peak back (proc_pid_clear_refs(5)); where it is not allowed, the peak is that of the whole life.
    let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
}

/// The peak of resident memory, in bytes.
pub(super) fn peak(process: u32) -> Option<u64> {
    memory(process, "VmHWM:")
}

/// Bytes as MB, as the targets count them (10^6).
pub(super) fn megabytes(bytes: u64) -> f64 {
    float(bytes) / 1e6
}

fn memory(process: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    kilobytes(&status, field).map(|kib| kib << 10)
}

fn kilobytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim_end().parse().ok()
}

fn children(parent: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process| Stat::of(*process).is_some_and(|stat| stat.parent == parent))
        .collect()
}

/// CPU time of a process with one thread, to the nanosecond.
fn fine(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

struct Stat {
    parent: u32,
    own: u64,
    ended_children: u64,
}

impl Stat {
    fn of(process: u32) -> Option<Self> {
        Self::read(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    /// The name in parentheses may hold anything, so fields are counted after its end.
    fn read(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let tick = NANOSECONDS / rustix::param::clock_ticks_per_second().max(1);
        let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: (ticks(11)? + ticks(12)?) * tick,
            ended_children: (ticks(13)? + ticks(14)?) * tick,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_name() {
        let stat = "42 (a ) b) S 7 42 42 0 -1 4194560 0 0 0 0 10 20 30 40 20 0 1 0 5";
        let stat = Stat::read(stat).unwrap();
        let tick = NANOSECONDS / rustix::param::clock_ticks_per_second();
        assert_eq!(
            (stat.parent, stat.own, stat.ended_children),
            (7, 30 * tick, 70 * tick)
        );
    }

    #[test]
    fn a_child_that_ended_is_still_counted() {
        let us = std::process::id();
        let ended = || Stat::of(us).unwrap().ended_children;
        let (before, of_all) = (ended(), cpu_of_family(us).unwrap());
        let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", script])
            .spawn()
            .unwrap();
        assert_eq!(parent(child.id()), Some(us));
        child.wait().unwrap();
        assert!(ended() > before + 20_000_000);
        assert!(cpu_of_family(us).unwrap() > of_all + 20_000_000);
        assert!(peak(us) > Some(1 << 20) && resident(us) > Some(1 << 20));
        assert!(name(us).is_some());
        assert_eq!(kilobytes("VmHWM:\t   20480 kB\n", "VmHWM:"), Some(20_480));
    }
}

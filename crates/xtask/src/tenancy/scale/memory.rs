//! How much memory a process holds, as Linux tells it.

use std::fmt;
use std::fs;

/// The resident memory of a process around something that it does.
#[derive(Debug)]
pub(crate) struct Watch {
    process: u32,
    before: Option<u64>,
    /// Whether the kernel counts its peak from here on: else the peak may be of long ago.
    from_here: bool,
}

/// In KiB; nothing where the system does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resident {
    /// When it began.
    pub(crate) before: u64,
    /// The most that there was meanwhile.
    pub(crate) peak: u64,
}

impl Watch {
    /// Begins to watch.
    pub(crate) fn begin(process: u32) -> Self {
        Self {
            process,
            before: read(process, "VmRSS:"),
            // 5 sets the peak back to what is resident now (proc_pid_clear_refs(5)).
            from_here: fs::write(format!("/proc/{process}/clear_refs"), "5").is_ok(),
        }
    }

    /// What was seen.
    pub(crate) fn end(self) -> Option<Resident> {
        if !self.from_here {
            return None;
        }
        Some(Resident {
            before: self.before?,
            peak: read(self.process, "VmHWM:")?,
        })
    }
}

impl Resident {
    /// How much it grew, in MiB.
    pub(crate) fn growth(self) -> u64 {
        self.peak.saturating_sub(self.before) >> 10
    }
}

impl fmt::Display for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} MiB before, at most {} MiB meanwhile",
            self.before >> 10,
            self.peak >> 10
        )
    }
}

fn read(process: u32, field: &str) -> Option<u64> {
    of(
        &fs::read_to_string(format!("/proc/{process}/status")).ok()?,
        field,
    )
}

fn of(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let status = "Name:\tpostrider\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
        assert_eq!(
            (of(status, "VmRSS:"), of(status, "VmHWM:")),
            (Some(10_240), Some(20_480))
        );
        assert_eq!(of(status, "VmSwap:"), None);
        let seen = Resident {
            before: 10_240,
            peak: 20_480,
        };
        assert_eq!(seen.to_string(), "10 MiB before, at most 20 MiB meanwhile");
        assert_eq!(seen.growth(), 10);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn our_own_peak_is_at_least_what_we_took() {
        let watch = Watch::begin(std::process::id());
        let taken = vec![1_u8; 32 << 20];
        assert!(taken.iter().map(|byte| u64::from(*byte)).sum::<u64>() == 32 << 20);
        drop(taken);
        let seen = watch.end().unwrap();
        // Other tests may give memory back meanwhile.
        assert!(seen.growth() >= 16, "{seen}");
    }
}

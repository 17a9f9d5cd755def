//! What was measured, for people.

use std::fmt::Write as _;

use super::machine::Machine;
use super::measure::Measured;
use super::processes::megabytes;
use super::results::Results;
use crate::product::Database;

/// Where nothing was measured.
const UNKNOWN: &str = "-";

/// On what is measured.
pub(super) fn machine(machine: &Machine) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} cores, {}, {} GiB, Linux {}, commit {}",
        machine.cores, machine.cpu, machine.memory_gib, machine.kernel, machine.commit
    );
    let _ = writeln!(
        text,
        "{} on disk: 8 KiB written and synced in {:.0} us (p99 {:.0} us)",
        machine.file_system, machine.sync.p50_us, machine.sync.p99_us
    );
    if matches!(machine.file_system.as_str(), "tmpfs" | "ramfs") {
        let _ = writeln!(
            text,
            "WARNING: that is memory, not a disk: set TMPDIR to a folder on one"
        );
    }
    if let Some(postgres) = &machine.postgres {
        let _ = writeln!(text, "{postgres}");
    }
    text + "\n" + &heading() + "\n"
}

fn heading() -> String {
    format!(
        "{:<20} {:<10} {:>8} {:>8} {:>8} | {:>6} {:>6} {:>6} {:>6} | {:>6} {:>6} {:>6} | {:>8} {:>8} | {:>8} {:>8} {:>8} | {:>4} {:>4} {:>7}",
        "",
        "",
        "messages",
        "202/s",
        "all/s",
        "server",
        "db",
        "load",
        "recv",
        "WAL B",
        "file B",
        "RSS MB",
        "202 p50",
        "202 p99",
        "e2e p50",
        "e2e p99",
        "e2e 99.9",
        "lost",
        "dup",
        "refused"
    )
}

/// One measurement.
pub(super) fn line(name: &str, database: &str, measured: &Measured) -> String {
    let Measured {
        cpu_us: cpu,
        answer,
        end_to_end,
        ..
    } = measured;
    let answered = |us: f64| known(answer.count > 0, || format!("{:.2}", us / 1e3));
    let arrived = |us: f64| known(end_to_end.count > 0, || format!("{:.2}", us / 1e3));
    let counted = |count: u64| known(end_to_end.count > 0, || count.to_string());
    format!(
        "{name:<20} {database:<10} {:>8} {:>8.0} {:>8.0} | {:>6.1} {:>6} {:>6.1} {:>6.1} | {:>6.0} {:>6.0} {:>6} | {:>8} {:>8} | {:>8} {:>8} {:>8} | {:>4} {:>4} {:>7}",
        measured.messages,
        measured.accepted_per_s,
        measured.delivered_per_s,
        cpu.server,
        cpu.database
            .map_or_else(|| UNKNOWN.to_owned(), |us| format!("{us:.1}")),
        cpu.generator,
        cpu.receiver,
        measured.wal_bytes,
        measured.file_bytes,
        known(measured.peak_bytes > 0, || {
            format!("{:.1}", megabytes(measured.peak_bytes))
        }),
        answered(answer.p50_us),
        answered(answer.p99_us),
        arrived(measured.median_p50_us),
        arrived(measured.median_p99_us),
        arrived(end_to_end.p999_us),
        counted(measured.lost),
        counted(measured.duplicates),
        measured.refused,
    )
}

/// A figure, if it was measured: a 0 that was not would look like the best.
fn known(measured: bool, figure: impl FnOnce() -> String) -> String {
    if measured { figure() } else { UNKNOWN.to_owned() }
}

/// Everything.
pub(super) fn results(results: &Results) -> String {
    let mut text = heading() + "\n";
    for figure in &results.figures {
        let _ = writeln!(text, "{}", line(&figure.name, figure.database, &figure.measured));
    }
    let _ = writeln!(
        text,
        "\nPayloads of 1 KiB, {} s each. 202/s: accepted; all/s: until all had arrived. CPU in us a message. WAL and \
         file growth in bytes a message.\nTimes in ms from the (scheduled) send: to the 202, to the arrival (e2e, \
         p50 and p99 are medians over the seconds). lost, dup: not arrived, arrived again. refused: answered \"not now\" \
         (503). -: not measured there.",
        results.seconds
    );
    if !results.facts.is_empty() {
        let _ = writeln!(text);
    }
    for (name, value) in &results.facts {
        let _ = writeln!(text, "{name}: {value:.2}");
    }
    if !results.targets.is_empty() {
        let _ = writeln!(text, "\ntargets");
    }
    for target in &results.targets {
        let _ = writeln!(text, "  {target}");
    }
    for failure in &results.failures {
        let _ = writeln!(text, "\nFAILED: {failure}");
    }
    text
}

/// Keeps a fact and shows it at once.
pub(super) fn fact(name: &str, database: Database, value: f64, results: &mut Results) {
    println!("    {name}: {value:.2}");
    results.note(name, database, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_no_zero() {
        let told = line("limit-client", "SQLite", &Measured::default());
        let cells: Vec<&str> = told.split_whitespace().filter(|cell| *cell != "|").collect();
        let [.., rss, p50, p99, e2e_p50, e2e_p99, e2e_p999, lost, dup, refused] = cells[..] else {
            panic!("{told}")
        };
        let unknown = [rss, p50, p99, e2e_p50, e2e_p99, e2e_p999, lost, dup, cells[6]];
        assert_eq!((unknown, refused), ([UNKNOWN; 9], "0"));
        assert_eq!(told.len(), heading().len());
    }
}

//! What the process and its runtime use.

use std::time::{Duration, Instant};

use opentelemetry::{KeyValue, global, metrics::Meter};
use tokio::runtime::Handle;

/// Begins to observe this process and the runtime that it is called on; once, by whoever serves.
pub(super) fn observe(database: &'static str) {
    let meter = global::meter("postrider");
    build(&meter, database);
    runtime(&meter, &Handle::current());
    #[expect(
        clippy::disallowed_methods,
        reason = "the age of the process, for nobody else"
    )]
    let started = Instant::now();
    meter
        .f64_observable_gauge("process.uptime")
        .with_unit("s")
        .with_description("For how long this process has run")
        .with_callback(move |observer| observer.observe(started.elapsed().as_secs_f64(), &[]))
        .build();
    usage(&meter);
}

fn build(meter: &Meter, database: &'static str) {
    let labels = [
        KeyValue::new("version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("revision", option_env!("POSTRIDER_REVISION").unwrap_or("unknown")),
        KeyValue::new("rustc", env!("POSTRIDER_RUSTC")),
        KeyValue::new("database", database),
    ];
    meter
        .u64_observable_gauge("postrider.build_info")
        .with_description("Always 1; the labels say what runs")
        .with_callback(move |observer| observer.observe(1, &labels))
        .build();
}

fn runtime(meter: &Meter, runtime: &Handle) {
    let gauge = |name: &'static str, text: &'static str, read: fn(&Handle) -> usize| {
        let runtime = runtime.clone();
        meter
            .u64_observable_gauge(name)
            .with_description(text)
            .with_callback(move |observer| observer.observe(read(&runtime) as u64, &[]))
            .build();
    };
    gauge("tokio.runtime.workers", "Threads of the runtime", |runtime| {
        runtime.metrics().num_workers()
    });
    gauge(
        "tokio.runtime.alive_tasks",
        "Tasks that have not ended",
        |runtime| runtime.metrics().num_alive_tasks(),
    );
    gauge(
        "tokio.runtime.global_queue_depth",
        "Tasks that wait for a thread",
        |runtime| runtime.metrics().global_queue_depth(),
    );
}

fn usage(meter: &Meter) {
    meter
        .u64_observable_gauge("process.memory.usage")
        .with_unit("By")
        .with_description("Resident memory, mapped files included")
        .with_callback(|observer| {
            if let Some(bytes) = resident_bytes() {
                observer.observe(bytes, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("process.open_file_descriptor.count")
        .with_description("Open files and connections")
        .with_callback(|observer| {
            if let Some(files) = open_files() {
                observer.observe(files, &[]);
            }
        })
        .build();
    meter
        .f64_observable_counter("process.cpu.time")
        .with_unit("s")
        .with_description("CPU time used, in user and kernel mode")
        .with_callback(|observer| {
            if let Some(used) = cpu_time() {
                observer.observe(used.as_secs_f64(), &[]);
            }
        })
        .build();
}

/// `proc(5)`: the second number of `statm` counts pages.
#[cfg(target_os = "linux")]
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(target_os = "linux")]
fn open_files() -> Option<u64> {
    // The look itself opens one.
    let files = std::fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(files.saturating_sub(1))
}

#[cfg(unix)]
fn cpu_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Some(Duration::new(
        used.tv_sec.try_into().ok()?,
        used.tv_nsec.try_into().ok()?,
    ))
}

#[cfg(not(target_os = "linux"))]
const fn resident_bytes() -> Option<u64> {
    None
}

#[cfg(not(target_os = "linux"))]
const fn open_files() -> Option<u64> {
    None
}

#[cfg(not(unix))]
const fn cpu_time() -> Option<Duration> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_uses_can_be_read() {
        assert!(resident_bytes().unwrap() > 1 << 20);
        assert!(open_files().unwrap() >= 3);
        assert!(cpu_time().unwrap() > Duration::ZERO);
    }
}

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use postrider_api::composition::SystemClock;
use postrider_application::ports::Clock as _;
use postrider_persistence::{
    ConnectError, Database, DatabaseOptions, PostgresOptions, Reached, Schema, SqliteOptions, reach,
};

use super::{super::start, report::Report};
use crate::{configuration::Configuration, options};

/// A round trip that takes longer makes everything slow: each accepted batch waits for some.
const FAR: Duration = Duration::from_millis(20);
/// A clock that is further from the database's makes times in answers and signatures puzzling.
const SKEWED: Duration = Duration::from_secs(2);
/// And beyond this, receivers refuse signatures and tokens end too early.
const FAR_SKEWED: Duration = Duration::from_mins(1);
/// Less free space than this is used up in no time.
const LITTLE_SPACE: u64 = 1 << 30;
/// And with this much not even the log can be carried over.
const NO_SPACE: u64 = 100 << 20;
/// What `doctor` needs of connections.
const CONNECTIONS: u32 = 2;
const DATABASE_FILE: &str = "postrider.sqlite3";

/// Looks at the database; answers it if it can be used further.
pub(super) async fn examine(configuration: &Configuration, report: &mut Report) -> Option<Database> {
    match options::database(&configuration.database) {
        DatabaseOptions::Postgres(options) => postgres(configuration, options, report).await,
        DatabaseOptions::Sqlite(options) => sqlite(configuration, options, report).await,
    }
}

async fn postgres(
    configuration: &Configuration,
    options: PostgresOptions,
    report: &mut Report,
) -> Option<Database> {
    let clock = SystemClock::new();
    let target = options.target().unwrap_or_default();
    let reached = match reach(&options, false, || clock.monotonic()).await {
        Ok(reached) => reached,
        Err(error) => {
            failed(report, "database", &format!("{target}: "), &error);
            return None;
        }
    };
    let said = format!(
        "PostgreSQL {} at {target}: connected in {}, round trip {}",
        reached.version,
        millis(reached.connected_in),
        millis(reached.round_trip)
    );
    if reached.round_trip > FAR {
        report.warning(
            "database",
            said,
            "run Postrider near its database: each batch waits for some round trips",
        );
    } else {
        report.ok("database", said);
    }
    if options.admin_url.is_some() {
        match reach(&options, true, || clock.monotonic()).await {
            Ok(admin) => report.ok(
                "migrator",
                format!("database.admin_url logs in as {}", admin.login),
            ),
            Err(error) => failed(report, "migrator", "database.admin_url: ", &error),
        }
    }
    skew(&reached, clock, report);
    let options = PostgresOptions {
        max_connections: CONNECTIONS,
        ..options
    };
    let prepared = migrations(configuration, DatabaseOptions::Postgres(options.clone()), report).await;
    let database = match Database::open(DatabaseOptions::Postgres(options)).await {
        Ok(database) => database,
        // Nothing was prepared yet: `serve` or `migrate` makes the roles and grants them.
        Err(error @ ConnectError::NoRole { .. }) if !prepared => {
            report.warning("roles", error.to_string(), "done by the first migration");
            return None;
        }
        Err(error) => {
            failed(report, "roles", "", &error);
            return None;
        }
    };
    report.ok(
        "roles",
        "the login has no rights of its own, inherits none, and can become each of Postrider's roles",
    );
    guards(&database, report).await;
    Some(database)
}

async fn guards(database: &Database, report: &mut Report) {
    match (
        database.unguarded_tables().await,
        database.roles_without_schema().await,
    ) {
        (Ok(tables), Ok(roles)) if tables.is_empty() && roles.is_empty() => {
            report.ok("row security", "forced on every table, with policies");
        }
        (Ok(tables), Ok(roles)) => {
            if !tables.is_empty() {
                report.failed(
                    "row security",
                    format!("not guarded as it should be: {}", tables.join(", ")),
                    "somebody changed these tables by hand; restore owner, policies and FORCE ROW LEVEL SECURITY",
                );
            }
            if !roles.is_empty() {
                report.failed(
                    "row security",
                    format!("these roles may not use the schema: {}", roles.join(", ")),
                    "run `postrider migrate` with database.admin_url",
                );
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            report.failed("row security", start::causes(&error), "see the cause");
        }
    }
}

fn skew(reached: &Reached, clock: SystemClock, report: &mut Report) {
    let since = clock.monotonic().saturating_sub(reached.asked_at);
    let here = clock.now().as_micros() - i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    let ahead = here - reached.clock.as_micros();
    let skew = Duration::from_micros(ahead.unsigned_abs());
    let said = format!(
        "{} {} of the database's, give or take {}",
        millis(skew),
        if ahead < 0 { "behind" } else { "ahead" },
        millis(reached.asked_in / 2)
    );
    let advice = "let both machines take their time from the same servers (NTP)";
    if skew > FAR_SKEWED {
        report.failed("clock", said, advice);
    } else if skew > SKEWED {
        report.warning("clock", said, advice);
    } else {
        report.ok("clock", said);
    }
}

/// What the tables lack; whether they are there at all.
async fn migrations(configuration: &Configuration, options: DatabaseOptions, report: &mut Report) -> bool {
    let pending = async {
        let schema = Schema::open(options).await?;
        let pending = schema.pending().await;
        schema.close().await?;
        pending
    };
    told_of(configuration, pending.await, report)
}

/// Whether the tables are there to be used, or the fault is told that kept us from seeing it.
fn told_of(
    configuration: &Configuration,
    pending: Result<Vec<String>, ConnectError>,
    report: &mut Report,
) -> bool {
    let pending = match pending {
        Ok(pending) => pending.len(),
        Err(error) => {
            failed(report, "migrations", "", &error);
            return true;
        }
    };
    let said = format!("the tables lack {pending} migrations");
    if pending == 0 {
        report.ok("migrations", "the tables are of this version");
    } else if configuration.database.migrate_on_start {
        report.warning(
            "migrations",
            said,
            "`serve` applies them at its start; or run `postrider migrate`",
        );
    } else {
        report.failed(
            "migrations",
            said,
            "run `postrider migrate` (database.migrate_on_start is off)",
        );
    }
    pending == 0
}

async fn sqlite(
    configuration: &Configuration,
    options: SqliteOptions,
    report: &mut Report,
) -> Option<Database> {
    let begun = directory(&options.directory, report)?;
    if !begun {
        return None;
    }
    // A server may run beside this.
    let options = SqliteOptions {
        guest: true,
        ..options
    };
    let database = match Database::open(DatabaseOptions::Sqlite(options.clone())).await {
        Ok(database) => database,
        Err(error) => {
            failed(report, "database", "", &error);
            return None;
        }
    };
    let clock = SystemClock::new();
    let asked = clock.monotonic();
    match database.ping().await {
        Ok(()) => {
            let beside = if database.is_guest() {
                ", a server runs on it"
            } else {
                ""
            };
            let took = clock.monotonic().saturating_sub(asked);
            report.ok(
                "database",
                format!(
                    "SQLite in {}: answers in {}{beside}",
                    options.directory.display(),
                    millis(took)
                ),
            );
        }
        Err(error) => {
            report.failed(
                "database",
                start::causes(&error),
                "restore the file from the backup",
            );
            return None;
        }
    }
    told_of(configuration, database.pending_migrations().await, report).then_some(database)
}

/// Looks at the data directory: whether there is a database in it; none if it cannot be used.
fn directory(path: &Path, report: &mut Report) -> Option<bool> {
    let shown = path.display();
    let Ok(found) = fs::metadata(path) else {
        return nothing_yet(path, report);
    };
    let owner = found.uid();
    let us = rustix::process::geteuid().as_raw();
    let writable =
        rustix::fs::access(path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
    if !found.is_dir() || !writable {
        report.failed(
            "directory",
            format!("{shown} is no directory that this account (id {us}) may write; it belongs to {owner}"),
            format!("chown -R {us} {shown}"),
        );
        return None;
    }
    if owner != us && us != 0 {
        report.warning(
            "directory",
            format!("{shown} belongs to account {owner}, not to {us}"),
            format!("chown -R {us} {shown}"),
        );
    } else if found.permissions().mode() & 0o077 != 0 {
        report.warning(
            "directory",
            format!(
                "{shown} is open to others (mode {:o})",
                found.permissions().mode() & 0o777
            ),
            format!("chmod 700 {shown}"),
        );
    } else {
        report.ok("directory", format!("{shown} is ours alone"));
    }
    space(path, report);
    let begun = path.join(DATABASE_FILE).is_file();
    if !begun {
        report.ok(
            "database",
            "there is none yet: `serve` makes it at its first start",
        );
    }
    Some(begun)
}

/// The directory will be made: its nearest parent must let us.
fn nothing_yet(path: &Path, report: &mut Report) -> Option<bool> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let parent = absolute.ancestors().skip(1).find(|parent| parent.is_dir())?;
    if rustix::fs::access(parent, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_err() {
        report.failed(
            "directory",
            format!(
                "{} is not there, and cannot be made in {}",
                path.display(),
                parent.display()
            ),
            "make it, owned by the account that runs Postrider, or name another one (database.directory)",
        );
        return None;
    }
    report.ok(
        "directory",
        format!("{} is not there yet: `serve` makes it", path.display()),
    );
    space(parent, report);
    Some(false)
}

fn space(path: &Path, report: &mut Report) {
    let Ok(found) = rustix::fs::statvfs(path) else {
        report.warning("disk", "its free space cannot be read", "look at it yourself");
        return;
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let said = format!("{} MiB free", free >> 20);
    let advice = "make room, or keep less ([retention])";
    if found.f_files > 0 && found.f_favail == 0 {
        report.failed("disk", "no file can be made any more (no inodes)", advice);
    } else if free < NO_SPACE {
        report.failed("disk", said, advice);
    } else if free < LITTLE_SPACE {
        report.warning("disk", said, advice);
    } else {
        report.ok("disk", said);
    }
}

fn failed(report: &mut Report, name: &'static str, before: &str, error: &ConnectError) {
    let advice = start::advice_on_connecting(error).unwrap_or("see above");
    report.failed(name, format!("{before}{}", start::causes(error)), advice);
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

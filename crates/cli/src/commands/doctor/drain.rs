use std::time::Duration;

use postrider_domain::endpoints::AttemptTimeout;
use postrider_persistence::Database;

use super::{super::start, report::Report};
use crate::configuration::Configuration;

/// What to do about attempts that outlast a shutdown.
const ADVICE: &str = "raise server.shutdown_timeout_s and delivery.drain_timeout_ms, and with them how long whoever stops the \
                      process waits; or accept that such attempts are cut and repeated";

/// Looks whether attempts under way have the time to end when the server does.
pub(super) async fn examine(configuration: &Configuration, database: Option<&Database>, report: &mut Report) {
    let drain = configuration.drain_limit();
    let slow = match database {
        Some(database) if drain < longest() => match database.endpoints_slower_than(drain).await {
            Ok(slow) => Some(slow),
            // Not a fault of its own: the tables may not be there yet, and then that is told already.
            Err(error) => {
                return report.warning(
                    "drain",
                    format!("endpoints' time-outs cannot be read: {}", start::causes(&error)),
                    "see what is said of the database and its migrations",
                );
            }
        },
        _ => None,
    };
    judge(configuration, slow, report);
}

/// The longest time-out that an endpoint may have of its own.
fn longest() -> Duration {
    Duration::from_millis(AttemptTimeout::MAX_MS)
}

/// `slow`: how many endpoints have a longer time-out of their own than a shutdown leaves, if it is known.
fn judge(configuration: &Configuration, slow: Option<u64>, report: &mut Report) {
    let drain = configuration.drain_limit();
    let doubts = configuration.doubts();
    for doubt in &doubts {
        report.warning("drain", format!("{}: {}", doubt.key, doubt.message), ADVICE);
    }
    let said = format!(
        "attempts under way have {} s to end in a shutdown",
        drain.as_secs_f32()
    );
    match slow {
        Some(slow) if slow > 0 => report.warning(
            "drain",
            format!("{said}; {slow} endpoints have a longer time-out of their own"),
            ADVICE,
        ),
        _ if !doubts.is_empty() => {}
        _ if drain >= longest() => report.ok("drain", format!("{said}, as long as any may take")),
        _ => report.ok(
            "drain",
            format!(
                "{said}; an endpoint's own time-out may be up to {} s",
                longest().as_secs()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(configuration: &Configuration, slow: Option<u64>) -> String {
        let mut report = Report::default();
        judge(configuration, slow, &mut report);
        report.json()["status"].as_str().unwrap().to_owned()
    }

    #[test]
    fn attempts_that_a_shutdown_cuts_are_told() {
        let mut configuration = Configuration::default();
        assert_eq!(status(&configuration, None), "ok");
        assert_eq!(status(&configuration, Some(0)), "ok");
        assert_eq!(status(&configuration, Some(2)), "warning");
        configuration.delivery.attempt_timeout_ms = 60_000;
        assert_eq!(status(&configuration, Some(0)), "warning");
        configuration.delivery.drain_timeout_ms = 60_000;
        configuration.server.shutdown_timeout_s = 70;
        assert_eq!(status(&configuration, None), "ok");
    }
}

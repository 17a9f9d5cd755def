use std::time::Duration;

use postrider_application::ports::RetentionPolicy;
use postrider_engine::RetentionOptions;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Faults;

/// The longest time that anything is kept, but for ever: ten years, in days.
const MOST_DAYS: u32 = 3_650;
/// How long an audit log must last, if it is to be good for anything.
const LEAST_AUDIT_DAYS: u32 = 7;

/// `[retention]`: what is kept for how many days; 0: for ever.
///
/// On PostgreSQL history goes by whole days (UTC): a day is removed when all of it is old enough. What is still to be
/// delivered is kept, however old it is, and with it its day.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetentionConfig {
    /// Messages, and where their deliveries stand: longer than `delivery.schedule_horizon_s`.
    pub(crate) messages_days: u32,
    /// Payloads: not longer than messages, and as long as `delivery.schedule_horizon_s` at least. What has none can be
    /// sent to nobody any more.
    pub(crate) payloads_days: u32,
    /// Attempts: not longer than messages.
    pub(crate) attempts_days: u32,
    /// The audit log.
    pub(crate) audit_days: u32,
    /// The log of events, as far as everybody has read it.
    pub(crate) events_days: u32,
    /// How often it is looked whether something is old enough.
    pub(crate) interval_s: u64,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            messages_days: 90,
            payloads_days: 30,
            attempts_days: 30,
            audit_days: 365,
            events_days: 30,
            interval_s: 600,
        }
    }
}

impl RetentionConfig {
    /// A message may be scheduled so far ahead as `horizon`; it must be there until then, and a while after it. Days of
    /// the history go in their order: what the queue keeps for longer would keep everybody's.
    pub(super) fn validate(&self, horizon: Duration, faults: &mut Faults) {
        let scheduled = u32::try_from(horizon.as_secs().div_ceil(86_400)).unwrap_or(MOST_DAYS);
        for (key, days, least) in [
            ("retention.messages_days", self.messages_days, 1),
            ("retention.payloads_days", self.payloads_days, 1),
            ("retention.attempts_days", self.attempts_days, 1),
            ("retention.audit_days", self.audit_days, LEAST_AUDIT_DAYS),
            ("retention.events_days", self.events_days, 1),
        ] {
            faults.days_or_for_ever(key, days, least..=MOST_DAYS);
        }
        for (key, days, least) in [
            ("retention.messages_days", self.messages_days, scheduled + 1),
            ("retention.payloads_days", self.payloads_days, scheduled),
        ] {
            if days != 0 && days < least {
                let horizon = horizon.as_secs();
                faults.push(
                    key,
                    format!("must be at least {least}: delivery.schedule_horizon_s is {horizon}"),
                );
            }
        }
        for (key, days) in [
            ("retention.payloads_days", self.payloads_days),
            ("retention.attempts_days", self.attempts_days),
        ] {
            let outlives = days == 0 || days > self.messages_days;
            if self.messages_days != 0 && outlives {
                faults.push(key, "must not be longer than retention.messages_days");
            }
        }
        faults.range("retention.interval_s", self.interval_s, 1..=86_400);
    }

    /// In the words of the engine.
    pub(crate) fn options(&self) -> RetentionOptions {
        let days = |days: u32| (days != 0).then(|| Duration::from_hours(24 * u64::from(days)));
        RetentionOptions {
            policy: RetentionPolicy {
                messages: days(self.messages_days),
                payloads: days(self.payloads_days),
                attempts: days(self.attempts_days),
                audit: days(self.audit_days),
                events: days(self.events_days),
            },
            interval: Duration::from_secs(self.interval_s),
            ..RetentionOptions::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HORIZON: Duration = Duration::from_hours(30 * 24);

    fn faults(change: impl FnOnce(&mut RetentionConfig)) -> Vec<String> {
        let mut config = RetentionConfig::default();
        change(&mut config);
        let mut faults = Faults::default();
        config.validate(HORIZON, &mut faults);
        faults.wrong.into_iter().map(|fault| fault.key).collect()
    }

    #[test]
    fn what_belongs_to_a_message_does_not_outlive_it() {
        assert_eq!(faults(|_| {}), [""; 0]);
        assert_eq!(faults(|config| config.messages_days = 0), [""; 0]);
        let both = ["retention.payloads_days", "retention.attempts_days"];
        assert_eq!(
            faults(|config| (config.payloads_days, config.attempts_days) = (91, 0)),
            both
        );
        assert_eq!(faults(|config| config.messages_days = 29), {
            ["retention.messages_days", both[0], both[1]]
        });
        assert_eq!(faults(|config| config.audit_days = 1), ["retention.audit_days"]);
    }

    #[test]
    fn what_is_scheduled_does_not_outlive_its_message() {
        let faults = |days: u64| {
            let mut faults = Faults::default();
            RetentionConfig::default().validate(Duration::from_hours(24 * days), &mut faults);
            faults
                .wrong
                .into_iter()
                .map(|fault| fault.key)
                .collect::<Vec<_>>()
        };
        assert_eq!(faults(30), [""; 0]);
        assert_eq!(faults(31), ["retention.payloads_days"]);
        assert_eq!(faults(90), ["retention.messages_days", "retention.payloads_days"]);
    }

    #[test]
    fn zero_is_for_ever() {
        let config = RetentionConfig {
            audit_days: 0,
            ..RetentionConfig::default()
        };
        let policy = config.options().policy;
        assert_eq!(policy.audit, None);
        assert_eq!(policy.events, Some(Duration::from_hours(30 * 24)));
    }
}

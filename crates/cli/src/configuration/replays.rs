use postrider_application::ports::ReplayLimits;
use postrider_engine::ReplaysOptions;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Faults;

/// `[replays]`: jobs that deliver many messages to one endpoint.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReplaysConfig {
    /// The most replays of one endpoint under way at a time; more are refused with 409.
    pub(crate) max_per_endpoint: u32,
    /// The most replays of one tenant under way at a time; more are refused with 409.
    pub(crate) max_per_tenant: u32,
    /// The most deliveries of one replay in the queue at a time: it waits while there are as many.
    pub(crate) max_outstanding: u32,
    /// The most messages that one step looks at.
    pub(crate) batch_rows: u32,
}

impl Default for ReplaysConfig {
    fn default() -> Self {
        let limits = ReplayLimits::default();
        Self {
            max_per_endpoint: 10,
            max_per_tenant: 100,
            max_outstanding: limits.outstanding,
            batch_rows: limits.batch,
        }
    }
}

impl ReplaysConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        faults.range("replays.max_per_endpoint", self.max_per_endpoint, 1..=1_000);
        faults.range("replays.max_per_tenant", self.max_per_tenant, 1..=10_000);
        faults.range("replays.max_outstanding", self.max_outstanding, 1..=10_000);
        faults.range("replays.batch_rows", self.batch_rows, 1..=10_000);
    }

    /// In the words of the engine.
    pub(crate) fn options(&self) -> ReplaysOptions {
        ReplaysOptions {
            limits: ReplayLimits {
                batch: self.batch_rows,
                outstanding: self.max_outstanding,
                ..ReplayLimits::default()
            },
            ..ReplaysOptions::default()
        }
    }
}

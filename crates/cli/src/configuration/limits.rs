use postrider_api::{RateLimit, RateOptions};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Faults;

/// `[limits]`: how often each may ask, on one node. Beyond it the answer is 429 with `Retry-After`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsConfig {
    /// The most requests a second of one tenant, in the long run; 0: as many as come.
    pub(crate) tenant_requests_per_second: u32,
    /// The most requests of one tenant at once; 0: as many as in one second.
    pub(crate) tenant_burst: u32,
    /// The most requests a second of one credential (session, API key, portal token), in the long run; 0: as many as
    /// come.
    pub(crate) credential_requests_per_second: u32,
    /// The most requests of one credential at once; 0: as many as in one second.
    pub(crate) credential_burst: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let RateOptions { tenant, credential } = RateOptions::default();
        Self {
            tenant_requests_per_second: tenant.per_second,
            tenant_burst: tenant.burst,
            credential_requests_per_second: credential.per_second,
            credential_burst: credential.burst,
        }
    }
}

impl LimitsConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        for (key, value) in [
            (
                "limits.tenant_requests_per_second",
                self.tenant_requests_per_second,
            ),
            ("limits.tenant_burst", self.tenant_burst),
            (
                "limits.credential_requests_per_second",
                self.credential_requests_per_second,
            ),
            ("limits.credential_burst", self.credential_burst),
        ] {
            faults.range(key, value, 0..=10_000_000);
        }
    }

    /// In the API's words.
    pub(crate) const fn options(&self) -> RateOptions {
        RateOptions {
            tenant: RateLimit {
                per_second: self.tenant_requests_per_second,
                burst: self.tenant_burst,
            },
            credential: RateLimit {
                per_second: self.credential_requests_per_second,
                burst: self.credential_burst,
            },
        }
    }
}

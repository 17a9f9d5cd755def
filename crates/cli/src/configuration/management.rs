use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::Deserialize;

use super::Faults;

/// `[management]`: the listener for whoever runs it, with metrics, health and the log level. It asks for no credential.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ManagementConfig {
    /// Whether it listens.
    pub(crate) enabled: bool,
    /// Where it listens. Whoever reaches it may read metrics and health.
    pub(crate) listen: SocketAddr,
    /// Whether other machines may change what is logged (`PUT /log-level`). Otherwise only who asks from the same
    /// machine, container or pod (a loopback address) may.
    pub(crate) remote_log_level: bool,
}

impl Default for ManagementConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: (Ipv4Addr::LOCALHOST, 9464).into(),
            remote_log_level: false,
        }
    }
}

impl ManagementConfig {
    /// It must not take the API's place.
    pub(super) fn validate(&self, api: SocketAddr, faults: &mut Faults) {
        if self.enabled && self.listen == api && api.port() != 0 {
            faults.push("management.listen", "must be another address than server.listen");
        }
    }
}

use std::{borrow::Cow, time::Duration};

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Check,
    health::{Liveness, Startup, all_ready},
};

/// Whether the process works.
#[derive(Serialize, ToSchema)]
pub(crate) struct Live {
    /// `live` or `stuck`.
    #[schema(examples("live"))]
    status: &'static str,
    /// How long ago its main loop last showed that it turns, in milliseconds.
    #[schema(examples(412))]
    heartbeat_age_ms: u64,
}

impl Live {
    /// The wire form of `liveness`.
    pub(crate) fn of(liveness: Liveness) -> Self {
        Self {
            status: if liveness.live { "live" } else { "stuck" },
            heartbeat_age_ms: millis(liveness.heartbeat),
        }
    }
}

/// Whether the process has started.
#[derive(Serialize, ToSchema)]
pub(crate) struct Started {
    /// `started` or `starting`.
    #[schema(examples("started"))]
    status: &'static str,
    /// What it is at, in a few words.
    #[schema(examples("serves"))]
    detail: &'static str,
    /// For how long it has been at that, in milliseconds.
    #[schema(examples(86_400_000_u64))]
    state_age_ms: u64,
}

impl Started {
    /// The wire form of `startup`.
    pub(crate) fn of(startup: &Startup) -> Self {
        Self {
            status: if startup.started { "started" } else { "starting" },
            detail: startup.detail,
            state_age_ms: millis(startup.since),
        }
    }
}

/// Whether this node can serve.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    /// `ready` or `not_ready`.
    #[schema(examples("ready"))]
    status: &'static str,
    /// What was looked at.
    checks: Vec<ReadyCheck>,
}

/// One of the things without which this node cannot serve.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReadyCheck {
    /// What was looked at: `process`, `database`, `migrations`, `engine`.
    #[schema(examples("database"))]
    name: &'static str,
    /// `ready` or `not_ready`.
    #[schema(examples("ready"))]
    status: &'static str,
    /// A few words.
    #[schema(examples("answers"))]
    detail: Cow<'static, str>,
    /// For how long it has been so, in milliseconds.
    #[schema(examples(86_400_000_u64))]
    state_age_ms: u64,
    /// How long ago it was last looked at, in milliseconds; null: not yet.
    #[schema(examples(1_830))]
    checked_age_ms: Option<u64>,
}

impl Ready {
    /// The wire form of `checks`.
    pub(crate) fn of(checks: Vec<Check>) -> Self {
        Self {
            status: word(all_ready(&checks)),
            checks: checks
                .into_iter()
                .map(|check| ReadyCheck {
                    name: check.name,
                    status: word(check.ready),
                    detail: check.detail,
                    state_age_ms: millis(check.since),
                    checked_age_ms: check.looked.map(millis),
                })
                .collect(),
        }
    }
}

const fn word(ready: bool) -> &'static str {
    if ready { "ready" } else { "not_ready" }
}

fn millis(age: Duration) -> u64 {
    u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
}

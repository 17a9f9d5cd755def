use serde::Serialize;
use utoipa::ToSchema;

use crate::Check;

/// That the process answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Live {
    /// Always `live`.
    #[schema(examples("live"))]
    pub(crate) status: &'static str,
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
    /// What was looked at.
    #[schema(examples("database"))]
    name: &'static str,
    /// `ready` or `not_ready`.
    #[schema(examples("ready"))]
    status: &'static str,
    /// One sentence.
    #[schema(examples("answers"))]
    detail: String,
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
                })
                .collect(),
        }
    }
}

/// Whether all of them are as they should be.
pub(crate) fn all_ready(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.ready)
}

const fn word(ready: bool) -> &'static str {
    if ready { "ready" } else { "not_ready" }
}

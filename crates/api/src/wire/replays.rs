use postrider_application::{Error, replays::CreateReplay};
use postrider_domain::{
    InvalidValue, Rule, replays,
    replays::{ReplayLimit, ReplayMode, ReplayState, ReplayStatus},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{Body, Checks, Whole, path::EndpointPath, time};

/// A replay to begin.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "mode": "missing",
    "from": "2026-11-01T00:00:00Z",
    "limit": 10000
})))]
pub(crate) struct NewReplay {
    /// Which messages: `all` that the endpoint's filter wants now, those whose delivery to it `failed` or was
    /// cancelled, or those `missing`: wanted by its filter now, and never delivered to it.
    #[schema(examples("missing"))]
    mode: String,
    /// Messages that were accepted at this time or later (RFC 3339).
    #[schema(format = "date-time")]
    from: String,
    /// Messages that were accepted before this time (RFC 3339); until now, if absent.
    #[schema(format = "date-time")]
    to: Option<String>,
    /// The most messages to queue; then the job is complete.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000, default = 100_000)]
    limit: Option<Whole>,
}

impl Body for NewReplay {}

impl NewReplay {
    /// The command, if all of it is well.
    pub(crate) fn into_command(self, path: &EndpointPath) -> Result<CreateReplay, Error> {
        let mut checks = Checks::of(&self);
        let (application, endpoint) = path.parts(&mut checks);
        let mode = ReplayMode::parse(&self.mode)
            .ok_or_else(|| InvalidValue::new(Rule::Unknown, "must be `all`, `failed` or `missing`"));
        let mode = checks.check("mode", mode);
        let from = checks.check("from", time::parse(&self.from));
        let to = checks.optional("to", self.to.as_deref(), time::parse);
        let limit = checks.optional("limit", self.limit, |limit| ReplayLimit::new(limit.saturating()));
        let (application, endpoint, mode, from, to, limit) =
            checks.all((application, endpoint, mode, from, to, limit))?;
        Ok(CreateReplay {
            application,
            endpoint,
            replay: replays::NewReplay {
                mode,
                from,
                to,
                limit: limit.unwrap_or_default(),
            },
        })
    }
}

/// A job that delivers many messages to one endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct Replay {
    /// Its id.
    #[schema(examples("rpl_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// The endpoint that receives.
    #[schema(examples("ep_01jd8x3v9ce2sbm4w8f1q7k5zv"))]
    endpoint: String,
    /// `all`, `failed` or `missing`.
    #[schema(examples("missing"))]
    mode: &'static str,
    /// Messages that were accepted at this time or later.
    #[schema(format = "date-time", examples("2026-11-01T00:00:00.000000Z"))]
    from: String,
    /// Messages that were accepted before this time.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    to: String,
    /// The most messages to queue.
    #[schema(examples(10_000))]
    limit: u32,
    /// `running`, `completed`, `cancelled` or `failed`.
    #[schema(examples("running"))]
    status: &'static str,
    /// Why it could not go on, if it failed: `endpoint_disabled` or `endpoint_gone`.
    #[schema(required)]
    failure_reason: Option<&'static str>,
    /// How far it came.
    progress: ReplayProgress,
    /// When it was begun.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
    /// When it came to an end.
    #[schema(required, format = "date-time")]
    finished_at: Option<String>,
}

/// How far a replay came.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReplayProgress {
    /// Messages (of `failed`: deliveries) that were looked at.
    #[schema(examples(5_000))]
    considered: u64,
    /// Those of them that were queued for the endpoint.
    #[schema(examples(4_200))]
    queued: u64,
    /// Those of them that were not: not wanted by the filter, there already, on their way, or without payload.
    #[schema(examples(800))]
    skipped: u64,
}

impl From<ReplayState> for Replay {
    fn from(state: ReplayState) -> Self {
        let failure_reason = match state.status {
            ReplayStatus::Failed(why) => Some(why.as_str()),
            _ => None,
        };
        Self {
            id: state.id.to_string(),
            endpoint: state.endpoint.to_string(),
            mode: state.mode.as_str(),
            from: time::show(state.from),
            to: time::show(state.to),
            limit: state.limit.get(),
            status: state.status.as_str(),
            failure_reason,
            progress: ReplayProgress {
                considered: state.progress.considered,
                queued: state.progress.queued,
                skipped: state.progress.skipped,
            },
            created_at: time::show(state.created_at),
            finished_at: state.finished_at.map(time::show),
        }
    }
}

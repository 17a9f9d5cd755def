//! How often a tenant and a credential may ask, on one node: token buckets in memory.
//!
//! A bucket is one number, the time at which it would be full again (the generic cell rate algorithm), so that keeping
//! one costs a look into a map. There are as many as there may be: where one more is asked for, those that are full
//! again go, as they tell nothing, and if there are none, the fullest.

use std::{
    collections::HashMap,
    fmt::Write as _,
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use actix_web::{
    Error, HttpMessage as _,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    web::Data,
};
use postrider_application::{
    ErrorCode,
    access::{Caller, Identity, PrincipalId},
};
use sha2::{Digest as _, Sha256};

use crate::{ApiContext, problem::Problem};

/// What is left of each quota (draft-ietf-httpapi-ratelimit-headers).
const LEFT: HeaderName = HeaderName::from_static("ratelimit");
/// The quotas.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

const NANOS: u64 = 1_000_000_000;
/// In how many parts a limit's buckets lie, so that threads seldom wait for each other.
const SHARDS: usize = 64;
/// The most buckets of one part: 65,536 tenants or credentials at once.
const MAX_PER_SHARD: usize = 1_024;
/// How many tenants, and how many credentials, are counted at once.
pub(crate) const MOST_COUNTED: usize = SHARDS * MAX_PER_SHARD;

/// A limit of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many a second in the long run; 0: as many as come.
    pub per_second: u32,
    /// How many at once; 0: as many as in one second.
    pub burst: u32,
}

/// Who may ask how often on one node. The defaults let one tenant publish 20,000 messages a second, one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateOptions {
    /// A tenant, by all of its credentials. Default 50,000 a second, 100,000 at once.
    pub tenant: RateLimit,
    /// One credential: a session, an API key, a portal token, an operator's token. Default 25,000 a second, 50,000 at
    /// once.
    pub credential: RateLimit,
}

impl Default for RateOptions {
    fn default() -> Self {
        let limit = |per_second| RateLimit {
            per_second,
            burst: 2 * per_second,
        };
        Self {
            tenant: limit(50_000),
            credential: limit(25_000),
        }
    }
}

/// Whose bucket.
type Id = (u8, u128);

/// What is left after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    requests: u64,
    /// In how many seconds the bucket is full again.
    full_in_s: u64,
}

/// The buckets of one limit.
struct Buckets {
    name: &'static str,
    /// How long one request takes to come back.
    interval_ns: u64,
    /// How far ahead a bucket may be.
    room_ns: u64,
    quota: u64,
    hasher: RandomState,
    /// When each is full again.
    shards: Vec<Mutex<HashMap<Id, u64>>>,
}

impl Buckets {
    fn new(name: &'static str, limit: RateLimit) -> Option<Self> {
        let per_second = u64::from(limit.per_second);
        let interval_ns = NANOS.checked_div(per_second)?.max(1);
        let quota = match limit.burst {
            0 => per_second,
            burst => u64::from(burst),
        };
        Some(Self {
            name,
            interval_ns,
            room_ns: interval_ns * quota,
            quota,
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        })
    }

    /// Takes one, at that time; or how long to wait until there is one.
    fn take(&self, id: Id, now_ns: u64) -> Result<Left, Duration> {
        // Less than `SHARDS`, so it fits.
        let shard = usize::try_from(self.hasher.hash_one(id) % SHARDS as u64).unwrap_or_default();
        let mut buckets = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = buckets.get(&id).copied().unwrap_or(0).max(now_ns) + self.interval_ns;
        let ahead = full_at - now_ns;
        if let Some(too_far) = ahead.checked_sub(self.room_ns).filter(|over| *over > 0) {
            return Err(Duration::from_nanos(too_far));
        }
        if buckets.len() >= MAX_PER_SHARD && !buckets.contains_key(&id) {
            make_room(&mut buckets, now_ns);
        }
        buckets.insert(id, full_at);
        Ok(self.left(ahead))
    }

    fn left(&self, ahead: u64) -> Left {
        Left {
            requests: (self.room_ns - ahead) / self.interval_ns,
            full_in_s: ahead.div_ceil(NANOS),
        }
    }

    /// In how many seconds an empty bucket is full.
    fn window_s(&self) -> u64 {
        self.room_ns.div_ceil(NANOS)
    }
}

/// Forgets what is full again; if nothing is, the fullest.
fn make_room(buckets: &mut HashMap<Id, u64>, now_ns: u64) {
    buckets.retain(|_, full_at| *full_at > now_ns);
    if buckets.len() >= MAX_PER_SHARD
        && let Some(fullest) = buckets.iter().min_by_key(|(_, at)| **at).map(|(id, _)| *id)
    {
        buckets.remove(&fullest);
    }
}

/// The buckets of a node.
pub struct RateLimits {
    tenant: Option<Buckets>,
    credential: Option<Buckets>,
    /// What the `RateLimit-Policy` of answers to people and machines is, and to operators.
    policies: (Option<HeaderValue>, Option<HeaderValue>),
}

impl RateLimits {
    /// Full buckets of these sizes.
    pub fn new(options: RateOptions) -> Self {
        let tenant = Buckets::new("tenant", options.tenant);
        let credential = Buckets::new("credential", options.credential);
        let both = [credential.as_ref(), tenant.as_ref()];
        Self {
            policies: (policy(&both), policy(&both[..1])),
            tenant,
            credential,
        }
    }

    /// Takes one of each bucket of whoever asks.
    fn take(&self, identity: &Identity, now: Duration) -> (Quotas, Result<(), Duration>) {
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX / 2);
        let (credential, tenant) = ids(identity);
        let mut text = String::with_capacity(64);
        let mut refused = None;
        for (buckets, id) in [(&self.credential, credential), (&self.tenant, tenant)] {
            let (Some(buckets), Some(id)) = (buckets, id) else {
                continue;
            };
            if refused.is_some() {
                break;
            }
            let left = buckets.take(id, now_ns).unwrap_or_else(|wait| {
                refused = Some(wait);
                Left {
                    requests: 0,
                    full_in_s: wait.as_secs() + 1,
                }
            });
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "{comma}\"{}\";r={};t={}",
                buckets.name, left.requests, left.full_in_s
            );
        }
        let policy = match identity {
            Identity::Principal(_) => &self.policies.0,
            Identity::Operator(_) | Identity::Anonymous => &self.policies.1,
        };
        let quotas = Quotas {
            left: Some(text)
                .filter(|text| !text.is_empty())
                .and_then(|text| HeaderValue::try_from(text).ok()),
            policy: policy.clone(),
        };
        (quotas, refused.map_or(Ok(()), Err))
    }
}

fn policy(limits: &[Option<&Buckets>]) -> Option<HeaderValue> {
    let all: Vec<_> = limits
        .iter()
        .flatten()
        .map(|limit| format!("\"{}\";q={};w={}", limit.name, limit.quota, limit.window_s()))
        .collect();
    // Names and numbers are a header's value.
    HeaderValue::try_from(all.join(", "))
        .ok()
        .filter(|_| !all.is_empty())
}

/// The buckets of whoever asks: their credential's, and their tenant's if they are of one.
fn ids(identity: &Identity) -> (Option<Id>, Option<Id>) {
    match identity {
        Identity::Anonymous => (None, None),
        Identity::Operator(name) => {
            let hash = Sha256::digest(name.as_bytes());
            let mut half = [0; 16];
            half.copy_from_slice(&hash[..16]);
            (Some((0, u128::from_be_bytes(half))), None)
        }
        Identity::Principal(principal) => {
            let credential = match principal.id {
                PrincipalId::User(_, session) => (1, session.as_uuid()),
                PrincipalId::ApiKey(key) => (2, key.as_uuid()),
                PrincipalId::Portal(token) => (3, token.as_uuid()),
            };
            let tenant = principal.tenant.as_uuid().as_u128();
            (Some((credential.0, credential.1.as_u128())), Some((4, tenant)))
        }
    }
}

/// What an answer says of the quotas of whoever asked; left with the request for the station that writes headers.
#[derive(Clone)]
pub(crate) struct Quotas {
    left: Option<HeaderValue>,
    policy: Option<HeaderValue>,
}

impl Quotas {
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        for (name, value) in [(LEFT, self.left), (POLICY, self.policy)] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
    }
}

/// Lets whoever authentication knows ask as often as they may, before path or body are looked at.
pub(crate) async fn limit_rates<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let context = request.app_data::<Data<ApiContext>>().cloned();
    let caller = request.extensions().get::<Caller>().cloned();
    if let (Some(context), Some(caller)) = (context, caller) {
        let (quotas, taken) = context.rates.take(&caller.identity, context.clock.monotonic());
        request.extensions_mut().insert(quotas);
        if let Err(wait) = taken {
            tracing::debug!("too many requests");
            let detail = "more requests than the RateLimit-Policy allows";
            let error = postrider_application::Error::new(ErrorCode::RateLimited, detail).retry_after(wait);
            return Ok(request.error_response(Problem::from(error)).map_into_right_body());
        }
    }
    Ok(next.call(request).await?.map_into_left_body())
}

#[cfg(test)]
mod tests;

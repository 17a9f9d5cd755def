use postrider_application::access::Principal;
use postrider_domain::{
    ApiKeyId, TenantId,
    access::{Authority, Grant, Role},
    tenants::TenantStatus,
};
use uuid::Uuid;

use super::*;

const SECOND: u64 = NANOS;

fn buckets(per_second: u32, burst: u32) -> Buckets {
    Buckets::new("x", RateLimit { per_second, burst }).unwrap()
}

fn taken(buckets: &Buckets, now_ns: u64, times: u32) -> u32 {
    let times = (0..times).filter(|_| buckets.take((0, 1), now_ns).is_ok());
    u32::try_from(times.count()).unwrap()
}

#[test]
fn a_bucket_gives_its_burst_and_then_its_rate() {
    let buckets = buckets(10, 30);
    assert_eq!(taken(&buckets, SECOND, 100), 30);
    assert_eq!(taken(&buckets, SECOND + SECOND / 10, 100), 1);
    assert_eq!(taken(&buckets, 2 * SECOND, 100), 9);
    // Left alone it is full again, and no fuller.
    assert_eq!(taken(&buckets, 1_000 * SECOND, 100), 30);
}

#[test]
fn it_says_what_is_left_and_how_long_to_wait() {
    let buckets = buckets(2, 4);
    let left = |requests, full_in_s| Ok(Left { requests, full_in_s });
    assert_eq!(buckets.take((0, 1), 0), left(3, 1));
    assert_eq!(buckets.take((0, 1), 0), left(2, 1));
    assert_eq!(buckets.take((0, 1), 0), left(1, 2));
    assert_eq!(buckets.take((0, 1), 0), left(0, 2));
    let wait = Duration::from_millis(500);
    assert_eq!(buckets.take((0, 1), 0), Err(wait));
    // What was refused has not taken any.
    assert_eq!(buckets.take((0, 1), 0), Err(wait));
    assert_eq!(buckets.take((0, 1), 499_999_999), Err(Duration::from_nanos(1)));
    assert_eq!(buckets.take((0, 1), 500_000_000), left(0, 2));
    assert_eq!(buckets.take((0, 2), 0), left(3, 1), "another's");
}

#[test]
fn there_are_only_so_many_buckets_and_who_waits_is_kept() {
    let buckets = buckets(1, 1);
    for shard in 0..SHARDS {
        assert!(buckets.shards[shard].lock().unwrap().is_empty());
    }
    for id in 0..200_000 {
        buckets.take((0, id), 0).unwrap();
    }
    let kept = |buckets: &Buckets| -> usize {
        let shards = buckets.shards.iter();
        shards.map(|shard| shard.lock().unwrap().len()).sum()
    };
    assert_eq!(kept(&buckets), SHARDS * MAX_PER_SHARD);
    // Those that are full again go first.
    for id in 200_000..210_000 {
        buckets.take((0, id), 10 * SECOND).unwrap();
    }
    assert!(kept(&buckets) < 2 * 10_000);
}

fn machine(tenant: u128, key: u128) -> Identity {
    Identity::Principal(
        Principal {
            id: PrincipalId::ApiKey(ApiKeyId::from_uuid(Uuid::from_u128(key))),
            tenant: TenantId::from_uuid(Uuid::from_u128(tenant)),
            tenant_settings: postrider_domain::tenants::TenantSettings::default(),
            tenant_status: TenantStatus::Active,
            authority: Authority::Grants(vec![Grant::tenant(Role::Publisher)]),
            expires_at: None,
        }
        .into(),
    )
}

fn limit(per_second: u32) -> RateLimit {
    RateLimit { per_second, burst: 0 }
}

#[test]
fn a_tenant_is_limited_by_all_of_its_credentials() {
    let rates = RateLimits::new(RateOptions {
        tenant: limit(3),
        credential: limit(2),
    });
    let ask = |tenant, key| rates.take(&machine(tenant, key), Duration::ZERO);
    let (quotas, taken) = ask(1, 1);
    assert_eq!(taken, Ok(()));
    let text = |value: &Option<HeaderValue>| value.as_ref().unwrap().to_str().unwrap().to_owned();
    assert_eq!(text(&quotas.left), "\"credential\";r=1;t=1, \"tenant\";r=2;t=1");
    assert_eq!(text(&quotas.policy), "\"credential\";q=2;w=1, \"tenant\";q=3;w=1");
    assert!(ask(1, 1).1.is_ok());
    let (quotas, refused) = ask(1, 1);
    assert!(refused.is_err());
    assert_eq!(text(&quotas.left), "\"credential\";r=0;t=1");
    assert!(
        ask(1, 2).1.is_ok(),
        "what was refused took nothing of the tenant's"
    );
    assert!(ask(1, 3).1.is_err());
    assert!(ask(2, 4).1.is_ok());
    let (quotas, taken) = rates.take(&Identity::Operator("o".into()), Duration::ZERO);
    assert!(taken.is_ok());
    assert_eq!(text(&quotas.policy), "\"credential\";q=2;w=1");
}

#[test]
fn no_limit_says_nothing_and_refuses_nobody() {
    let rates = RateLimits::new(RateOptions {
        tenant: limit(0),
        credential: limit(0),
    });
    for _ in 0..1_000 {
        let (quotas, taken) = rates.take(&machine(1, 1), Duration::ZERO);
        assert!(taken.is_ok() && quotas.left.is_none() && quotas.policy.is_none());
    }
}

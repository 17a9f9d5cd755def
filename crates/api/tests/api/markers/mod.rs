//! A property: whoever asks whatever, no answer ever shows what is another tenant's, or what is of an application
//! that the asker may not see.
//!
//! Random tenants, members, grants, keys and portal tokens; everything that they write bears a marker of its tenant and
//! application. Then random requests, with ids that may be anybody's.

mod requests;
mod world;

use std::cell::Cell;

use proptest::{collection::vec, prelude::*, test_runner::TestRunner};

use self::{
    requests::legible,
    world::{World, application_marker, tenant_marker},
};

/// How many worlds, and how many requests in each.
const CASES: u32 = 10;
const REQUESTS: usize = 150;
const TENANTS: usize = 3;
const APPLICATIONS: usize = 2;
const ROLES: [&str; 5] = ["owner", "admin", "developer", "viewer", "publisher"];
const PORTAL: [&str; 6] = [
    "applications:read",
    "endpoints:read",
    "endpoints:write",
    "messages:read",
    "payloads:read",
    "deliveries:read",
];

/// One principal to make: of which tenant, how it comes in, and what it is granted.
#[derive(Debug, Clone)]
struct Who {
    tenant: usize,
    way: Way,
    grants: Vec<(usize, Option<usize>)>,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Member,
    Key,
    Portal,
}

/// One request: by whom, which, and how to pick what it names.
#[derive(Debug, Clone, Copy)]
struct Asked {
    who: usize,
    which: usize,
    picks: [usize; 3],
}

fn who() -> impl Strategy<Value = Who> {
    let grant = (0..ROLES.len(), proptest::option::of(0..APPLICATIONS));
    let way = prop_oneof![Just(Way::Member), Just(Way::Key), Just(Way::Portal)];
    (0..TENANTS, way, vec(grant, 1..3)).prop_map(|(tenant, way, grants)| Who { tenant, way, grants })
}

fn asked() -> impl Strategy<Value = Asked> {
    (any::<usize>(), any::<usize>(), any::<[usize; 3]>()).prop_map(|(who, which, picks)| Asked {
        who,
        which,
        picks,
    })
}

#[test]
fn no_answer_shows_what_is_not_the_askers() {
    let config = ProptestConfig {
        cases: CASES,
        max_shrink_iters: 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (seen, answered) = (Cell::new(0_usize), Cell::new(0_usize));
    TestRunner::new(config)
        .run(
            &(vec(who(), 3..9), vec(asked(), REQUESTS)),
            |(people, requests)| {
                actix_web::rt::System::new().block_on(async {
                    let world = World::new(&people).await;
                    for request in requests {
                        let good = world.ask(request).await.map_err(TestCaseError::fail)?;
                        seen.set(seen.get() + 1);
                        answered.set(answered.get() + usize::from(good));
                    }
                    Ok(())
                })
            },
        )
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(seen.get(), CASES as usize * REQUESTS);
    // It would be no test if everything was refused.
    assert!(
        answered.get() * 10 > seen.get(),
        "{} were answered",
        answered.get()
    );
}

/// The check itself must be able to fail: an owner is shown their own marks.
#[actix_web::test]
async fn marks_are_seen_by_those_who_may() {
    let world = World::new(&[]).await;
    let owner = &world.askers[0];
    let ids = &world.ids;
    let attempts = format!(
        "/v1/applications/app-0/messages/{}/deliveries/{}/attempts",
        ids.messages[0], ids.endpoints[0]
    );
    for (path, shows) in [
        ("/v1/applications", tenant_marker(0)),
        ("/v1/tenant/export", tenant_marker(0)),
        ("/v1/tenant", tenant_marker(0)),
        (attempts.as_str(), format!("{}answer", application_marker(0, 0))),
        ("/v1/deliveries?status=pending", ids.messages[0].clone()),
    ] {
        let answer = world.api.get(&owner.token, path).await.expect(200);
        let shown = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(shown.contains(&shows), "{path}: {shown}");
    }
    let export = world.api.get(&owner.token, "/v1/tenant/export").await.expect(200);
    let payload = format!("{}payload", application_marker(0, 0));
    assert!(
        legible(&export.body).contains(&payload),
        "payloads are in the export, in base64"
    );
}

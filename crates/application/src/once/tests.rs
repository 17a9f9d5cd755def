use postrider_domain::{
    Uid,
    access::{Grant, Role},
    applications::ApplicationState,
};

use super::*;
use crate::{
    applications::{CreateApplication, ListApplications},
    endpoints::{DisableEndpoint, EnableEndpoint},
    ports::PageRequest,
    testing::{World, create_endpoint, create_tenant, operator},
};

fn key(text: &str, asked: u8) -> OnceKey {
    OnceKey {
        key: DedupKey::idempotency_key(text).unwrap(),
        asked: [asked; 32],
        also: Vec::new(),
    }
}

type Created = crate::Versioned<ApplicationState>;

fn application(uid: Option<&str>) -> CreateApplication {
    CreateApplication {
        uid: uid.map(|text| Uid::parse(text).unwrap()),
        name: postrider_domain::Name::parse("Customer").unwrap(),
        metadata: postrider_domain::Metadata::default(),
    }
}

async fn create(world: &World, caller: &Caller, key: &OnceKey, uid: Option<&str>) -> Result<Once<Created>> {
    let render = |created: &Created| created.value.id.to_string().into_bytes();
    world
        .mediator
        .send_once(caller, Some(key), application(uid), render)
        .await
}

async fn applications(world: &World, caller: &Caller) -> usize {
    let page = PageRequest::first(100);
    world
        .send(caller, ListApplications { page })
        .await
        .unwrap()
        .items
        .len()
}

#[tokio::test]
async fn it_is_done_once_and_answered_the_same() {
    let world = World::new();
    let ada = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
    let Once::Fresh(created) = create(&world, &ada, &key("k", 1), Some("uid")).await.unwrap() else {
        panic!("nobody was there before")
    };
    for _ in 0..2 {
        // Done anew, it would be refused: the uid is in use.
        assert_eq!(
            create(&world, &ada, &key("k", 1), Some("uid")).await.unwrap(),
            Once::Replayed(created.value.id.to_string().into_bytes())
        );
    }
    assert_eq!(applications(&world, &ada).await, 1);
    let another = create(&world, &ada, &key("k", 2), None).await.unwrap_err();
    assert_eq!(another.code(), ErrorCode::IdempotencyConflict);
    assert!(matches!(
        create(&world, &ada, &key("another", 1), None).await,
        Ok(Once::Fresh(_))
    ));
}

#[tokio::test]
async fn a_key_is_its_callers_own() {
    let world = World::new();
    let ada = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
    let eve = world
        .caller("eve@other.example", Grant::tenant(Role::Owner))
        .await;
    for caller in [&ada, &eve] {
        assert!(matches!(
            create(&world, caller, &key("k", 1), None).await,
            Ok(Once::Fresh(_))
        ));
    }
}

#[tokio::test]
async fn who_may_not_is_told_so_before_a_key_is_looked_at() {
    let world = World::new();
    let ada = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
    create(&world, &ada, &key("k", 1), None).await.unwrap();
    let demoted = World::same_tenant(&ada, Grant::tenant(Role::Viewer));
    let refused = create(&world, &demoted, &key("k", 1), None).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Forbidden);
}

#[tokio::test]
async fn errors_are_not_kept() {
    let world = World::new();
    let ada = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
    world.application(&ada, Some("uid")).await;
    for _ in 0..2 {
        let refused = create(&world, &ada, &key("k", 1), Some("uid")).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::UidTaken);
    }
    assert!(create(&world, &ada, &key("k", 1), Some("free")).await.is_ok());
}

#[tokio::test]
async fn what_changed_nothing_is_answered_the_same_too() {
    let world = World::new();
    let ada = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
    let application = world.application(&ada, None).await.id;
    let created = world
        .send(&ada, create_endpoint(application, "https://example.com/"))
        .await
        .unwrap();
    let endpoint = created.endpoint.id;
    let enable = || {
        let request = EnableEndpoint {
            application: application.into(),
            endpoint: endpoint.into(),
        };
        let key = key("k", 1);
        let (world, ada) = (&world, &ada);
        async move {
            let render = |_: &crate::ports::EndpointView| b"enabled".to_vec();
            world.mediator.send_once(ada, Some(&key), request, render).await
        }
    };
    assert!(matches!(enable().await, Ok(Once::Fresh(_))));
    let disable = DisableEndpoint {
        application: application.into(),
        endpoint: endpoint.into(),
    };
    world.send(&ada, disable).await.unwrap();
    // A request that came late does not undo what was done since.
    assert_eq!(enable().await.unwrap(), Once::Replayed(b"enabled".to_vec()));
}

#[tokio::test]
async fn of_several_at_once_one_is_done() {
    let world = World::new();
    let ada = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
    let key = key("k", 1);
    let create = || create(&world, &ada, &key, Some("uid"));
    let (one, two, three) = tokio::join!(create(), create(), create());
    let all = [one.unwrap(), two.unwrap(), three.unwrap()];
    let fresh: Vec<_> = all
        .iter()
        .filter_map(|once| match once {
            Once::Fresh(state) => Some(state.value.id.to_string().into_bytes()),
            Once::Replayed(_) => None,
        })
        .collect();
    assert_eq!(fresh.len(), 1);
    let replayed = |once: &&Once<_>| matches!(once, Once::Replayed(bytes) if *bytes == fresh[0]);
    assert_eq!(all.iter().filter(replayed).count(), 2);
}

#[tokio::test]
async fn an_operators_command_is_done_once_too() {
    let world = World::new();
    let send = || async {
        let render = |created: &crate::tenants::CreatedTenant| created.tenant.to_string().into_bytes();
        let request = create_tenant("ada@acme.example");
        world
            .mediator
            .send_once(&operator(), Some(&key("k", 1)), request, render)
            .await
            .unwrap()
    };
    let Once::Fresh(created) = send().await else {
        panic!("nobody was there before")
    };
    assert_eq!(
        send().await,
        Once::Replayed(created.tenant.to_string().into_bytes())
    );
}

#[tokio::test]
async fn after_its_window_a_key_is_new() {
    let world = World::new();
    let ada = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
    create(&world, &ada, &key("k", 1), None).await.unwrap();
    world.pass(Duration::from_hours(24));
    assert!(matches!(
        create(&world, &ada, &key("k", 2), None).await,
        Ok(Once::Fresh(_))
    ));
}

#[tokio::test]
async fn an_answer_goes_with_its_change_or_neither_does() {
    let world = World::new();
    let ada = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
    let render = |_: &Created| vec![0; crate::ports::NewAnswer::MAX_BYTES + 1];
    let refused = world
        .mediator
        .send_once(&ada, Some(&key("k", 1)), application(None), render)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Internal);
    assert_eq!(applications(&world, &ada).await, 0);
}

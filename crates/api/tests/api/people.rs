//! How people come into a tenant, what they may do there, and how they go.

use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;

use crate::support::{Api, PASSWORD, application, owner_of};

#[actix_web::test]
async fn an_invitation_from_end_to_end() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let grants = json!([{"role": "developer", "application": "app-1"}]);
    let invited = api.invite(&tenancy.owner, "Grace@example.com", grants).await;
    assert_snapshot!("invite", invited.snapshot());
    let token = invited.text("token");
    let list = api.get(&tenancy.owner, "/v1/invitations").await.expect(200);
    assert_snapshot!("list_invitations", list.snapshot());
    assert!(
        !String::from_utf8_lossy(&list.body).contains(&token[35..]),
        "shown once"
    );

    let nameless = json!({"token": token, "password": PASSWORD, "name": " "});
    let nameless = api
        .post("", "/v1/invitations/accept", nameless)
        .await
        .violations();
    assert_eq!(nameless, [("name".to_owned(), "required".to_owned())]);
    let short = api.accept(&token, "too short").await.violations();
    assert_eq!(short, [("password".to_owned(), "too_short".to_owned())]);

    let joined = api.accept(&token, PASSWORD).await;
    assert_snapshot!("accept_invitation", joined.snapshot());
    api.accept(&token, PASSWORD).await.problem(401, "invalid_token");
    let list = api.get(&tenancy.owner, "/v1/invitations").await.expect(200);
    assert_eq!(list.json()["data"], json!([]));

    let login = api.log_in("grace@example.com").await.expect(200);
    let me = api.get(&login.text("access_token"), "/v1/me").await;
    assert_snapshot!("get_me", me.snapshot());
    let members = api.get(&tenancy.owner, "/v1/members").await;
    assert_snapshot!("list_members", members.snapshot());
    let applications = api.get(&login.text("access_token"), "/v1/applications").await;
    assert_snapshot!("list_applications", applications.snapshot());
}

#[actix_web::test]
async fn an_invitation_that_is_not_good_is_not_said_why() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    let viewer = || json!([{"role": "viewer"}]);
    let withdrawn = api.invite(&owner, "a@example.com", viewer()).await.expect(201);
    let path = format!("/v1/invitations/{}", withdrawn.text("id"));
    api.delete(&owner, &path).await.expect(204);
    api.delete(&owner, &path).await.problem(404, "not_found");
    let good = api
        .invite(&owner, "b@example.com", viewer())
        .await
        .expect(201)
        .text("token");
    let (head, last) = good.split_at(good.len() - 1);
    let altered = format!("{head}{}", if last == "0" { "1" } else { "0" });
    let unknown = format!("pri_{}{}", "0".repeat(26), &good[30..]);

    let mut answers = Vec::new();
    for token in [&withdrawn.text("token"), &altered, &unknown] {
        let answer = api.accept(token, PASSWORD).await.problem(401, "invalid_token");
        answers.push(answer.snapshot());
    }
    api.clock.advance(Duration::from_hours(7 * 24));
    answers.push(
        api.accept(&good, PASSWORD)
            .await
            .problem(401, "invalid_token")
            .snapshot(),
    );
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    let malformed = api.accept(&good[1..], PASSWORD).await.violations();
    assert_eq!(malformed, [("token".to_owned(), "format".to_owned())]);
    // An expired one gives way to the next.
    let owner = api
        .log_in(&owner_of("acme"))
        .await
        .expect(200)
        .text("access_token");
    api.invite(&owner, "b@example.com", viewer()).await.expect(201);
}

#[actix_web::test]
async fn somebody_known_proves_who_they_are_and_keeps_name_and_password() {
    let api = Api::start().await;
    let (_, acme) = api.owner("acme").await;
    let (_, rival) = api.owner("rival").await;
    let email = owner_of("rival");
    let token = api
        .invite(&acme, &email, json!([{"role": "viewer"}]))
        .await
        .expect(201)
        .text("token");
    let wrong = api.accept(&token, "another good password").await;
    wrong.problem(401, "invalid_credentials");
    api.accept(&token, PASSWORD).await.expect(201);
    let members = api.get(&acme, "/v1/members").await.expect(200).json();
    assert_eq!(members["data"][1]["name"], "Ada", "not the name that was given");
    // Neither owner sees the other's tenant for it.
    api.get(&rival, "/v1/members").await.expect(200);
    assert_eq!(
        api.get(&rival, "/v1/members").await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[actix_web::test]
async fn nobody_gives_what_they_do_not_hold() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let admin = api
        .member(&tenancy.owner, "admin@example.com", json!([{"role": "admin"}]))
        .await;
    let (owner_role, not_held) = (json!([{"role": "owner"}]), "not_held".to_owned());
    let fault = [("grants[0].role".to_owned(), not_held.clone())];
    let invite = api
        .invite(&admin.token, "x@example.com", owner_role.clone())
        .await;
    assert_eq!(invite.violations(), fault);
    let key = json!({"name": "k", "grants": owner_role});
    assert_eq!(
        api.post(&admin.token, "/v1/api-keys", key).await.violations(),
        fault
    );
    // Not to themselves either, and nobody manages those above them.
    let grants_of = |member: &str| format!("/v1/members/{member}/grants");
    let own = api
        .put(
            &admin.token,
            &grants_of(&admin.member),
            json!({"grants": owner_role}),
        )
        .await;
    assert_eq!(own.violations(), fault);
    let members = api.get(&admin.token, "/v1/members").await.expect(200).json();
    let owner = members["data"][0]["id"].as_str().unwrap().to_owned();
    let viewer = json!({"grants": [{"role": "viewer"}]});
    api.put(&admin.token, &grants_of(&owner), viewer.clone())
        .await
        .problem(403, "forbidden");
    let owner_path = format!("/v1/members/{owner}");
    api.delete(&admin.token, &owner_path)
        .await
        .problem(403, "forbidden");

    // What several faults there are is told at once.
    let several = json!({"grants": [
        {"role": "king"}, {"role": "viewer", "application": "a b"}, {"role": "viewer", "application": "nobody"}
    ]});
    let several = api
        .put(&tenancy.owner, &grants_of(&admin.member), several)
        .await
        .violations();
    assert_eq!(several[0], ("grants[0].role".to_owned(), "unknown".to_owned()));
    assert_eq!(
        several[1],
        ("grants[1].application".to_owned(), "charset".to_owned())
    );
    let unknown = json!({"grants": [{"role": "viewer", "application": "nobody"}]});
    let unknown = api
        .put(&tenancy.owner, &grants_of(&admin.member), unknown)
        .await
        .violations();
    assert_eq!(
        unknown,
        [("grants[0].application".to_owned(), "unknown".to_owned())]
    );
    let none = api
        .put(&tenancy.owner, &grants_of(&admin.member), json!({"grants": []}))
        .await;
    assert_eq!(none.violations(), [("grants".to_owned(), "required".to_owned())]);

    // The last owner stays one.
    api.put(&tenancy.owner, &grants_of(&owner), viewer)
        .await
        .problem(409, "last_owner");
    api.delete(&tenancy.owner, &owner_path)
        .await
        .problem(409, "last_owner");
}

#[actix_web::test]
async fn changed_grants_hold_at_once_and_a_removed_member_is_out() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let grace = api
        .member(&tenancy.owner, "grace@example.com", json!([{"role": "viewer"}]))
        .await;
    let create = || api.post(&grace.token, "/v1/applications", application("app-2"));
    create().await.problem(403, "forbidden");
    let path = format!("/v1/members/{}", grace.member);
    let developer = json!({"grants": [{"role": "developer"}]});
    let changed = api
        .put(&tenancy.owner, &format!("{path}/grants"), developer)
        .await;
    assert_snapshot!("change_grants", changed.snapshot());
    create().await.expect(201);

    api.delete(&tenancy.owner, &path).await.expect(204);
    api.get(&grace.token, "/v1/me")
        .await
        .problem(401, "unauthenticated");
    api.refresh(&grace.refresh_token)
        .await
        .problem(401, "invalid_token");
    // The person is still there, but a member of nothing.
    api.log_in("grace@example.com").await.problem(403, "forbidden");
    api.delete(&tenancy.owner, &path).await.problem(404, "not_found");
}

#[actix_web::test]
async fn keys_are_listed_without_their_secrets_and_revoked() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    let token = api
        .key(
            &tenancy.owner,
            json!([{"role": "viewer", "application": "app-1"}]),
        )
        .await;
    api.get(&token, "/v1/applications/app-1").await.expect(200);
    let me = api.get(&token, "/v1/me").await.expect(200).json();
    assert_eq!((&me["kind"], &me["session"]), (&json!("api_key"), &json!(null)));
    let list = api.get(&tenancy.owner, "/v1/api-keys").await;
    assert_snapshot!("list_api_keys", list.snapshot());
    assert!(!String::from_utf8_lossy(&list.body).contains(&token[35..]));
    let path = format!("/v1/api-keys/{}", list.json()["data"][0]["id"].as_str().unwrap());
    api.delete(&tenancy.owner, &path).await.expect(204);
    api.get(&token, "/v1/applications/app-1")
        .await
        .problem(401, "unauthenticated");
    api.delete(&tenancy.owner, &path).await.problem(404, "not_found");
}

#[actix_web::test]
async fn lists_have_pages() {
    let api = Api::start().await;
    let tenancy = api.tenancy("acme").await;
    for number in 2..=3 {
        let body = application(&format!("app-{number}"));
        api.post(&tenancy.owner, "/v1/applications", body)
            .await
            .expect(201);
        let grants = json!([{"role": "viewer"}]);
        api.member(&tenancy.owner, &format!("m{number}@example.com"), grants.clone())
            .await;
        api.invite(&tenancy.owner, &format!("i{number}@example.com"), grants.clone())
            .await
            .expect(201);
        api.key(&tenancy.owner, grants).await;
    }
    for (path, count) in [
        ("/v1/applications", 3),
        ("/v1/members", 3),
        ("/v1/invitations", 2),
        ("/v1/api-keys", 2),
        ("/v1/audit-entries?action=application.create", 3),
    ] {
        let glue = if path.contains('?') { '&' } else { '?' };
        let (mut seen, mut next) = (Vec::new(), String::new());
        loop {
            let page = api
                .get(&tenancy.owner, &format!("{path}{glue}limit=1{next}"))
                .await
                .expect(200)
                .json();
            seen.extend(
                page["data"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|item| item["id"].clone()),
            );
            match page["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        let whole = api.get(&tenancy.owner, path).await.expect(200).json();
        let whole: Vec<_> = whole["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i["id"].clone())
            .collect();
        assert_eq!((seen.len(), &seen), (count, &whole), "{path}");
        let bad = api
            .get(&tenancy.owner, &format!("{path}{glue}limit=0&cursor=!"))
            .await
            .violations();
        assert_eq!(bad.len(), 2, "{path}");
    }
}

//! Logging in, staying so, and ending it.

use std::time::Duration;

use actix_web::test::TestRequest;
use serde_json::json;

use crate::support::{Api, PASSWORD, Setup, owner_of};

const ME: &str = "/v1/me";
const NEW: &str = "staple battery horse correct";

#[actix_web::test]
async fn whoever_guesses_is_held_up_and_known_and_unknown_accounts_alike() {
    let api = Api::start().await;
    api.owner("acme").await;
    let mut answers = Vec::new();
    for (account, address) in [
        ("owner@acme.example", "203.0.113.65:1"),
        ("nobody@acme.example", "192.0.2.65:1"),
    ] {
        for _ in 0..5 {
            let wrong = api.log_in_with(account, "wrong wrong wrong", address).await;
            wrong.problem(401, "invalid_credentials");
        }
        let held = api.log_in_with(account, "wrong wrong wrong", address).await;
        let held = held.problem(429, "too_many_attempts");
        let seconds: u64 = held.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        // From elsewhere it is no use either, not even with the right password: the account is guessed at.
        let elsewhere = api.log_in_with(account, PASSWORD, "198.51.100.7:1").await;
        elsewhere.problem(429, "too_many_attempts");
        answers.push(held.snapshot());
    }
    assert_eq!(answers[0], answers[1]);
    // But where its owner was right before, they are not locked out.
    api.log_in("owner@acme.example").await.expect(200);
    api.clock.advance(Duration::from_mins(2));
    api.log_in("owner@acme.example").await.expect(200);
    api.log_in("owner@acme.example").await.expect(200);
}

#[actix_web::test]
async fn one_address_that_tries_many_accounts_is_held_up_and_others_are_not() {
    let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let api = Api::start_with(Setup {
        trusted_proxies,
        ..Setup::default()
    })
    .await;
    api.owner("acme").await;
    // All come through the same proxy of ours; what it says of them is believed, what they say themselves is not.
    let attempt = |account: String, client: &'static str, password: &'static str| {
        let request = TestRequest::post()
            .uri("/v1/auth/login")
            .peer_addr("10.0.0.9:443".parse().unwrap())
            .insert_header((
                "x-forwarded-for",
                format!("{account}, 192.0.2.99, {client}, 10.1.1.1"),
            ))
            .set_json(json!({"email": account, "password": password}));
        api.send(request)
    };
    for number in 0..20 {
        let wrong = attempt(format!("n{number}@acme.example"), "203.0.113.5", "wrong").await;
        wrong.problem(401, "invalid_credentials");
    }
    let held = attempt("n20@acme.example".to_owned(), "203.0.113.5", "wrong").await;
    held.problem(429, "too_many_attempts");
    attempt(owner_of("acme"), "203.0.113.6", PASSWORD)
        .await
        .expect(200);
}

#[actix_web::test]
async fn an_address_in_two_cases_is_one_person_and_a_look_alike_is_none() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    api.log_in("OWNER@Acme.Example").await.expect(200);
    let grants = || json!([{"role": "viewer"}]);
    let again = api.invite(&owner, "Owner@ACME.example", grants()).await;
    again.problem(409, "member_exists");
    api.invite(&owner, "grace@acme.example", grants())
        .await
        .expect(201);
    let again = api.invite(&owner, "Grace@acme.example", grants()).await;
    again.problem(409, "invitation_pending");
    // The first letter is Cyrillic; the last one's width is full.
    for look_alike in [
        "оwner@acme.example",
        "owner@acme.examplｅ",
        "owner@acme.example\u{200b}",
    ] {
        let login = api.log_in(look_alike).await.violations();
        assert_eq!(
            login,
            [("email".to_owned(), "charset".to_owned())],
            "{look_alike}"
        );
        let invite = api.invite(&owner, look_alike, grants()).await.violations();
        assert_eq!(
            invite,
            [("email".to_owned(), "charset".to_owned())],
            "{look_alike}"
        );
    }
}

#[actix_web::test]
async fn a_refresh_token_is_good_once_and_its_second_use_ends_the_session() {
    let api = Api::start().await;
    api.owner("acme").await;
    let login = api.log_in(&owner_of("acme")).await.expect(200);
    assert_eq!(login.header("cache-control"), "no-store");
    let first = login.text("refresh_token");
    let other = api.log_in(&owner_of("acme")).await.expect(200);

    let refreshed = api.refresh(&first).await.expect(200);
    assert_eq!(refreshed.header("cache-control"), "no-store");
    assert_eq!(refreshed.json()["tenant"], login.json()["tenant"]);
    let (second, access) = (refreshed.text("refresh_token"), refreshed.text("access_token"));
    assert_ne!(first, second);
    api.get(&access, ME).await.expect(200);

    // A thief, or whom they stole it from.
    api.refresh(&first).await.problem(401, "invalid_token");
    for token in [&access, &login.text("access_token")] {
        api.get(token, ME).await.problem(401, "unauthenticated");
    }
    api.refresh(&second).await.problem(401, "invalid_token");
    // The person's other session has nothing to do with it.
    api.get(&other.text("access_token"), ME).await.expect(200);
    api.refresh(&other.text("refresh_token")).await.expect(200);
}

#[actix_web::test]
async fn a_session_ends_when_it_is_not_refreshed_and_at_the_latest_after_its_life() {
    let api = Api::start().await;
    api.owner("acme").await;
    let email = owner_of("acme");
    let idle = api.log_in(&email).await.expect(200).text("refresh_token");
    api.clock.advance(Duration::from_hours(24));
    api.refresh(&idle).await.problem(401, "invalid_token");

    let mut token = api.log_in(&email).await.expect(200).text("refresh_token");
    for _ in 0..31 {
        api.clock.advance(Duration::from_hours(23));
        token = api.refresh(&token).await.expect(200).text("refresh_token");
    }
    api.clock.advance(Duration::from_hours(23));
    api.refresh(&token).await.problem(401, "invalid_token");
}

#[actix_web::test]
async fn tokens_of_another_form_are_told_so_and_made_up_ones_are_not_good() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    let good = api
        .log_in(&owner_of("acme"))
        .await
        .expect(200)
        .text("refresh_token");
    let fault = [("refresh_token".to_owned(), "format".to_owned())];
    for malformed in [
        "",
        "prf_x",
        owner.as_str(),
        &good[..good.len() - 1],
        &good.replace("prf_", "pri_"),
    ] {
        for path in ["/v1/auth/refresh", "/v1/auth/logout"] {
            let body = json!({"refresh_token": malformed});
            assert_eq!(api.post("", path, body).await.violations(), fault, "{malformed}");
        }
    }
    let (head, last) = good.split_at(good.len() - 1);
    let altered = format!("{head}{}", if last == "0" { "1" } else { "0" });
    let wrong_family = format!("{}{}{}", &good[..31], "0".repeat(52), &good[83..]);
    for made_up in [
        wrong_family.as_str(),
        &good.replace(&good[4..30], &"0".repeat(26)),
    ] {
        api.refresh(made_up).await.problem(401, "invalid_token");
    }
    api.refresh(&good).await.expect(200);
    // The right family with another current part: somebody held a token of this session and alters it.
    api.refresh(&altered).await.problem(401, "invalid_token");
}

#[actix_web::test]
async fn logging_out_ends_the_session_and_once_more_is_no_error() {
    let api = Api::start().await;
    api.owner("acme").await;
    let login = api.log_in(&owner_of("acme")).await.expect(200);
    let other = api.log_in(&owner_of("acme")).await.expect(200);
    let old = login.text("refresh_token");
    let new = api.refresh(&old).await.expect(200);
    for _ in 0..2 {
        // An old token will do: whoever holds any of the session's may end it.
        let body = json!({"refresh_token": old});
        let answer = api.post("", "/v1/auth/logout", body).await.expect(204);
        assert!(answer.body.is_empty());
    }
    api.get(&new.text("access_token"), ME)
        .await
        .problem(401, "unauthenticated");
    api.refresh(&new.text("refresh_token"))
        .await
        .problem(401, "invalid_token");
    api.get(&other.text("access_token"), ME).await.expect(200);
}

#[actix_web::test]
async fn logging_out_everywhere_ends_all_sessions_in_all_tenants() {
    let api = Api::start().await;
    let (_, acme) = api.owner("acme").await;
    let (_, rival) = api.owner("rival").await;
    let grace = api
        .member(&acme, "grace@example.com", json!([{"role": "viewer"}]))
        .await;
    let token = api
        .invite(&rival, "grace@example.com", json!([{"role": "admin"}]))
        .await;
    let joined = api
        .accept(&token.expect(201).text("token"), PASSWORD)
        .await
        .expect(201);
    let several = api.log_in("grace@example.com").await;
    several.problem(422, "tenant_required");
    let body = json!({"email": "grace@example.com", "password": PASSWORD, "tenant": joined.text("tenant")});
    let there = api.post("", "/v1/auth/login", body).await.expect(200);

    api.delete(&grace.token, "/v1/me/sessions").await.expect(204);
    for token in [&grace.token, &there.text("access_token")] {
        api.get(token, ME).await.problem(401, "unauthenticated");
    }
    api.get(&acme, ME).await.expect(200);
}

#[actix_web::test]
async fn a_changed_password_ends_the_other_sessions() {
    let api = Api::start().await;
    api.owner("acme").await;
    let email = owner_of("acme");
    let here = api.log_in(&email).await.expect(200).text("access_token");
    let there = api.log_in(&email).await.expect(200).text("access_token");
    let change = |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        let (api, here) = (&api, &here);
        async move { api.put(here, "/v1/me/password", body).await }
    };
    change("wrong", NEW).await.problem(401, "invalid_credentials");
    let short = change(PASSWORD, "too short").await.violations();
    assert_eq!(short, [("new_password".to_owned(), "too_short".to_owned())]);
    api.get(&there, ME).await.expect(200);

    change(PASSWORD, NEW).await.expect(204);
    api.get(&there, ME).await.problem(401, "unauthenticated");
    api.get(&here, ME).await.expect(200);
    api.log_in(&email).await.problem(401, "invalid_credentials");
    api.log_in_with(&email, NEW, "203.0.113.1:1").await.expect(200);
}

#[actix_web::test]
async fn a_password_reset_is_good_once_and_ends_all_sessions() {
    let api = Api::start().await;
    let (_, owner) = api.owner("acme").await;
    let email = owner_of("acme");
    let earlier = api.password_reset(&email).await;
    let token = api.password_reset(&email).await;
    let reset = |token: &str, password: &str| {
        let body = json!({"token": token, "password": password});
        let api = &api;
        async move { api.post("", "/v1/auth/password-reset", body).await }
    };
    reset(&earlier, NEW).await.problem(401, "invalid_token");
    let malformed = reset("prw_x", NEW).await.violations();
    assert_eq!(malformed, [("token".to_owned(), "format".to_owned())]);
    let short = reset(&token, "too short").await.violations();
    assert_eq!(short, [("password".to_owned(), "too_short".to_owned())]);

    reset(&token, NEW).await.expect(204);
    api.get(&owner, ME).await.problem(401, "unauthenticated");
    reset(&token, PASSWORD).await.problem(401, "invalid_token");
    api.log_in_with(&email, NEW, "203.0.113.1:1").await.expect(200);

    let late = api.password_reset(&email).await;
    api.clock.advance(Duration::from_hours(1));
    reset(&late, PASSWORD).await.problem(401, "invalid_token");
}

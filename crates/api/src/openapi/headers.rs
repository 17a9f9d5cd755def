//! The headers of answers, told once and referred to from everywhere.

use utoipa::openapi::{
    Components, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, Type, path::Operation,
};

use crate::extract::MERGE_PATCH;

/// Name, type, example, description.
const HEADERS: [(&str, Type, &str, &str); 6] = [
    (
        "X-Request-Id",
        Type::String,
        "0193a5d2-7b1c-7a51-9f0e-3c1d5a7e9b20",
        "The name of this request in logs and traces: your own, if you sent a sane one.",
    ),
    (
        "Traceparent",
        Type::String,
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "The span of this request (W3C Trace Context), where the installation traces.",
    ),
    (
        "RateLimit",
        Type::String,
        "\"credential\";r=49999;t=1, \"tenant\";r=99990;t=1",
        "What is left of each quota (`r` requests), and in how many seconds it is whole again (`t`).",
    ),
    (
        "RateLimit-Policy",
        Type::String,
        "\"credential\";q=50000;w=2, \"tenant\";q=100000;w=2",
        "The quotas: `q` requests at once, which come back within `w` seconds.",
    ),
    (
        "Retry-After",
        Type::Integer,
        "1",
        "After how many seconds it is worth trying again.",
    ),
    (
        "Link",
        Type::String,
        "</v1/applications>; rel=\"first\"",
        "The `first`, `next` and `prev` page (RFC 8288), as far as they are there, each in a header of its own.",
    ),
];
const EVERYWHERE: [&str; 2] = ["X-Request-Id", "Traceparent"];
const GUARDED: [&str; 2] = ["RateLimit", "RateLimit-Policy"];

pub(super) fn add_components(components: &mut Components) {
    for (name, kind, example, description) in HEADERS {
        let example: serde_json::Value = match kind {
            Type::Integer => example.parse::<u64>().map_or(example.into(), Into::into),
            _ => example.into(),
        };
        let header = HeaderBuilder::new()
            .description(Some(description))
            .schema(Some(
                ObjectBuilder::new().schema_type(kind).examples([example]).build(),
            ))
            .build();
        components.headers.insert(name.to_owned(), header.into());
    }
}

fn refer(response: &mut Response, name: &str) {
    let header = Ref::new(format!("#/components/headers/{name}"));
    response
        .headers
        .entry(name.to_owned())
        .or_insert(RefOr::Ref(header));
}

/// What the answers of an operation carry. It was given all of its answers before.
pub(super) fn add(operation: &mut Operation, guarded: bool) {
    let is_list = operation
        .parameters
        .iter()
        .flatten()
        .any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.name == "cursor"));
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        for name in EVERYWHERE {
            refer(response, name);
        }
        // Whoever is not known has no quota.
        if guarded && status != "401" {
            for name in GUARDED {
                refer(response, name);
            }
        }
        if matches!(status.as_str(), "429" | "503") {
            refer(response, "Retry-After");
        }
        if is_list && status == "200" {
            refer(response, "Link");
        }
    }
}

/// A patch may say that it is a merge patch.
pub(super) fn add_merge_patch(operation: &mut Operation) {
    if let Some(RefOr::T(body)) = &mut operation.request_body
        && let Some(json) = body.content.get("application/json").cloned()
    {
        body.content.insert(MERGE_PATCH.to_owned(), json);
    }
}

//! The real repository passes; with one thing changed, it fails with the finding that names it.

use std::path::Path;
use std::sync::LazyLock;

use super::{ARCHITECTURE, Repository, check};

static REAL: LazyLock<Repository> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Repository::open(&root).unwrap()
});

fn findings(repository: &Repository) -> Vec<String> {
    let report = check(repository).unwrap();
    report.findings.iter().map(ToString::to_string).collect()
}

/// The real repository with `file` changed, which `change` must do.
fn changed(file: &str, change: impl FnOnce(&str) -> String) -> Repository {
    let before = REAL.read(file).unwrap();
    let after = change(&before);
    assert_ne!(before, after, "{file}");
    REAL.clone().with(file, after)
}

fn with_architecture(change: impl FnOnce(&str) -> String) -> Vec<String> {
    findings(&changed(ARCHITECTURE, change))
}

/// One finding and no other, in that file.
#[track_caller]
fn only(findings: &[String], file: &str, what: &str) {
    let [one] = findings else {
        panic!("{findings:#?}");
    };
    assert!(
        one.starts_with(&format!("{file}:")) && one.contains(what),
        "{one}"
    );
}

#[track_caller]
fn among(findings: &[String], what: &str) {
    assert!(
        findings.iter().any(|finding| finding.contains(what)),
        "{what}: {findings:#?}"
    );
}

/// The text of the section that begins with this heading, heading included.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let start = text.find(heading).unwrap();
    let rest = &text[start..];
    let end = rest[3..].find("\n## ").map_or(rest.len(), |at| at + 4);
    &rest[..end]
}

#[test]
fn the_repository_is_as_it_says() {
    let report = check(&REAL).unwrap();
    let found: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{found:#?}");
    assert!(report.pages > 80 && report.links > 150, "{report:?}");
}

#[test]
fn a_section_that_is_missing_is_named() {
    let found = with_architecture(|text| text.replace(section(text, "## 10. "), ""));
    only(
        &found,
        ARCHITECTURE,
        "the section \"## 10. Caching Strategy\" is missing",
    );
    let found = with_architecture(|text| text.replace("## 10. Caching Strategy", "## 10. Caches"));
    among(&found, "the section \"## 10. Caching Strategy\" is missing");
    among(&found, "\"## 10. Caches\" is none of the fixed sections");
}

#[test]
fn two_sections_that_changed_places_are_named() {
    let found = with_architecture(|text| {
        let (ninth, tenth) = (section(text, "## 9. "), section(text, "## 10. "));
        text.replace(&format!("{ninth}{tenth}"), &format!("{tenth}{ninth}"))
    });
    only(
        &found,
        ARCHITECTURE,
        "the section \"## 10. Caching Strategy\" stands before \"## 9. Authorization Strategy\"",
    );
}

#[test]
fn a_part_that_is_not_named_is_missed() {
    let found = with_architecture(|text| text.replace("**Resource-based**", "**By resource**"));
    only(&found, ARCHITECTURE, "says nothing of resource-based");
}

#[test]
fn blocks_stand_in_their_places_and_nowhere_else() {
    let more = |language: &str, in_section: &str| {
        with_architecture(|text| {
            let section = section(text, in_section);
            text.replace(section, &format!("{section}```{language}\nflowchart TD\n```\n"))
        })
    };
    among(
        &more("mermaid", "## 7. "),
        "a mermaid block that has no place here",
    );
    among(
        &more("mermaid", "## 8. "),
        "a mermaid block that has no place here",
    );
    among(&more("rust", "## 12. "), "a rust block that has no place here");
    among(&more("text", "## 15. "), "a text block that has no place here");
    let found = with_architecture(|text| text.replace("flowchart TD", "flowchart LR"));
    only(&found, ARCHITECTURE, "the diagram is no flowchart TD");
    let found = with_architecture(|text| text.replace("```bash", "```sh"));
    among(&found, "\"Directory Structure\" has no bash block");
    among(&found, "a sh block that has no place here");
}

#[test]
fn a_prose_paragraph_is_found_where_it_stands() {
    let found = with_architecture(|text| text.replacen("\n## 2. ", "\n\nIt is built to last.\n\n## 2. ", 1));
    among(&found, "a prose paragraph");
    let lines = REAL.read(ARCHITECTURE).unwrap();
    let line = lines.lines().position(|line| line.starts_with("## 2. ")).unwrap() + 2;
    among(&found, &format!("{ARCHITECTURE}:{line}: a prose paragraph"));
}

#[test]
fn a_line_too_many_is_one_too_many() {
    let length = REAL.read(ARCHITECTURE).unwrap().lines().count();
    let with = |lines: usize| {
        changed(ARCHITECTURE, |text| {
            format!("{text}{}", "\n".repeat(lines - length))
        })
    };
    if length < 250 {
        assert!(findings(&with(250)).is_empty());
    }
    only(
        &findings(&with(251)),
        ARCHITECTURE,
        "251 lines, and at most 250 are allowed",
    );
}

#[test]
fn a_route_of_one_side_only_is_named() {
    let found = findings(&changed("docs/openapi.json", |text| {
        text.replacen(
            "\"/v1/me\": {",
            "\"/v1/parcels\": {\"get\": {\"operationId\": \"listParcels\"}},\"/v1/me\": {",
            1,
        )
    }));
    among(&found, "the route GET /v1/parcels (docs/openapi.json) is missing");
    among(&found, "no function of the API is GET /v1/parcels");
    let found = with_architecture(|text| text.replace("/* GET /v1/me */", "/* GET /v1/you */"));
    among(&found, "the route GET /v1/me (docs/openapi.json) is missing");
    among(&found, "GET /v1/you is no route of docs/openapi.json");
    let found = with_architecture(|text| text.replace("/* GET E */", "/* POST E */"));
    among(
        &found,
        "the route GET /v1/applications/{application}/endpoints/{endpoint} (docs/openapi.json) is missing",
    );
}

#[test]
fn a_route_that_is_in_the_code_only_is_named() {
    const ROUTES: &str = "crates/api/src/routes/me.rs";
    let found = findings(&changed(ROUTES, |text| {
        format!(
            "{text}#[utoipa::path(operation_id = \"listParcels\", tag = \"Parcels\")]
            #[get(\"/parcels\")]
            async fn list_parcels() {{}}"
        )
    }));
    only(
        &found,
        ROUTES,
        "the operation `listParcels` is missing in docs/openapi.json",
    );
}

#[test]
fn signatures_say_what_the_document_says() {
    let found = with_architecture(|text| text.replace("fn get_me() -> Me;", "fn get_me() -> Tenant;"));
    only(
        &found,
        ARCHITECTURE,
        "the answer of GET /v1/me is Me in docs/openapi.json, not Tenant",
    );
    let found = with_architecture(|text| text.replace("fn get_me() -> Me;", "fn whoami() -> Me;"));
    only(
        &found,
        ARCHITECTURE,
        "GET /v1/me is `get_me` in docs/openapi.json, not `whoami`",
    );
    let found = with_architecture(|text| text.replace("log_in(body: Login)", "log_in(body: Me)"));
    only(
        &found,
        ARCHITECTURE,
        "the body of POST /v1/auth/login is Login in docs/openapi.json, not Me",
    );
    let found = with_architecture(|text| text.replace("fn get_me() -> Me;", "fn get_me() -> Me { todo() }"));
    only(&found, ARCHITECTURE, "`get_me` has a body");
    let found = with_architecture(|text| text.replace("fn get_me() -> Me;", "fn get_me( -> Me;"));
    only(&found, ARCHITECTURE, "the block is no Rust");
}

#[test]
fn schemas_have_the_fields_that_the_document_says() {
    let found =
        with_architecture(|text| text.replace("struct Grant { role: Role,", "struct Grant { part: Role,"));
    among(&found, "`Grant` lacks its field `role`");
    among(&found, "`Grant` has no field `part`");
    let found = with_architecture(|text| {
        text.replace("struct Grant { role: Role,", "struct Grant { role: Option<Role>,")
    });
    only(&found, ARCHITECTURE, "`Grant.role` is always there");
    let found = with_architecture(|text| text.replace("struct Grant {", "struct Parcel {"));
    only(&found, ARCHITECTURE, "`Parcel` is no schema of the API");
}

#[test]
fn an_event_of_one_side_only_is_named() {
    let events = "crates/domain/src/events.rs";
    let found = findings(&changed(events, |text| {
        text.replace(
            "Self::User(_, UserEvent::Registered) => \"user.registered\",",
            "Self::User(_, UserEvent::Registered) => \"user.registered\",\n\
             Self::User(_, UserEvent::Renamed) => \"user.renamed\",",
        )
    }));
    only(
        &found,
        ARCHITECTURE,
        "the event `user.renamed` (crates/domain/src/events.rs:",
    );
    let found = findings(&changed("crates/application/src/ports/event_forms.rs", |text| {
        text.replace(
            "(\"delivery.failed\", 1),",
            "(\"delivery.failed\", 1),\n(\"delivery.lost\", 1),",
        )
    }));
    only(&found, ARCHITECTURE, "the event `delivery.lost`");
    let found = with_architecture(|text| text.replace("`user.registered`", "`user.named`"));
    among(&found, "the event `user.registered`");
    among(&found, "`user.named` is no event of the code");
}

#[test]
fn a_use_case_of_one_side_only_is_named() {
    let file = "crates/application/src/me/rename.rs";
    let added = "impl Request for RenameMe {}\n#[cfg(test)]\nmod tests { impl Request for Pretended {} }\n";
    let found = findings(&REAL.clone().with(file, added));
    only(
        &found,
        ARCHITECTURE,
        "the use case `RenameMe` (crates/application/src/me/rename.rs:1) is not listed",
    );
    let found = with_architecture(|text| text.replace("`GetMe`", "`GetYou`"));
    among(&found, "the use case `GetMe`");
    among(&found, "`GetYou` is no use case of the code");
}

#[test]
fn stations_stand_in_the_order_of_the_code() {
    let found =
        with_architecture(|text| text.replace("`under_way` `request_id`", "`request_id` `under_way`"));
    only(
        &found,
        ARCHITECTURE,
        "`request_id` stands where the code has `under_way` (crates/api/src/pipeline.rs:",
    );
    let found = findings(&changed("crates/api/src/pipeline.rs", |text| {
        text.replace(
            ".wrap(from_fn(request_id)) // 1",
            ".wrap(from_fn(request_id)).wrap(from_fn(turnstile))",
        )
    }));
    only(
        &found,
        ARCHITECTURE,
        "`request_id` stands where the code has `turnstile`",
    );
    let found = findings(&changed("crates/api/src/pipeline.rs", |text| {
        text.replace("                .wrap(from_fn(limit_rates)) // 7\n", "")
    }));
    only(&found, ARCHITECTURE, "`limit_rates` is no station of the code");
}

#[test]
fn the_tree_is_that_of_the_repository() {
    let found = findings(&REAL.clone().with("crates/parcels/src/lib.rs", ""));
    only(
        &found,
        ARCHITECTURE,
        "the folder crates/parcels is not in the tree",
    );
    let found = findings(&REAL.clone().with("assets/logo.svg", ""));
    only(&found, ARCHITECTURE, "the folder assets is not in the tree");
    let found = with_architecture(|text| text.replace("├── domain/ ", "├── kernel/ "));
    among(&found, "the folder crates/kernel does not exist");
    among(&found, "the folder crates/domain is not in the tree");
    let found = findings(&REAL.clone().without("deny.toml"));
    only(&found, ARCHITECTURE, "the file deny.toml does not exist");
}

#[test]
fn dead_links_and_anchors_are_named() {
    let page = |text: &str| {
        findings(
            &REAL
                .clone()
                .with("docs/new/page.md", format!("# Page\n\n{text}\n")),
        )
    };
    for fine in [
        "[a](../runbook.md#upgrade) [b](../adr) [c](#page) [d](https://example.com/x) [e][f]\n\n[f]: ../../README.md",
        "`[not a link](nowhere.md)`",
        "![trace](../images/trace.png)",
    ] {
        assert_eq!(page(fine), Vec::<String>::new(), "{fine}");
    }
    for (dead, what) in [
        (
            "[a](nowhere.md)",
            "docs/new/page.md:3: the link nowhere.md is dead: docs/new/nowhere.md does not exist",
        ),
        ("[a](../adr/0099-x.md)", "the link ../adr/0099-x.md is dead"),
        (
            "[a](../runbook.md#downgrade)",
            "docs/runbook.md has no heading #downgrade",
        ),
        ("[a](#nothing)", "docs/new/page.md has no heading #nothing"),
        ("[a](/docs/runbook.md)", "begins at no page"),
        ("[a](../../../etc/hosts)", "leaves the repository"),
        ("[a][nobody]", "the reference [nobody] is defined nowhere"),
    ] {
        only(&page(dead), "docs/new/page.md", what);
    }
}

#[test]
fn indexes_list_what_there_is() {
    let records = "docs/adr/README.md";
    let found = findings(&REAL.clone().with("docs/adr/0099-late.md", "# 99. Late\n"));
    among(&found, "docs/adr/0099-late.md is not listed");
    among(&found, "0099-late.md stands where number");
    let found = findings(&changed(records, |text| {
        let line = text.lines().find(|line| line.contains("(0007-")).unwrap();
        text.replace(&format!("{line}\n"), "")
    }));
    only(
        &found,
        records,
        "docs/adr/0007-transactional-outbox.md is not listed",
    );
    let found = findings(&changed(records, |text| {
        let line = text.lines().find(|line| line.contains("(0007-")).unwrap();
        text.replace(&format!("{line}\n"), &format!("{line}\n{line}\n"))
    }));
    only(&found, records, "0007-transactional-outbox.md stands twice");
    let found = findings(&REAL.clone().with("docs/problems/parcel_lost.md", "# Lost\n"));
    only(
        &found,
        "docs/problems/README.md",
        "docs/problems/parcel_lost.md is not listed",
    );
    let guide = "docs/guide/README.md";
    let found = REAL
        .clone()
        .with(guide, "# Guide\n")
        .with("docs/guide/parcels.md", "# Parcels\n");
    among(
        &findings(&found),
        "docs/guide/README.md:1: docs/guide/parcels.md is not listed",
    );
    let found = findings(&REAL.clone().without("docs/problems/README.md"));
    among(&found, "docs/problems/README.md:1: is missing");
}

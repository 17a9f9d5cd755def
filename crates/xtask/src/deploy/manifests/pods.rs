//! What a pod may, and asks for.

use serde_json::Value;

use super::super::ground::{list, text};

/// Where a pod falls short of the restricted standard, and of what Postrider needs besides.
pub(super) fn faults(pod: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            findings.push(what.to_owned());
        }
    };
    must(
        pod["automountServiceAccountToken"] == false,
        "has a token of Kubernetes",
    );
    // POSTRIDER_SERVICE_HOST and its like would be unknown keys of the configuration.
    must(pod["enableServiceLinks"] == false, "gets variables of Services");
    must(pod["securityContext"]["runAsNonRoot"] == true, "may be root");
    must(
        pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
        "may make any system call",
    );
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        must(pod[field] != true, &format!("has {field}"));
    }
    let containers = list(&pod["containers"]);
    must(!containers.is_empty(), "runs nothing");
    for container in containers.iter().chain(list(&pod["initContainers"])) {
        findings.extend(of_container(container));
    }
    findings
}

fn of_container(container: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            findings.push(what.to_owned());
        }
    };
    let security = &container["securityContext"];
    must(
        security["allowPrivilegeEscalation"] == false,
        "may gain privileges",
    );
    must(security["privileged"] != true, "is privileged");
    must(
        security["readOnlyRootFilesystem"] == true,
        "its root file system can be written to",
    );
    must(
        list(&security["capabilities"]["drop"])
            .iter()
            .any(|one| one == "ALL"),
        "keeps capabilities",
    );
    let resources = &container["resources"];
    must(
        ["cpu", "memory"]
            .iter()
            .all(|kind| !resources["requests"][*kind].is_null()),
        "asks for no CPU and memory",
    );
    must(!resources["limits"]["memory"].is_null(), "has no limit of memory");
    must(
        resources["limits"]["cpu"].is_null(),
        "has a limit of CPU, which stops the beat of the lease",
    );
    let tag = text(&container["image"]).rsplit_once(':').map(|(_, tag)| tag);
    must(
        tag.is_some_and(|tag| tag.contains('.')),
        "its image is not of a certain version",
    );
    findings
}

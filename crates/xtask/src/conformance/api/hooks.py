"""What schemathesis must know of Postrider: what it may not destroy, and which rules no JSON Schema can say.

Read by `cargo xtask conformance --part api`. Writes what it counted to the file that COUNTED names: how often each
exception excused a refusal, how many operations answered at all and which never with success, and how many answers to
schema-valid requests our own check looked at.
"""

import atexit
import json
import os
import re
from collections import Counter

import schemathesis

# What the run itself lives on, by operation: the parameter, and an id of its form that nothing has. Such a request is
# sent to the other id instead, so the operation is still tried with everything else, and here with what is absent.
NOBODY = "0" * 26
DESTROYS = {
    "DELETE /v1/api-keys/{api_key}": ("api_key", f"key_{NOBODY}"),
    "DELETE /v1/applications/{application}": ("application", f"app_{NOBODY}"),
    "DELETE /v1/applications/{application}/endpoints/{endpoint}": ("endpoint", f"ep_{NOBODY}"),
    "DELETE /v1/applications/{application}/messages/{message}/payload": ("message", f"msg_{NOBODY}"),
    "DELETE /v1/members/{member}": ("member", f"mem_{NOBODY}"),
    "PUT /v1/members/{member}/grants": ("member", f"mem_{NOBODY}"),
    "DELETE /v1/operator/tenants/{tenant}": ("tenant", f"ten_{NOBODY}"),
    "POST /v1/operator/tenants/{tenant}/suspend": ("tenant", f"ten_{NOBODY}"),
    "POST /v1/event-types/{name}/archive": ("name", "nobody.knows"),
}
PROTECTED = set(json.loads(os.environ["PROTECTED"]))

# A request that fits its schema may be refused by these rules only: operation, field, rule (each matched as a whole),
# and why the document cannot say it. A refusal that names any other rule fails the run.
A = r"/v1/applications/\{application\}"
E = A + r"/endpoints/\{endpoint\}"
PUBLISH = rf"POST {A}/messages"
BATCH = rf"POST {A}/messages/batch"
GRANTS = r"(POST /v1/(api-keys|invitations)|PUT /v1/members/\{member\}/grants)"
INEXPRESSIBLE = [
    (r"GET .*", r"cursor", r"format", "a cursor is authenticated: only a page of this list gives one that is good"),
    (r"GET /v1/deliveries", r"application", r"required", "a parameter that other parameters make required"),
    (r"GET /v1/tenant/usage", r"from", r"range", "two days in order, and not too many between them"),
    (r"POST /v1/api-keys", r"expires_at", r"range", "in the future"),
    (rf"({PUBLISH}|{BATCH})", r"(messages\.)?deliver_at", r"range", "not too far in the future"),
    (rf"POST {E}/replays", r"(from|to)", r"range", "two times in order, relative to now"),
    (GRANTS, r"grants", r"duplicate", "equal in meaning though not in form: absent and null, an id and a uid"),
    (GRANTS, r"grants\.application", r"unknown", "the tenant has no such application"),
    (GRANTS, r"grants\.role", r"not_held", "what the caller holds"),
    (rf"POST {A}/portal-tokens", r"permissions", r"not_held", "what the caller holds"),
    (rf"PATCH ({A}|{E})", r"metadata", r"too_long", "as many keys as stand there once the patch is merged"),
    (rf"PATCH {E}", r"headers", r"too_long", "as many headers as stand there once the patch is merged"),
    (rf"(POST {A}/endpoints|(PUT|PATCH) {E})", r"headers\..*", r"duplicate", "names are compared without case"),
    (rf"(PUT|PATCH) {E}", r"headers\..*", r"required", "without a value, and none is stored that could stay"),
    (rf"(POST {A}/endpoints|(PUT|PATCH) {E})", r"url", r"format", "a host that can exist, no credentials, no fragment"),
    (rf"(POST {A}/endpoints|(PUT|PATCH) {E})", r"url", r"too_long", "in bytes, percent-encoded"),
    (rf"(POST {A}/endpoints|(PUT|PATCH) {E})", r"url", r"address_not_allowed", "what this installation delivers to"),
    (rf"(POST {A}/endpoints|PUT {E}|POST {E}/secret/rotate)", r"secret", r"format", "the public key is not the seed's"),
    (rf"PUT {E}", r"secret(_type)?", r"fixed", "only the secret that is stored"),
    (rf"POST {E}/secret/rotate", r"secret", r"duplicate", "the secret signs already"),
    (rf"({PUBLISH}|{BATCH})", r"(messages\.)?event_id", r"exclusive", "a field that excludes a header"),
    (rf"({PUBLISH}|{BATCH})", r"(messages\.)?event_type", r"(unregistered|archived)", "the tenant's registrations"),
    (rf"({PUBLISH}|{BATCH})", r"(messages\.)?(payload|raw)([.\[].*)?", r".*", "the schema of the tenant's event type"),
    (r"POST /v1/event-types(/\{name\}/schemas)?", r"schema(\..*)?", r".*", "a JSON Schema that is valid and bounded"),
    (r"POST /v1/event-types(/\{name\}/schemas)?", r"example(\..*)?", r".*", "an example that is as its schema says"),
    (
        r"(PUT /v1/me/password|POST /v1/(auth/.*|operator/tenants|invitations/accept))",
        r"(owner\.)?(new_)?password",
        r"too_long",
        "in bytes of UTF-8",
    ),
]
# A refusal of the whole request by this problem code, which names no field.
WHOLE = {("POST /v1/auth/login", "tenant_required"): "whoever is in several tenants must name one"}

excused = Counter()
succeeded = Counter()
looked = 0


@schemathesis.hook
def before_call(context, case, kwargs):
    rule = DESTROYS.get(case.operation.label)
    if rule is None or not isinstance(case.path_parameters, dict):
        return
    name, nobody = rule
    if case.path_parameters.get(name) in PROTECTED:
        case.path_parameters[name] = nobody


@schemathesis.hook
def after_call(context, case, response):
    succeeded[case.operation.label] += 200 <= response.status_code < 300


def excuse(label, errors, prefix=""):
    """Fails unless each of the broken rules is one that the document cannot say."""
    for error in errors:
        field = prefix + re.sub(r"\[\d+\]", "", error["field"])
        for operation, name, rule, why in INEXPRESSIBLE:
            if re.fullmatch(operation, label) and re.fullmatch(name, field) and re.fullmatch(rule, error["rule"]):
                excused[why] += 1
                break
        else:
            assert False, f"schema-valid, and refused: {field} {error['message']} (rule {error['rule']})"


def is_positive(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


@schemathesis.check
def refusals_follow_from_the_document(context, response, case):
    """A schema-valid request gets 422 only for what the document cannot say."""
    global looked
    if not is_positive(case):
        return
    looked += 1
    if response.status_code != 422:
        return
    problem = json.loads(response.content)
    label = case.operation.label
    errors = problem.get("errors") or []
    if not errors:
        why = WHOLE.get((label, problem["code"]))
        assert why, f"schema-valid, and refused as {problem['code']}: {problem.get('detail')}"
        excused[why] += 1
    excuse(label, errors)


@schemathesis.check
def batches_refuse_one_by_one(context, response, case):
    """A batch that is not atomic is accepted although messages of it are not: then each of those says why."""
    if not re.fullmatch(BATCH, case.operation.label) or response.status_code != 202:
        return
    results = json.loads(response.content)["results"]
    errors = [result["error"] for result in results if result["error"] is not None]
    if is_positive(case):
        for error in errors:
            if error["code"] == "validation_failed":
                excuse(case.operation.label, error["errors"], "messages.")
    elif case.meta is not None and violates_a_message(case):
        assert errors and case.body.get("atomic") is False, "a message that is none was accepted"


def violates_a_message(case):
    """Whether all that was made wrong is within the list of messages."""
    wrong = [place.name for place, made in case.meta.components.items() if made.mode.is_negative]
    return wrong == ["BODY"] and isinstance(case.body, dict)


def tell():
    with open(os.environ["COUNTED"], "w", encoding="utf-8") as file:
        json.dump(
            {
                "excused": sorted(excused.items()),
                "exceptions": len(INEXPRESSIBLE) + len(WHOLE),
                "answered": len(succeeded),
                "looked": looked,
                "never": sorted(label for label, count in succeeded.items() if count == 0),
            },
            file,
        )


atexit.register(tell)

"""What schemathesis must know of Postrider: what it may not destroy, and which rules no JSON Schema can say.

Read by `cargo xtask conformance --part api`. Writes what it counted to the file that COUNTED names: the excused
refusals by rule, and of each operation whether it ever succeeded.
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

# A request that fits its schema may be refused by these rules only: operation, field, rule, and why the document
# cannot say it. A refusal that names any other rule fails the run.
INEXPRESSIBLE = [
    (r".", r"cursor", r"format", "a cursor is authenticated: only a page of this list gives one that is good"),
    (r".", r"(expires_at|deliver_at|from|to|since|until|created_(after|before))", r"range", "in the future, or in order: relative to now or to another field"),
    (r".", r"(grants|event_types|channels|permissions)", r"duplicate", "equal in meaning though not in form: an absent field and null"),
    (r".", r"grants\.application", r"unknown", "the tenant has no such application"),
    (r".", r"metadata.*|headers.*", r"(size|length|total)", "all keys and values together, in bytes"),
    (r".", r".*", r"bytes", "a length in bytes of UTF-8"),
    (r"/endpoints", r"secret", r"(format|length)", "the number of bytes that the base64 stands for"),
    (r"/endpoints", r"url", r".*", "a host that can exist and may be reached by this installation"),
    (r"/endpoints", r"headers\..*", r"(reserved|forbidden|format|charset)", "header names are compared without case"),
    (r"/endpoints", r"(secret|secret_kind|kind)", r"exclusive", "a field that excludes another"),
    (r"/messages", r"event_id", r"exclusive", "a field that excludes a header"),
    (r"/messages", r"(payload|raw|content_type)", r"(exclusive|required|format|base64)", "one field or the other, and what the one says of the other"),
    (r"/event-types", r"schema.*|example.*", r".*", "a JSON Schema that is valid, bounded and fits its example"),
    (r"(/event-types|/messages)", r"(event_type|payload)", r"(unknown|schema|archived)", "the tenant's own schemas and registrations decide"),
    (r"/auth/login", r"tenant", r"required", "whoever is in several tenants must name one"),
    (r"(/me/password|/auth/|/operator/tenants|/invitations)", r"(owner\.)?(password|new_password)", r"(common|weak|same|unchanged)", "a list of passwords that are too well known"),
    (r".", r"(owner\.)?email", r"format", "no pattern of an address is right"),
]
# A refusal of the whole request by this problem code, which names no field.
WHOLE = {
    "tenant_required": "whoever is in several tenants must name one",
    "idempotency_key_reused": "the same key came with another body before",
    "idempotency_conflict": "the same key came with another body before",
    "event_type_unknown": "the tenant's own registrations decide",
}

excused = Counter()
succeeded = Counter()


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


@schemathesis.check
def refusals_follow_from_the_document(context, response, case):
    """A schema-valid request gets 422 only for what the document cannot say."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 422:
        return
    problem = json.loads(response.content)
    label = case.operation.label
    errors = problem.get("errors") or []
    if not errors:
        assert problem["code"] in WHOLE, f"schema-valid, and refused as {problem['code']}: {problem.get('detail')}"
        excused[(label, "", problem["code"])] += 1
    for error in errors:
        field = re.sub(r"\[\d+\]", "", error["field"])
        known = any(
            re.search(operation, label) and re.fullmatch(name, field) and re.fullmatch(rule, error["rule"])
            for operation, name, rule, _ in INEXPRESSIBLE
        )
        assert known, f"schema-valid, and refused: {field} {error['message']} (rule {error['rule']})"
        excused[(label, field, error["rule"])] += 1


def tell():
    with open(os.environ["COUNTED"], "w", encoding="utf-8") as file:
        json.dump(
            {
                "excused": [[*key, count] for key, count in sorted(excused.items())],
                "never": sorted(label for label, count in succeeded.items() if count == 0),
            },
            file,
        )


atexit.register(tell)

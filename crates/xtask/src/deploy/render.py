"""Reads YAML, and renders a kustomization where there is no kustomize: JSON on standard output.

    render.py read FILE...        every document of the files, in order
    render.py render FOLDER       the resources of the kustomization in that folder

Rendering knows what the kustomizations of this repository use and refuses everything else, so that nothing is left
out silently. Where kustomize or kubectl is installed, `cargo xtask check-deploy` compares the two.
"""

import copy
import hashlib
import json
import os
import sys

import yaml


class Refused(Exception):
    """What this program does not know, or what is wrong with a file."""


class Loader(yaml.SafeLoader):
    """As Kubernetes reads YAML: a key that stands twice is an error, and times are text."""


def mapping(loader, node, deep=False):
    seen = set()
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        name = loader.construct_object(key, deep=True)
        if name in seen:
            raise Refused(f"line {key.start_mark.line + 1}: the key {name!r} stands twice")
        seen.add(name)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def documents(path):
    with open(path, encoding="utf-8") as file:
        try:
            return [found for found in yaml.load_all(file, Loader) if found is not None]
        except (yaml.YAMLError, Refused) as error:
            raise Refused(f"{path}: {error}") from error


KNOWN = {
    "apiVersion", "kind", "namespace", "resources", "components", "configMapGenerator", "images", "patches", "replicas",
}
# What the items of a list are known by when one is laid over another.
MERGE_KEYS = {
    "containers": "name", "initContainers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath",
    "ports": "containerPort",
}
KINDS_WITHOUT_NAMESPACE = {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
WORKLOADS = {"Deployment", "Job", "StatefulSet", "DaemonSet"}


def render(folder):
    [top] = documents(os.path.join(folder, "kustomization.yaml"))
    unknown = set(top) - KNOWN
    if unknown:
        raise Refused(f"{folder}: cannot render {', '.join(sorted(unknown))}")
    resources = []
    for name in top.get("resources", []):
        path = os.path.normpath(os.path.join(folder, name))
        resources += render(path) if os.path.isdir(path) else documents(path)
    resources += [config_map(folder, entry) for entry in top.get("configMapGenerator", [])]
    for name in top.get("components", []):
        resources += render(os.path.normpath(os.path.join(folder, name)))
    for entry in top.get("patches", []):
        resources = patched(folder, resources, entry)
    for entry in top.get("replicas", []):
        for resource in chosen(resources, {"kind": "Deployment", "name": entry["name"]}):
            resource["spec"]["replicas"] = entry["count"]
    for resource in resources:
        if "namespace" in top and resource["kind"] not in KINDS_WITHOUT_NAMESPACE:
            resource["metadata"]["namespace"] = top["namespace"]
        for entry in top.get("images", []):
            rename_image(resource, entry)
    return resources


def config_map(folder, entry):
    if set(entry) != {"name", "files"}:
        raise Refused(f"{folder}: a configMapGenerator has a name and files here")
    data = {}
    for name in entry["files"]:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            data[os.path.basename(name)] = file.read()
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": entry["name"], HASHED: True}, "data": data,
    }


# Marks a generated resource until the outermost kustomization has been applied: the hash is of what comes out.
HASHED = "\0hashed"


def finished(resources):
    """Puts the hash of its content behind the name of what was generated, and behind what refers to it."""
    renamed = {}
    for resource in resources:
        if resource["metadata"].pop(HASHED, False):
            name = resource["metadata"]["name"]
            renamed[name] = f"{name}-{content_hash(resource)}"
            resource["metadata"]["name"] = renamed[name]
    for resource in resources:
        if resource["kind"] in WORKLOADS:
            for volume in resource["spec"]["template"]["spec"].get("volumes", []):
                source = volume.get("configMap")
                if source and source["name"] in renamed:
                    source["name"] = renamed[source["name"]]
    return resources


def content_hash(resource):
    """As kustomize makes it: SHA-256 of the JSON that Go writes, in letters that spell no words."""
    text = json.dumps(
        {"kind": "ConfigMap", "name": "", "data": resource["data"]},
        sort_keys=True, separators=(",", ":"), ensure_ascii=False,
    )
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return digest.translate(str.maketrans("013ae", "ghkmt"))


def chosen(resources, target):
    """The resources that a target or the head of a patch names; at least one."""
    def fits(resource):
        group, _, version = resource["apiVersion"].rpartition("/")
        known = {"group": group, "version": version, "kind": resource["kind"], "name": resource["metadata"]["name"]}
        return all(known.get(key) == value for key, value in target.items())

    found = [resource for resource in resources if fits(resource)]
    if not found:
        raise Refused(f"nothing is named by {target}")
    return found


def patched(folder, resources, entry):
    text = entry.get("patch")
    if text is None:
        with open(os.path.join(folder, entry["path"]), encoding="utf-8") as file:
            text = file.read()
    patch = yaml.load(text, Loader)
    if isinstance(patch, list):
        for resource in chosen(resources, entry["target"]):
            for step in patch:
                operate(resource, step)
        return resources
    group, _, version = patch["apiVersion"].rpartition("/")
    head = {"group": group, "version": version, "kind": patch["kind"], "name": patch["metadata"]["name"]}
    targets = chosen(resources, entry.get("target", head))
    if patch.get("$patch") == "delete":
        return [resource for resource in resources if not any(resource is target for target in targets)]
    for resource in targets:
        lay_over(resource, patch)
    return resources


def lay_over(below, above):
    """A strategic merge patch: maps are merged, lists of named things by their names, other lists replaced."""
    for key, value in above.items():
        if value is None:
            below.pop(key, None)
        elif isinstance(value, dict) and isinstance(below.get(key), dict):
            lay_over(below[key], value)
        elif isinstance(value, list) and isinstance(below.get(key), list) and key in MERGE_KEYS:
            below[key] = merged(below[key], value, MERGE_KEYS[key])
        else:
            below[key] = copy.deepcopy(value)


def merged(below, above, key):
    items = copy.deepcopy(below)
    new = []
    for item in above:
        match = next((known for known in items if known.get(key) == item[key]), None)
        if match is None:
            new.append(copy.deepcopy(item))
        else:
            lay_over(match, item)
    # Kustomize puts what is new in front.
    return new + items


def operate(resource, step):
    """A step of a JSON patch."""
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
    place = resource
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if step["op"] == "remove":
        del place[int(last) if isinstance(place, list) else last]
    elif step["op"] in ("add", "replace") and isinstance(place, dict):
        place[last] = step["value"]
    elif step["op"] == "add" and last == "-":
        place.append(step["value"])
    else:
        raise Refused(f"cannot do {step}")


def rename_image(resource, entry):
    if resource["kind"] not in WORKLOADS:
        return
    for container in resource["spec"]["template"]["spec"]["containers"]:
        name, _, tag = container["image"].partition(":")
        if name == entry["name"]:
            container["image"] = f"{entry.get('newName', name)}:{entry.get('newTag', tag)}"


def main(arguments):
    if len(arguments) >= 2 and arguments[0] == "read":
        found = [document for path in arguments[1:] for document in documents(path)]
    elif len(arguments) == 2 and arguments[0] == "render":
        found = finished(render(arguments[1]))
    else:
        raise Refused(__doc__)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Refused, OSError, KeyError, ValueError) as error:
        sys.exit(f"render.py: {error!r}" if isinstance(error, (KeyError, ValueError)) else f"render.py: {error}")

"""What `kubectl kustomize` prints, for the part of kustomize that `k8s/` uses.

A clean clone has no kubectl, and no wheel carries kustomize for our Python. This build refuses every field it does not
know, and test_k8s_build.py compares it with the real one wherever that is installed.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

_FIELDS = {
    "apiVersion",
    "kind",
    "resources",
    "components",
    "namespace",
    "labels",
    "patches",
    "configMapGenerator",
    "images",
}
_CLUSTER_SCOPED = {"Namespace", "PriorityClass"}
_WORKLOADS = {"Deployment", "StatefulSet"}
# Lists that Kubernetes merges by a key when a strategic merge patch meets them.
_MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "ports": "containerPort",
    "topologySpreadConstraints": "topologyKey",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
# Lists that such a patch replaces as a whole.
_ATOMIC = {"metrics"}
# Marks a generated resource until its name has its hash.
_GENERATED = "generated"
# Kustomize spells a hash without letters and digits that could be read as words or numbers.
_HASH_LETTERS = str.maketrans("013ae", "ghkmt")


class BuildError(Exception):
    """The kustomization is broken, or uses something that this build does not know."""


def build(directory: Path) -> list[Resource]:
    """Build the kustomization in `directory`: its resources, with the generated names in place."""
    resources = _accumulate(directory.resolve(), [])
    _hash_names(resources)
    return resources


def key(resource: Resource) -> tuple[str, str]:
    """Kind and name: what makes a resource unique here, where there is one namespace."""
    return resource["kind"], resource["metadata"]["name"]


def _accumulate(directory: Path, inherited: list[Resource]) -> list[Resource]:
    spec = _load_one(directory / "kustomization.yaml")
    unknown = spec.keys() - _FIELDS
    if unknown:
        raise BuildError(f"{directory}: this build does not know {sorted(unknown)}")
    resources = inherited
    for entry in spec.get("resources", ()):
        path = (directory / entry).resolve()
        resources.extend(_accumulate(path, []) if path.is_dir() else _load_all(path))
    for entry in spec.get("components", ()):
        resources = _accumulate((directory / entry).resolve(), resources)
    for generator in spec.get("configMapGenerator", ()):
        _generate(directory, generator, resources)
    for patch in spec.get("patches", ()):
        _apply_patch(directory, patch, resources)
    for resource in resources:
        if "namespace" in spec and resource["kind"] not in _CLUSTER_SCOPED:
            resource["metadata"]["namespace"] = spec["namespace"]
        for labels in spec.get("labels", ()):
            _label(resource, labels)
        for image in spec.get("images", ()):
            _set_image(resource, image)
    _refuse_duplicates(directory, resources)
    return resources


def _load_one(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text())
    if not isinstance(document, dict):
        raise BuildError(f"{path}: not a mapping")
    return document


def _load_all(path: Path) -> list[Resource]:
    # Through JSON, so that YAML anchors do not leave two resources sharing one value.
    return [json.loads(json.dumps(document)) for document in yaml.safe_load_all(path.read_text()) if document]


def _refuse_duplicates(directory: Path, resources: Iterable[Resource]) -> None:
    seen: set[tuple[str, str]] = set()
    for resource in resources:
        if key(resource) in seen:
            raise BuildError(f"{directory}: {key(resource)} is there twice")
        seen.add(key(resource))


def _generate(directory: Path, generator: dict[str, Any], resources: list[Resource]) -> None:
    unknown = generator.keys() - {"name", "envs", "literals", "behavior"}
    if unknown:
        raise BuildError(f"{directory}: this build does not know configMapGenerator {sorted(unknown)}")
    lines = list(generator.get("literals", ()))
    for name in generator.get("envs", ()):
        text = (directory / name).read_text().splitlines()
        lines += [line for line in text if line.strip() and not line.startswith("#")]
    data = dict(line.split("=", 1) for line in lines)
    existing = [resource for resource in resources if key(resource) == ("ConfigMap", generator["name"])]
    if generator.get("behavior", "create") == "merge":
        if not existing:
            raise BuildError(f"{directory}: no ConfigMap {generator['name']} to merge into")
        existing[0]["data"].update(data)
        return
    metadata = {"name": generator["name"], _GENERATED: True}
    resources.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _apply_patch(directory: Path, entry: dict[str, Any], resources: list[Resource]) -> None:
    if entry.keys() != {"path", "target"}:
        raise BuildError(f"{directory}: a patch needs a path and a target, and nothing else")
    patch = _load_one(directory / entry["path"])
    # The target says what is patched; the name in the patch is a formality.
    del patch["metadata"]["name"]
    targets = [resource for resource in resources if _matches(resource, entry["target"])]
    if not targets:
        raise BuildError(f"{directory}: {entry['path']} has nothing to patch")
    for resource in targets:
        _merge(resource, copy.deepcopy(patch), entry["path"])


def _matches(resource: Resource, target: dict[str, str]) -> bool:
    unknown = target.keys() - {"kind", "name", "labelSelector"}
    if unknown:
        raise BuildError(f"this build does not know the patch target {sorted(unknown)}")
    labels = resource["metadata"].get("labels", {})
    wanted = dict(pair.split("=") for pair in target.get("labelSelector", "").split(",") if pair)
    return (
        resource["kind"] == target.get("kind", resource["kind"])
        and resource["metadata"]["name"] == target.get("name", resource["metadata"]["name"])
        and wanted.items() <= labels.items()
    )


def _merge(base: dict[str, Any], patch: dict[str, Any], path: str) -> None:
    for name, value in patch.items():
        where = f"{path}/{name}"
        if value is None:
            base.pop(name, None)
        elif isinstance(value, dict) and isinstance(base.get(name), dict):
            _merge(base[name], value, where)
        elif isinstance(value, list) and isinstance(base.get(name), list) and base[name] != value:
            if name in _ATOMIC:
                base[name] = value
                continue
            if name not in _MERGE_KEYS:
                raise BuildError(f"{where}: this build does not know how to merge two of these lists")
            base[name] = _merge_lists(base[name], value, _MERGE_KEYS[name], where)
        else:
            base[name] = value


def _merge_lists(base: list[Any], patch: list[Any], merge_key: str, path: str) -> list[Any]:
    by_key = {item[merge_key]: item for item in base}
    added = []
    for item in patch:
        if item[merge_key] in by_key:
            _merge(by_key[item[merge_key]], item, path)
        else:
            added.append(item)
    return added + base


def _label(resource: Resource, labels: dict[str, Any]) -> None:
    if labels.keys() != {"pairs", "includeTemplates"}:
        raise BuildError("labels need pairs and includeTemplates, and no selectors: those would change the call graph")
    resource["metadata"].setdefault("labels", {}).update(labels["pairs"])
    if labels["includeTemplates"] and resource["kind"] in _WORKLOADS:
        for template in (resource["spec"]["template"], *resource["spec"].get("volumeClaimTemplates", ())):
            template.setdefault("metadata", {}).setdefault("labels", {}).update(labels["pairs"])


def _set_image(resource: Resource, image: dict[str, str]) -> None:
    if resource["kind"] not in _WORKLOADS:
        return
    for container in _containers(resource):
        if container["image"] == image["name"]:
            suffix = f"@{image['digest']}" if "digest" in image else f":{image['newTag']}"
            container["image"] = image.get("newName", image["name"]) + suffix


def _containers(workload: Resource) -> list[dict[str, Any]]:
    pod = workload["spec"]["template"]["spec"]
    return [*pod.get("initContainers", ()), *pod["containers"]]


def _hash_names(resources: list[Resource]) -> None:
    renamed = {}
    for resource in resources:
        metadata = resource["metadata"]
        if metadata.pop(_GENERATED, False):
            renamed[metadata["name"]] = f"{metadata['name']}-{_digest(resource['data'])}"
            metadata["name"] = renamed[metadata["name"]]
    for resource in resources:
        if resource["kind"] not in _WORKLOADS:
            continue
        for container in _containers(resource):
            for source in container.get("envFrom", ()):
                reference = source.get("configMapRef", {})
                reference["name"] = renamed.get(reference["name"], reference["name"])


def _digest(data: dict[str, str]) -> str:
    # The name is empty because kustomize looks for it under a path that does not exist.
    content = {"data": data, "kind": "ConfigMap", "name": ""}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # Go's JSON escapes these three for HTML's sake.
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(_HASH_LETTERS)

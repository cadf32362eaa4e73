"""Every overlay builds, is valid, and is what kubectl would apply."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from k8s_build import BuildError, build, key
from k8s_overlay import Overlay

# The oldest release that has what we use by default (sleep hooks, sidecars, matchLabelKeys), and the newest known.
VERSIONS = ["1.31", kubernetes_validate.latest_version()]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed; the comparison needs it")
def test_our_build_is_kubectls(overlay: Overlay) -> None:
    """Resource by resource, names with their hashes included, our build is what `kubectl kustomize` prints."""
    output = subprocess.run(
        ["kubectl", "kustomize", str(overlay.directory)], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    theirs = {key(resource): resource for resource in yaml.safe_load_all(output)}

    assert {key(resource): resource for resource in overlay.resources} == theirs


@pytest.mark.parametrize("version", VERSIONS)
def test_resources_are_valid(overlay: Overlay, version: str) -> None:
    """Each resource fits the API's schema, without a field that the API does not know."""
    for resource in overlay.resources:
        kubernetes_validate.validate(resource, version, strict=True)


def test_all_is_in_one_namespace(overlay: Overlay) -> None:
    """Nothing lands in whatever namespace happens to be current, and the namespace is ours and restricted."""
    namespaces = {each["metadata"].get("namespace") for each in overlay.resources}

    assert namespaces == {"imagerouter", None}
    assert {each["kind"] for each in overlay.resources if "namespace" not in each["metadata"]} == {
        "Namespace",
        "PriorityClass",
    }
    labels = overlay.of_kind("Namespace")["imagerouter"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_field_that_the_build_does_not_know_is_refused(tmp_path: Path) -> None:
    """The build never leaves out what it cannot do."""
    (tmp_path / "kustomization.yaml").write_text("kind: Kustomization\nnamePrefix: staging-\n")

    with pytest.raises(BuildError, match="namePrefix"):
        build(tmp_path)


def test_a_patch_without_a_target_is_refused(tmp_path: Path) -> None:
    """A patch that nothing matches is a mistake, though kustomize lets it pass."""
    (tmp_path / "kustomization.yaml").write_text("patches: [{path: patch.yaml, target: {kind: Deployment}}]")
    (tmp_path / "patch.yaml").write_text("metadata: {name: any}")

    with pytest.raises(BuildError, match="nothing to patch"):
        build(tmp_path)

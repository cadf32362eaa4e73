"""An overlay as it would be applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from k8s_build import Resource, build

ROOT = Path(__file__).resolve().parents[3]
OVERLAYS = sorted(path.name for path in (ROOT / "k8s/overlays").iterdir() if path.is_dir())


class Overlay:
    """One overlay as it would be applied."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = ROOT / "k8s/overlays" / name
        self.resources = build(self.directory)

    def of_kind(self, kind: str) -> dict[str, Resource]:
        """The resources of a kind by name."""
        return {each["metadata"]["name"]: each for each in self.resources if each["kind"] == kind}

    @property
    def workloads(self) -> dict[str, Resource]:
        """Everything that makes pods, by name."""
        return self.of_kind("Deployment") | self.of_kind("StatefulSet")

    @property
    def serving(self) -> dict[str, Resource]:
        """The deployables of the suite: what an autoscaler owns."""
        return {name: self.workloads[name] for name in self.of_kind("HorizontalPodAutoscaler")}

    def environment(self, name: str) -> dict[str, str]:
        """What the first container of a workload finds in its environment, as far as it is known before it runs."""
        container = pod_spec(self.workloads[name])["containers"][0]
        config_maps = self.of_kind("ConfigMap")
        found: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            found |= config_maps[source["configMapRef"]["name"]]["data"]
        return found | {each["name"]: each["value"] for each in container.get("env", ()) if "value" in each}


def pod_spec(workload: Resource) -> dict[str, Any]:
    """The pod that a workload makes."""
    spec: dict[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def containers(workload: Resource) -> list[dict[str, Any]]:
    """Every container of a workload's pods; those that only prepare, or stand by, come first."""
    pod = pod_spec(workload)
    return [*pod.get("initContainers", ()), *pod["containers"]]


def pod_labels(workload: Resource) -> dict[str, str]:
    """The labels of the pods that a workload makes."""
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels

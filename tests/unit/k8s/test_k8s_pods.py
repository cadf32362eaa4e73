"""What every pod is allowed, and what keeps a call alive while pods come and go."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import typer
from k8s_overlay import Overlay, containers, pod_labels, pod_spec

import imagerouter.api
from imagerouter.cli.main import app

READINESS = {
    "adapter-google": "imagerouter.api.adapter.v1.AdapterService",
    "adapter-openai": "imagerouter.api.adapter.v1.AdapterService",
    "artifact": "imagerouter.api.artifact.v1.ArtifactService",
    "evaluator": "imagerouter.api.evaluator.v1.EvaluatorService",
    "normalizer": "imagerouter.api.normalizer.v1.NormalizerService",
    "orchestrator": "imagerouter.api.images.v1.ImageService",
    "router": "imagerouter.api.router.v1.RouterService",
}


def service_names() -> set[str]:
    """The full names of all services in our protos."""
    found: set[str] = set()
    for module in pkgutil.walk_packages(imagerouter.api.__path__, "imagerouter.api."):
        if module.name.endswith("_service_pb2"):
            services = importlib.import_module(module.name).DESCRIPTOR.services_by_name.values()
            found |= {service.full_name for service in services}
    return found


def seconds_for(probe: dict[str, Any]) -> int:
    """How long a probe must fail before it counts, in seconds."""
    return int(probe["periodSeconds"]) * int(probe["failureThreshold"])


def test_every_deployable_is_there(overlay: Overlay) -> None:
    """The suite is these seven; each is one Deployment with everything that belongs to it under the same name."""
    assert overlay.serving.keys() == READINESS.keys()
    for kind in ("Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "ServiceAccount"):
        assert overlay.of_kind(kind).keys() >= READINESS.keys()


def test_pods_are_restricted(overlay: Overlay) -> None:
    """No pod is root, can become it, writes outside of its volumes, has a capability or knows the cluster's API."""
    for workload in overlay.workloads.values():
        pod = pod_spec(workload)
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert min(context["runAsUser"], context["runAsGroup"], context["fsGroup"]) >= 10000
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert pod["serviceAccountName"] in overlay.of_kind("ServiceAccount")
        assert all(volume.keys() & {"secret", "emptyDir", "persistentVolumeClaim"} for volume in pod["volumes"])
        for container in containers(workload):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_service_accounts_mount_no_token(overlay: Overlay) -> None:
    """An account without a token is an identity for policies and clouds, and nothing to steal."""
    accounts = overlay.of_kind("ServiceAccount")

    assert accounts
    assert all(account["automountServiceAccountToken"] is False for account in accounts.values())


def test_resources_are_bounded(overlay: Overlay) -> None:
    """Each container asks for what it needs and is stopped at a limit; memory is not promised twice to a server."""
    for workload in overlay.workloads.values():
        for container in containers(workload):
            resources = container["resources"]
            assert resources["requests"].keys() == resources["limits"].keys() == {"cpu", "memory", "ephemeral-storage"}
            if container["name"] == "server":
                assert resources["requests"]["memory"] == resources["limits"]["memory"]


def test_probes_ask_for_services_that_exist(overlay: Overlay) -> None:
    """Readiness is the deployable's own service: an unknown name would be NOT_FOUND, which is a pod never ready."""
    known = service_names()
    for name, workload in overlay.serving.items():
        container = pod_spec(workload)["containers"][0]
        assert container["readinessProbe"]["grpc"] == {"port": 50051, "service": READINESS[name]}
        assert READINESS[name] in known
        assert container["ports"] == [{"name": "grpc", "containerPort": 50051, "protocol": "TCP"}]


def test_liveness_is_patient_and_local(overlay: Overlay) -> None:
    """Liveness asks for nothing remote and forgives half a minute of stall; a slow start has a minute."""
    for workload in overlay.serving.values():
        container = pod_spec(workload)["containers"][0]
        for probe in (container["startupProbe"], container["livenessProbe"]):
            assert probe["grpc"] == {"port": 50051, "service": "liveness"}
        assert seconds_for(container["livenessProbe"]) >= 30
        assert seconds_for(container["startupProbe"]) >= 60
        assert seconds_for(container["readinessProbe"]) <= 10


def test_services_are_headless_and_find_their_pods(overlay: Overlay) -> None:
    """Each Service selects the pods of exactly one workload, at a port they have; serving ones are headless."""
    for name, service in overlay.of_kind("Service").items():
        spec = service["spec"]
        selected = [
            each
            for each, workload in overlay.workloads.items()
            if spec["selector"].items() <= pod_labels(workload).items()
        ]
        assert selected == [name]
        port_names = {port["name"] for port in pod_spec(overlay.workloads[name])["containers"][0]["ports"]}
        assert {port["targetPort"] for port in spec["ports"]} <= port_names
        if name in overlay.serving:
            assert spec["clusterIP"] == "None"


def test_autoscalers_own_the_replicas(overlay: Overlay) -> None:
    """An autoscaler's target exists, and states no replicas that an apply would put back. Scaling down is slow."""
    for name, autoscaler in overlay.of_kind("HorizontalPodAutoscaler").items():
        spec = autoscaler["spec"]
        assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        assert "replicas" not in overlay.workloads[name]["spec"]
        assert spec["minReplicas"] < spec["maxReplicas"]
        assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 600
        assert spec["behavior"]["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


def test_disruptions_take_one_pod_at_a_time(overlay: Overlay) -> None:
    """A node's drain takes one pod of a kind at a time, and a pod that is broken anyway does not block it."""
    budgets = overlay.of_kind("PodDisruptionBudget")
    assert budgets.keys() == overlay.serving.keys()
    for name, budget in budgets.items():
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        assert budget["spec"]["selector"]["matchLabels"].items() <= pod_labels(overlay.workloads[name]).items()


def test_labels_and_priority(overlay: Overlay) -> None:
    """Pods carry the recommended labels, and serving ones a priority that exists."""
    for name, workload in overlay.workloads.items():
        labels = pod_labels(workload)
        assert labels["app.kubernetes.io/name"] == name
        assert labels["app.kubernetes.io/part-of"] == "image-router"
        assert labels["app.kubernetes.io/component"]
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for workload in overlay.serving.values():
        assert pod_spec(workload)["priorityClassName"] in overlay.of_kind("PriorityClass")


def test_production_is_spread_and_pinned() -> None:
    """In production two of everything run at least, spread over zones and nodes, from images that cannot change."""
    overlay = Overlay("production")
    for name, workload in overlay.serving.items():
        pod = pod_spec(workload)
        keys = [spread["topologyKey"] for spread in pod["topologySpreadConstraints"]]
        assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        assert overlay.of_kind("HorizontalPodAutoscaler")[name]["spec"]["minReplicas"] >= 2
        assert all(f"/{name}@sha256:" in container["image"] for container in containers(workload))
        assert pod["containers"][0]["imagePullPolicy"] == "Always"


def test_commands_are_ones_that_the_image_has(overlay: Overlay) -> None:
    """What our containers run are commands of the console script, with a service or provider that it knows."""
    command: Any = typer.main.get_command(app)
    for workload in overlay.workloads.values():
        for container in containers(workload):
            if not container["image"].rpartition("/")[0].endswith("imagerouter"):
                continue
            program, *words = [*container.get("command", ["imagerouter", "serve"]), *container.get("args", [])]
            assert program == "imagerouter"
            context = command.make_context(program, list(words))
            name, subcommand, arguments = command.resolve_command(context, words)
            subcommand.make_context(name, arguments)

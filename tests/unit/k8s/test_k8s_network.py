"""The network policies are the call graph of the architecture: nothing less, nothing more."""

from __future__ import annotations

import pytest
from k8s_network import Place, enters, leaves
from k8s_overlay import Overlay, pod_labels

GRPC, POSTGRES, HTTPS, DNS, OTLP, EMULATOR = 50051, 5432, 443, 53, 4317, 8080
PORTS = [(GRPC, "TCP"), (POSTGRES, "TCP"), (HTTPS, "TCP"), (DNS, "UDP"), (DNS, "TCP"), (OTLP, "TCP"), (EMULATOR, "TCP")]
PORTS += [(port, "TCP") for port in (22, 80, 6443, 9464)]

OUR_NAMESPACE = {"kubernetes.io/metadata.name": "imagerouter"}
ELSEWHERE = [
    Place("caller", {"app": "shop"}, {"kubernetes.io/metadata.name": "shop", "imagerouter.dev/caller": "true"}),
    # The label on a pod is of no use: its author could have put it there.
    Place("stranger", {"imagerouter.dev/caller": "true"}, {"kubernetes.io/metadata.name": "games"}),
    Place("dns", {"k8s-app": "kube-dns"}, {"kubernetes.io/metadata.name": "kube-system"}),
    Place("other-system-pod", {"k8s-app": "metrics"}, {"kubernetes.io/metadata.name": "kube-system"}),
    Place(
        "collector",
        {"app.kubernetes.io/name": "opentelemetry-collector"},
        {"kubernetes.io/metadata.name": "observability"},
    ),
    # Looks like one of ours from the outside, in somebody else's namespace.
    Place("impostor", {"app.kubernetes.io/name": "orchestrator"}, {"kubernetes.io/metadata.name": "games"}),
    Place("provider", address="104.18.6.192"),
    Place("provider-v6", address="2606:4700::6812:6c0"),
    Place("artifact-store", address="192.0.2.17"),
    Place("ledger", address="198.51.100.17"),
    Place("private", address="10.96.0.1"),
    Place("private-v6", address="fd00::1"),
    Place("cloud-metadata", address="169.254.169.254"),
]

SUITE = {"adapter-google", "adapter-openai", "artifact", "evaluator", "normalizer", "orchestrator", "router"}
ADAPTERS = {"adapter-google", "adapter-openai"}
CALLS = {("caller", "orchestrator", GRPC, "TCP"), ("caller", "artifact", GRPC, "TCP")} | {
    ("orchestrator", callee, GRPC, "TCP") for callee in {"normalizer", "router", "evaluator", *ADAPTERS}
}
# The stores' placeholders in the production overlay are public addresses, so that adapters reach them as the internet.
INTERNET = {
    (adapter, place, HTTPS, "TCP")
    for adapter in ADAPTERS
    for place in ("provider", "provider-v6", "artifact-store", "ledger")
}
LOCAL = {("orchestrator", "postgres", POSTGRES, "TCP")}
PRODUCTION = {("orchestrator", "ledger", POSTGRES, "TCP")} | {
    (service, "artifact-store", HTTPS, "TCP") for service in SUITE - {"router"}
}
STORES = {"local": LOCAL, "production": PRODUCTION}


def places(overlay: Overlay) -> list[Place]:
    """Everybody in the overlay, and everybody else who matters."""
    ours = [Place(name, pod_labels(each), OUR_NAMESPACE, governed=True) for name, each in overlay.workloads.items()]
    unnamed = Place("unnamed", {"app": "left-over"}, OUR_NAMESPACE, governed=True)
    return [*ours, unnamed, *ELSEWHERE]


def test_the_policies_are_the_call_graph(overlay: Overlay) -> None:
    """For each pair of places and each port: allowed if, and only if, it is an edge of the architecture's graph.

    Each side says so by itself: a hole in one wall is not left to the other. Replicas have nothing to say to one
    another either, since the ledger is where orchestrators meet.
    """
    policies = list(overlay.of_kind("NetworkPolicy").values())
    everybody = places(overlay)
    pods = {place.name for place in everybody if place.governed}
    dns = {(pod, "dns", DNS, protocol) for pod in pods for protocol in ("UDP", "TCP")}
    telemetry = {(pod, "collector", OTLP, "TCP") for pod in pods - {"unnamed"}}
    graph = CALLS | INTERNET | dns | telemetry | STORES[overlay.name]
    out, into = set(), set()
    for sender in everybody:
        for receiver in everybody:
            for port, protocol in PORTS:
                edge = (sender.name, receiver.name, port, protocol)
                if sender.governed and leaves(policies, sender, receiver, port, protocol):
                    out.add(edge)
                if receiver.governed and enters(policies, sender, receiver, port, protocol):
                    into.add(edge)

    assert out == {edge for edge in graph if edge[0] in pods}
    assert into == {edge for edge in graph if edge[1] in pods}


def test_every_deployable_has_its_own_policy(overlay: Overlay) -> None:
    """A policy of the deployable's own name covers both directions, so that none is open by omission."""
    policies = overlay.of_kind("NetworkPolicy")
    for name in overlay.serving:
        spec = policies[name]["spec"]

        assert spec["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": name}}
        assert sorted(spec["policyTypes"]) == ["Egress", "Ingress"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"podSelector": {}, "policyTypes": ["Ingress"]}, False),
        ({"podSelector": {"matchLabels": {"a": "c"}}, "policyTypes": ["Ingress"]}, True),
        ({"podSelector": {}, "policyTypes": ["Egress"]}, True),
        ({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}, True),
        ({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]}, True),
        ({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 79, "endPort": 80}]}]}, True),
        ({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 79}]}]}, False),
    ],
)
def test_the_evaluator_follows_the_api_reference(policy: dict[str, object], expected: bool) -> None:
    """No policy means open; a selecting policy closes; rules open again, by peer and by port."""
    pod = Place("pod", {"a": "b"}, governed=True)

    assert enters([], pod, pod, 80)
    assert enters([{"spec": policy}], pod, pod, 80) is expected

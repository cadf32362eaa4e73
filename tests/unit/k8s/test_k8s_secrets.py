"""Who can read which secret."""

from __future__ import annotations

import json

from k8s_overlay import ROOT, Overlay, containers, pod_spec

READERS = {
    "adapter-google-key": {"adapter-google"},
    "adapter-openai-key": {"adapter-openai"},
    "ledger-url": {"orchestrator"},
}


def test_secrets_reach_the_pods_that_need_them_and_no_others(overlay: Overlay) -> None:
    """A provider's key is in its adapter's pods alone, the ledger's URL in the orchestrator's; all are files."""
    readers: dict[str, set[str]] = {}
    for name, workload in overlay.workloads.items():
        for volume in pod_spec(workload)["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440
                readers.setdefault(volume["secret"]["secretName"], set()).add(name)
    own = {"postgres-password": {"postgres"}} if overlay.name == "local" else {}

    assert readers == READERS | own


def test_no_secret_is_in_an_environment(overlay: Overlay) -> None:
    """Environments are shown by `kubectl describe`, inherited by children and dumped by crashes."""
    for name, workload in overlay.workloads.items():
        for container in containers(workload):
            assert "secretKeyRef" not in json.dumps(container.get("env", []))
            assert "secretRef" not in json.dumps(container.get("envFrom", []))
        assert not [variable for variable in overlay.environment(name) if variable.endswith(("API_KEY", "LEDGER_URL"))]


def test_the_secret_files_are_where_the_service_looks(overlay: Overlay) -> None:
    """Each `_FILE` variable points into a read-only mount of a secret of the same pod."""
    for name, workload in overlay.serving.items():
        pod = pod_spec(workload)
        secret_volumes = {volume["name"] for volume in pod["volumes"] if "secret" in volume}
        mounts = {
            mount["mountPath"]
            for mount in pod["containers"][0]["volumeMounts"]
            if mount["name"] in secret_volumes and mount.get("readOnly")
        }
        files = {value for variable, value in overlay.environment(name).items() if variable.endswith("_FILE")}
        assert {path.rpartition("/")[0] for path in files} == mounts


def test_production_brings_no_secret_of_its_own() -> None:
    """The production overlay names secrets and holds none; the README says which the platform has to make."""
    overlay = Overlay("production")
    readme = (ROOT / "k8s/overlays/production/README.md").read_text()

    assert not overlay.of_kind("Secret")
    assert all(f"`{secret}`" in readme for secret in READERS)

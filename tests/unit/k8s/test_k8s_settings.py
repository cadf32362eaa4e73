"""The environment of each pod is one that its service starts with."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import pytest
from k8s_overlay import Overlay, containers, pod_labels, pod_spec

from imagerouter.orchestrator.limits import load_limits
from imagerouter.runtime.settings import ServiceSettings, read_settings

PREFIX = "IMAGEROUTER_"
FLUSH_S = 5


def settings_class(component: str) -> type[ServiceSettings]:
    """The settings of a service: the one subclass of ServiceSettings that its settings.py defines."""
    module = importlib.import_module(f"imagerouter.{component}.settings")
    own = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, ServiceSettings) and each.__module__ == module.__name__
    ]
    (found,) = own
    return found


def settings_of(overlay: Overlay, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The settings that a pod would come up with, its secrets being words in files."""
    for variable in [each for each in os.environ if each.startswith(PREFIX)]:
        monkeypatch.delenv(variable)
    for variable, value in overlay.environment(name).items():
        path = value
        if variable.endswith("_FILE"):
            path = str(tmp_path / variable)
            Path(path).write_text("postgresql+asyncpg://u:p@db/x" if "LEDGER" in variable else "word")
        monkeypatch.setenv(variable, path)
    return read_settings(settings_class(pod_labels(overlay.workloads[name])["app.kubernetes.io/component"]))


def test_every_variable_is_a_setting(overlay: Overlay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of ours is misspelt: an unknown one would be ignored in silence, and every value is accepted."""
    for name, workload in overlay.serving.items():
        fields = settings_class(pod_labels(workload)["app.kubernetes.io/component"]).model_fields
        ours = {variable for variable in overlay.environment(name) if variable.startswith(PREFIX)}
        known = {PREFIX + field.upper() for field in fields}
        secrets = {
            f"{PREFIX}{field.upper()}_FILE" for field, info in fields.items() if "Secret" in str(info.annotation)
        }
        assert ours <= known | secrets, name
        with monkeypatch.context() as patch:
            assert settings_of(overlay, name, patch, tmp_path).listen == "0.0.0.0:50051"


def test_a_pod_lives_as_long_as_its_drain(overlay: Overlay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kubelet waits for preStop, the server's drain and the last flush before it kills."""
    for name, workload in overlay.serving.items():
        with monkeypatch.context() as patch:
            settings = settings_of(overlay, name, patch, tmp_path)
        pod = pod_spec(workload)
        pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        needed = pause + settings.drain_settle_s + settings.drain_grace_s + FLUSH_S

        assert pod["terminationGracePeriodSeconds"] >= needed
        assert settings.connection_age_grace_s >= settings.drain_grace_s
        if name == "orchestrator":
            assert settings.drain_grace_s >= load_limits().defaults.time_s


def test_targets_are_services_of_the_overlay(overlay: Overlay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The orchestrator calls every other service under a name and port that exist, and balances over its pods."""
    settings = settings_of(overlay, "orchestrator", monkeypatch, tmp_path)
    targets = {
        "normalizer": settings.normalizer_target,
        "router": settings.router_target,
        "evaluator": settings.evaluator_target,
        **{f"adapter-{provider}": target for provider, target in settings.adapter_targets.items()},
    }

    assert targets.keys() == overlay.serving.keys() - {"orchestrator", "artifact"}
    for name, target in targets.items():
        assert target == f"dns:///{name}:50051"
        assert [port["port"] for port in overlay.of_kind("Service")[name]["spec"]["ports"]] == [50051]


def test_adapters_serve_the_provider_that_they_are_named_after(overlay: Overlay) -> None:
    """`adapter-openai` serves openai; in the local overlay it calls the emulator beside it, in production none."""
    for name in ("adapter-google", "adapter-openai"):
        provider = name.removeprefix("adapter-")
        environment = overlay.environment(name)
        base_url = environment.get("IMAGEROUTER_PROVIDER_BASE_URL", "")

        assert environment["IMAGEROUTER_PROVIDER"] == provider
        sidecars = [each["args"] for each in containers(overlay.workloads[name]) if each["name"] == "emulator"]
        if overlay.name == "local":
            assert base_url == "http://127.0.0.1:8080"
            assert [args[:3] for args in sidecars] == [[provider, "--port", "8080"]]
        else:
            assert (base_url, sidecars) == ("", [])


def test_all_services_but_the_router_use_one_artifact_store(overlay: Overlay) -> None:
    """Refs mean the same bytes to everybody; the router sees refs only and can reach no store."""
    stores = {name: overlay.environment(name).get("IMAGEROUTER_ARTIFACT_STORE") for name in overlay.serving}

    assert stores.pop("router") is None
    assert len(set(stores.values())) == 1
    scheme = {"local": "file:///", "production": "s3://"}[overlay.name]
    assert str(stores["artifact"]).startswith(scheme)


def test_telemetry_goes_to_the_collector_in_production() -> None:
    """Every service knows the collector that the network policies let it reach, and says which pod it is."""
    overlay = Overlay("production")
    for name in overlay.serving:
        environment = overlay.environment(name)
        assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://opentelemetry-collector.observability:4317"
        assert "k8s.pod.name=$(POD_NAME)" in environment["OTEL_RESOURCE_ATTRIBUTES"]

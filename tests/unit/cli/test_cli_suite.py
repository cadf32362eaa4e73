"""The suite as a table of processes."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from imagerouter.cli.suite import Part, SuiteOptions, free_port, parts_of, target_of

KEYS = {"OPENAI_API_KEY": "sk-openai", "GEMINI_API_KEY": "g-key"}
CALLEES = ("normalizer", "router", "evaluator", "adapter-openai", "adapter-google")


def parts(folder: Path, **options: object) -> dict[str, Part]:
    return {part.name: part for part in parts_of(SuiteOptions(folder, **options))}  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)


def holders(suite: dict[str, Part], secret: str) -> list[str]:
    """Who is told a secret."""
    return [name for name, part in suite.items() if secret in f"{part.env} {part.argv}"]


def targets(suite: dict[str, Part]) -> dict[str, str]:
    """What the orchestrator is told about whom it calls."""
    env = suite["orchestrator"].env
    named = {name: env[f"IMAGEROUTER_{name.upper()}_TARGET"] for name in CALLEES[:3]}
    adapters = json.loads(env["IMAGEROUTER_ADAPTER_TARGETS"])
    return {**named, **{f"adapter-{provider}": target for provider, target in adapters.items()}}


def test_every_deployable_and_both_emulators(tmp_path: Path) -> None:
    """Nine processes, each with a port of its own, callees before their callers."""
    suite = parts(tmp_path)
    order = list(suite)

    assert set(order) == {*CALLEES, "artifact", "orchestrator", "emulator-openai", "emulator-google"}
    assert len({part.port for part in suite.values()}) == len(suite)
    for provider in ("openai", "google"):
        assert order.index(f"emulator-{provider}") < order.index(f"adapter-{provider}")
    assert order[-1] == "orchestrator"


def test_everybody_listens_where_the_callers_look(tmp_path: Path) -> None:
    """The orchestrator's targets are the callees' own addresses, and each adapter's provider is its emulator."""
    suite = parts(tmp_path)

    assert targets(suite) == {name: f"ipv4:127.0.0.1:{suite[name].port}" for name in CALLEES}
    for name, part in suite.items():
        if not name.startswith("emulator"):
            assert part.env["IMAGEROUTER_LISTEN"] == f"127.0.0.1:{part.port}"
            assert part.argv[-2:] == ("serve", name.partition("-")[0])
            assert part.health.startswith("imagerouter.api.")
    for provider in ("openai", "google"):
        env = suite[f"adapter-{provider}"].env
        assert env["IMAGEROUTER_PROVIDER"] == provider
        assert env["IMAGEROUTER_PROVIDER_BASE_URL"] == f"http://127.0.0.1:{suite[f'emulator-{provider}'].port}"


def test_only_who_needs_them_has_store_and_ledger(tmp_path: Path) -> None:
    """One store for all who handle pictures, one ledger for the orchestrator; the router has neither."""
    suite = parts(tmp_path)
    stores = {name: part.env.get("IMAGEROUTER_ARTIFACT_STORE") for name, part in suite.items()}
    with_store = {name for name, store in stores.items() if store}

    assert with_store == set(suite) - {"router", "emulator-openai", "emulator-google"}
    assert {stores[name] for name in with_store} == {(tmp_path / "artifacts").as_uri()}
    assert holders(suite, "ledger.db") == ["orchestrator"]


def test_without_live_no_key_is_handed_out(tmp_path: Path) -> None:
    """Keys that happen to be in the environment are not used: an emulator answers."""
    suite = parts(tmp_path)

    for key in KEYS.values():
        assert not holders(suite, key)


def test_a_live_provider_is_called_for_real(tmp_path: Path) -> None:
    """Its adapter alone has its key, under the suite's own name; it has no emulator. The other stays as it was."""
    suite = parts(tmp_path, live=("google",))

    assert holders(suite, KEYS["GEMINI_API_KEY"]) == ["adapter-google"]
    assert suite["adapter-google"].env["IMAGEROUTER_PROVIDER_API_KEY"] == KEYS["GEMINI_API_KEY"]
    assert "IMAGEROUTER_PROVIDER_BASE_URL" not in suite["adapter-google"].env
    assert "emulator-google" not in suite
    assert not holders(suite, KEYS["OPENAI_API_KEY"])
    assert "emulator-openai" in suite


def test_replicas_share_a_target(tmp_path: Path) -> None:
    """A service of several processes is one target with all their addresses; the first keeps the plain name."""
    suite = parts(tmp_path, replicas={"router": 3, "adapter-openai": 2})
    routers = [suite[name].port for name in ("router", "router-2", "router-3")]
    adapters = [suite[name].port for name in ("adapter-openai", "adapter-openai-2")]

    assert len(suite) == 12
    assert targets(suite)["router"] == target_of(routers)
    assert targets(suite)["adapter-openai"] == target_of(adapters)
    assert suite["adapter-openai-2"].argv == suite["adapter-openai"].argv
    assert suite["adapter-openai-2"].env["IMAGEROUTER_PROVIDER"] == "openai"


def test_settings_reach_every_service(tmp_path: Path) -> None:
    """Added settings hold for services, and do not override what makes the suite one."""
    suite = parts(tmp_path, settings={"IMAGEROUTER_LOG_LEVEL": "DEBUG", "IMAGEROUTER_LISTEN": "0.0.0.0:1"})

    assert set(holders(suite, "DEBUG")) == {name for name in suite if not name.startswith("emulator")}
    assert not holders(suite, "0.0.0.0:1")


def test_ports_and_emulator_options_are_as_asked(tmp_path: Path) -> None:
    """The two public services have the wanted ports; speed, seed and journal go to both emulators."""
    port, artifact_port = free_port(), free_port()
    suite = parts(tmp_path, port=port, artifact_port=artifact_port, speed=0.5, seed=7)

    assert (suite["orchestrator"].port, suite["artifact"].port) == (port, artifact_port)
    for provider in ("openai", "google"):
        argv = suite[f"emulator-{provider}"].argv
        options = dict(zip(argv[-8::2], argv[-7::2], strict=True))
        assert options == {
            "--port": str(suite[f"emulator-{provider}"].port),
            "--journal": str(tmp_path / "journal"),
            "--speed": "0.5",
            "--seed": "7",
        }


def test_a_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    """Nobody else's port is used, and no other silently instead."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            parts(tmp_path, port=other.getsockname()[1])

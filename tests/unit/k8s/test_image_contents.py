"""What a container image of each deployable holds, and what it is built from."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from types import ModuleType
from typing import Any

import pytest
from k8s_overlay import ROOT, Overlay, containers

# What is too much to carry for nothing: provider SDKs, pixels, databases, web servers, object stores.
HEAVY = {
    "aiosqlite",
    "alembic",
    "asyncpg",
    "google-genai",
    "numpy",
    "obstore",
    "openai",
    "pillow",
    "sqlalchemy",
    "starlette",
    "uvicorn",
}
CARRIED = {
    "adapter-google": {"google-genai", "obstore"},
    "adapter-openai": {"obstore", "openai"},
    "artifact": {"obstore"},
    "base": set(),
    "build": set(),
    "cli": set(),
    "emulators": {"numpy", "pillow", "starlette", "uvicorn"},
    "evaluator": {"obstore", "pillow"},
    "normalizer": {"obstore"},
    "orchestrator": {"aiosqlite", "alembic", "asyncpg", "obstore", "sqlalchemy"},
    "router": set(),
}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def lock_for() -> ModuleType:
    """The tool as a module; tools/ is no package."""
    spec = importlib.util.spec_from_file_location("lock_for", ROOT / "tools/lock_for.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def closures() -> dict[str, list[str]]:
    """The committed closures."""
    return tomllib.loads((ROOT / "tools/closures.toml").read_text())


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the closures are those of the images' Python, 3.11")
def test_the_closures_are_up_to_date(lock_for: Any) -> None:
    """`python tools/lock_for.py closures` has been run since pyproject.toml or requirements.lock changed."""
    found = lock_for.closures(tomllib.loads((ROOT / "pyproject.toml").read_text()))

    assert lock_for.render(found) == lock_for.CLOSURES.read_text()


def test_an_image_carries_only_its_own_weight(lock_for: Any, closures: dict[str, list[str]]) -> None:
    """An adapter's image has its own SDK and not the other's; the router's has neither SDK nor pixels nor store."""
    assert {extra: lock_for.names_for(closures, [extra]) & HEAVY for extra in closures} == CARRIED


def test_every_name_is_locked_with_hashes(lock_for: Any, closures: dict[str, list[str]]) -> None:
    """Each image's lock has an entry for each of its names, pinned, with hashes, and for no other."""
    lock = lock_for.LOCK.read_text()
    for extra in closures:
        names = lock_for.names_for(closures, [extra])
        chosen = lock_for.select(lock, names)
        entries = re.findall(
            r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==\S+ .*\\\n(?:    --hash=sha256:[0-9a-f]{64}.*\n?)+", chosen, re.M
        )
        assert set(entries) == names
        assert len(re.findall(r"^\S", chosen, re.M)) == len(entries)


def test_what_is_not_locked_is_refused(lock_for: Any, closures: dict[str, list[str]]) -> None:
    """A name without an entry, or an extra that there is not, stops the build."""
    with pytest.raises(ValueError, match="not in the lock: left-pad"):
        lock_for.select("grpcio==1 \\\n    --hash=sha256:00\n", ["grpcio", "left-pad"])
    with pytest.raises(ValueError, match="no extra"):
        lock_for.names_for(closures, ["adapter-nobody"])


def test_an_entry_is_chosen_whole(lock_for: Any) -> None:
    """Markers stay with their entry, and a name that begins like another is another."""
    wanted = "a==1 ; python_version < '4' \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n"
    other = "a-b==2 \\\n    --hash=sha256:02\n"

    assert lock_for.select(wanted + other, ["a"]) == wanted


def test_there_is_an_image_for_every_deployable(closures: dict[str, list[str]]) -> None:
    """Each container of ours runs the image of an extra, and each extra but the command alone has its container."""
    overlay = Overlay("local")
    images = {container["image"] for workload in overlay.workloads.values() for container in containers(workload)}
    ours = {image.removeprefix("imagerouter/").removesuffix(":local") for image in images if "imagerouter/" in image}

    assert ours == closures.keys() - {"base", "build", "cli"}


def test_the_image_runs_one_command_as_nobody() -> None:
    """The image's user is no root and has a number, which Kubernetes can check; the command needs no shell."""
    final = DOCKERFILE.rpartition("\nFROM ")[2]

    assert re.search(r"^USER 10001:10001$", final, re.M)
    assert re.search(r'^ENTRYPOINT \["imagerouter", "serve"\]$', final, re.M)
    assert "RUN" not in final
    assert not re.search(r"^(ARG|ENV|COPY).*(KEY|SECRET|TOKEN|PASSWORD)", DOCKERFILE, re.M)


def test_dependencies_are_installed_with_hashes() -> None:
    """Every pip command either checks hashes or installs what was built in the same stage, without an index."""
    commands = re.findall(r"\bpip (?:--python \S+ )?(install|wheel)\b([^&\n]*)", DOCKERFILE)

    assert len(commands) == 4
    for _, arguments in commands:
        assert ("--require-hashes" in arguments) != ("--no-index" in arguments)


def test_the_build_context_is_what_the_dockerfile_copies() -> None:
    """Everything is ignored but what is copied, so that no key, artifact or ledger lying about gets into an image."""
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    copied: set[str] = set()
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.M):
        copied |= set(sources.split())

    assert ignore[1] == "*"
    assert {line.removeprefix("!") for line in ignore if line.startswith("!")} == copied

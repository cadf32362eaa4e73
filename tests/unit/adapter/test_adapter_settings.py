"""Configuration: which provider, where, and with which key."""

from __future__ import annotations

import subprocess
import sys

import pytest

from imagerouter.adapter.settings import EMULATOR_KEY, AdapterSettings
from imagerouter.runtime.settings import ConfigError, read_settings


def _read(monkeypatch: pytest.MonkeyPatch, **values: str) -> AdapterSettings:
    for name, value in values.items():
        monkeypatch.setenv(f"IMAGEROUTER_{name.upper()}", value)
    return read_settings(AdapterSettings)


@pytest.mark.parametrize(
    ("provider", "given", "expected"),
    [
        ("openai", "http://127.0.0.1:8001", "http://127.0.0.1:8001/v1"),
        ("openai", "http://127.0.0.1:8001/", "http://127.0.0.1:8001/v1"),
        ("openai", "http://localhost:8001/v1", "http://localhost:8001/v1"),
        ("openai", "http://[::1]:8001/proxy/v1/", "http://[::1]:8001/proxy/v1"),
        ("google", "http://127.0.0.1:8002", "http://127.0.0.1:8002"),
        ("google", "http://127.0.0.1:8002/gemini/", "http://127.0.0.1:8002/gemini"),
    ],
)
def test_an_emulator_needs_no_key(monkeypatch: pytest.MonkeyPatch, provider: str, given: str, expected: str) -> None:
    """On loopback a harmless key is used, and the provider's own path is added where there is none."""
    settings = _read(monkeypatch, provider=provider, provider_base_url=given)

    assert settings.base_url == expected
    assert settings.api_key == EMULATOR_KEY


@pytest.mark.parametrize(
    ("provider", "expected"),
    [("openai", "https://api.openai.com/v1"), ("google", "https://generativelanguage.googleapis.com")],
)
def test_the_real_provider_is_the_default(monkeypatch: pytest.MonkeyPatch, provider: str, expected: str) -> None:
    """With a key and no address, the provider itself is called."""
    settings = _read(monkeypatch, provider=provider, provider_api_key=" sk-live ")

    assert (settings.base_url, settings.api_key) == (expected, "sk-live")
    assert "sk-live" not in repr(settings)


@pytest.mark.parametrize("values", [{}, {"provider_base_url": "https://gateway.example/v1"}])
def test_a_missing_key_shows_the_way_to_the_emulator(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    """Nobody is left without a next step."""
    with pytest.raises(ConfigError, match="imagerouter emulate"):
        _read(monkeypatch, **values)


@pytest.mark.parametrize(
    "values",
    [
        {"provider": "acme"},
        {"provider_base_url": "ftp://127.0.0.1"},
        {"provider_base_url": "http://user:pw@127.0.0.1"},
        {"provider_base_url": "http://api.openai.com/v1"},
        {"provider_base_url": "127.0.0.1:8000"},
    ],
)
def test_an_impossible_setting_is_refused(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    """Unknown providers, other schemes, credentials in the address and keys in the clear are refused."""
    with pytest.raises(ConfigError):
        _read(monkeypatch, provider_api_key="sk-live", **values)


@pytest.mark.parametrize(
    ("provider", "sdk", "extra"),
    [("openai", "openai", "adapter-openai"), ("google", "google.genai", "adapter-google")],
)
def test_a_missing_sdk_names_the_extra(provider: str, sdk: str, extra: str) -> None:
    """An image built without the SDK says which extra it lacks."""
    code = (
        f"import sys; sys.modules[{sdk!r}] = None\n"
        f"import importlib\n"
        f"try: importlib.import_module('imagerouter.adapter.providers.{provider}')\n"
        f"except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert extra in done.stdout


@pytest.mark.parametrize(("provider", "other"), [("openai", "google.genai"), ("google", "openai")])
def test_a_deployment_loads_one_sdk(provider: str, other: str) -> None:
    """The service with one provider's module has not imported the other's SDK."""
    code = (
        f"import sys, imagerouter.adapter.main, imagerouter.adapter.providers.{provider}\n"
        f"print({other!r} in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"

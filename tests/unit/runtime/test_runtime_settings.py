"""Configuration: where it comes from, and how all that is wrong with it is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from imagerouter.runtime.redact import redact_text
from imagerouter.runtime.settings import ConfigError, ServiceSettings, load_settings, read_settings


class AdapterLike(ServiceSettings):
    """A service with a secret, a required field and a structured one."""

    provider: str
    api_key: SecretStr
    targets: dict[str, str] = Field(default_factory=dict)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("IMAGEROUTER_"):
            monkeypatch.delenv(name)


def _required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEROUTER_PROVIDER", "openai")
    monkeypatch.setenv("IMAGEROUTER_API_KEY", "canary-key-1234")


def test_defaults_need_no_environment() -> None:
    """A service without required fields runs on nothing."""
    settings = read_settings(ServiceSettings)

    assert settings.listen == "127.0.0.1:0"
    assert settings.reflection is False


def test_environment_beats_file_beats_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment overrides the TOML file, which overrides the defaults."""
    file = tmp_path / "settings.toml"
    file.write_text('listen = "0.0.0.0:1"\nlog_level = "WARNING"\n[targets]\nopenai = "a:1"\n')
    monkeypatch.setenv("IMAGEROUTER_CONFIG_FILE", str(file))
    monkeypatch.setenv("IMAGEROUTER_LISTEN", "127.0.0.1:2")
    _required(monkeypatch)

    settings = read_settings(AdapterLike)

    assert settings.listen == "127.0.0.1:2"
    assert settings.log_level == "WARNING"
    assert settings.targets == {"openai": "a:1"}


def test_structured_fields_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping is given as JSON."""
    _required(monkeypatch)
    monkeypatch.setenv("IMAGEROUTER_TARGETS", '{"openai": "127.0.0.1:1"}')

    assert read_settings(AdapterLike).targets == {"openai": "127.0.0.1:1"}


def test_secret_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A secret is read from the file its `_FILE` variable names, without the newline, and never shown."""
    file = tmp_path / "key"
    file.write_text("canary-from-file\n")
    monkeypatch.setenv("IMAGEROUTER_PROVIDER", "openai")
    monkeypatch.setenv("IMAGEROUTER_API_KEY_FILE", str(file))

    settings = read_settings(AdapterLike)

    assert settings.api_key.get_secret_value() == "canary-from-file"
    assert "canary" not in repr(settings)
    assert "canary" not in redact_text("the key is canary-from-file")


def test_all_problems_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every problem of every source is reported together, each with its variable, none with a value."""
    file = tmp_path / "settings.toml"
    file.write_text("listen = [")
    monkeypatch.setenv("IMAGEROUTER_CONFIG_FILE", str(file))
    monkeypatch.setenv("IMAGEROUTER_API_KEY_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("IMAGEROUTER_INFLIGHT_LIMIT", "canary-none")
    monkeypatch.setenv("IMAGEROUTER_LOG_LEVEL", "canary-loud")
    monkeypatch.setenv("IMAGEROUTER_TARGETS", "{canary-broken")
    monkeypatch.setenv("IMAGEROUTER_METHOD_LIMITS", '{"Generate": "canary-x"}')

    with pytest.raises(ConfigError) as caught:
        read_settings(AdapterLike)

    named = {problem.split(":")[0] for problem in caught.value.problems}
    assert named == {
        "IMAGEROUTER_CONFIG_FILE",
        "IMAGEROUTER_API_KEY_FILE",
        "IMAGEROUTER_API_KEY or IMAGEROUTER_API_KEY_FILE",
        "IMAGEROUTER_INFLIGHT_LIMIT",
        "IMAGEROUTER_LOG_LEVEL",
        "IMAGEROUTER_TARGETS",
        "IMAGEROUTER_METHOD_LIMITS[Generate]",
        "IMAGEROUTER_PROVIDER",
    }
    assert "canary" not in str(caught.value)


def test_unknown_keys_of_the_file_are_problems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A misspelt key in the file is not ignored; variables of other services are."""
    file = tmp_path / "settings.toml"
    file.write_text("listn = 1\n")
    monkeypatch.setenv("IMAGEROUTER_CONFIG_FILE", str(file))
    monkeypatch.setenv("IMAGEROUTER_LEDGER_URL", "sqlite+aiosqlite:///x")

    with pytest.raises(ConfigError) as caught:
        read_settings(ServiceSettings)

    assert caught.value.problems == ("listn: no such setting (IMAGEROUTER_CONFIG_FILE)",)


def test_secret_given_twice_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A secret given both ways is refused: one of them is stale."""
    _required(monkeypatch)
    (tmp_path / "key").write_text("other")
    monkeypatch.setenv("IMAGEROUTER_API_KEY_FILE", str(tmp_path / "key"))

    with pytest.raises(ConfigError, match="choose one"):
        read_settings(AdapterLike)


def test_settings_are_frozen() -> None:
    """What was read at the start holds until the end."""
    settings = ServiceSettings()

    with pytest.raises(ValueError, match="frozen"):
        settings.listen = "x"  # type: ignore[misc]


def test_exit_78_with_a_line_for_each(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A service that cannot be configured says why on standard error and exits with EX_CONFIG."""
    monkeypatch.setenv("IMAGEROUTER_DRAIN_GRACE_S", "-1")

    with pytest.raises(SystemExit) as caught:
        load_settings(AdapterLike)

    assert caught.value.code == 78
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("configuration: IMAGEROUTER_") for line in lines)


def test_every_field_is_documented() -> None:
    """Each setting says what it is for."""
    undocumented = [name for name, field in ServiceSettings.model_fields.items() if not field.description]

    assert undocumented == []

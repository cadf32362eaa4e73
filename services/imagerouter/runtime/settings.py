"""Configuration, read once at the start: environment first, then a TOML file, then defaults.

Variables are `IMAGEROUTER_` plus the field's name in capitals. `IMAGEROUTER_CONFIG_FILE` names a TOML file with the
fields' names as keys. A field of type `SecretStr` may also come from a file, named by its variable plus `_FILE`, as
Kubernetes and Docker mount secrets. Services subclass `ServiceSettings` in their own `settings.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from imagerouter.runtime._settings_sources import (
    CONFIG_FILE,
    PREFIX,
    Environment,
    SecretFiles,
    TomlFile,
    collected_problems,
    is_secret,
    variable,
)
from imagerouter.runtime.log import configure_log
from imagerouter.runtime.redact import know_secret

EXIT_CONFIG: Final = 78
"""The exit code for a bad configuration: sysexits' EX_CONFIG."""

S = TypeVar("S", bound="ServiceSettings")


class ServiceSettings(BaseSettings):
    """What every service can be told. Frozen: what was read at the start holds until the end."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments (tests), environment, secret files, TOML file, in this order."""
        return (init_settings, Environment(settings_cls), SecretFiles(settings_cls), TomlFile(settings_cls))

    listen: str = "127.0.0.1:0"
    """Where to serve, `host:port` or `unix:/path`. Port 0 takes a free one; the ready line says which."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least level that is logged."""

    log_format: Literal["json", "console"] = "json"
    """One JSON object a line, or lines for eyes."""

    reflection: bool = False
    """Serve gRPC reflection, for `buf curl` and the like. Off in production."""

    max_message_bytes: int = Field(512 * 1024, ge=1024, le=4 * 1024 * 1024)
    """The largest message received or sent, in bytes. Images travel as references."""

    inflight_limit: int = Field(1000, ge=1)
    """How many calls of one method are served at a time; more are refused with OVERLOADED."""

    method_limits: dict[str, int] = Field(default_factory=dict)
    """Other limits for some methods, by name: `{"Generate": 64}`."""

    overload_retry_after_s: float = Field(1.0, gt=0)
    """What a refused caller is told to wait."""

    max_pending_requests: int = Field(10_000, ge=1)
    """Calls that may wait inside gRPC for our loop; beyond it, C-core begins to refuse some as CANCELLED."""

    max_pending_requests_hard: int = Field(20_000, ge=1)
    """Calls waiting inside gRPC beyond which C-core refuses all."""

    keepalive_time_s: float = Field(20.0, gt=0)
    """How long a connection may be silent before it is pinged."""

    keepalive_timeout_s: float = Field(5.0, gt=0)
    """How long a ping may go unanswered before the caller counts as gone."""

    min_ping_interval_s: float = Field(10.0, gt=0)
    """How often a caller may ping us; one that does it more often is cut off."""

    connection_age_s: float = Field(300.0, gt=0)
    """After how long a connection is asked to reconnect, so that callers find new replicas."""

    connection_age_grace_s: float = Field(120.0, gt=0)
    """How long calls on such a connection may go on. More than the longest deadline plus 30 s."""

    readiness_interval_s: float = Field(2.0, gt=0)
    """How often readiness is asked for; once it was ready. Before that, every tenth of it."""

    readiness_timeout_s: float = Field(2.0, gt=0)
    """How long an answer may take."""

    liveness_lag_s: float = Field(5.0, gt=0)
    """An event loop this late, three times in a row, is not alive."""

    drain_settle_s: float = Field(0.2, ge=0)
    """How long to go on accepting calls after SIGTERM, until callers have seen that we are not ready. 10 on
    Kubernetes, where endpoints take time to spread."""

    drain_grace_s: float = Field(65.0, ge=0)
    """How long calls in progress may take to end after that: the longest deadline plus 5 s."""


class _LogSettings(ServiceSettings):
    """The common settings, of a configuration that may have others."""

    model_config = SettingsConfigDict(extra="ignore")


class ConfigError(Exception):
    """The configuration cannot be used. `problems` has a line for each, naming its variable and never its value."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def read_settings(cls: type[S]) -> S:
    """Read the settings, or raise ConfigError with all problems. Their secrets are known to the log from then on."""
    with collected_problems() as problems:
        try:
            settings = cls()
        except ValidationError as error:
            problems += [_problem(cls, detail) for detail in error.errors(include_input=False, include_url=False)]
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    for name in cls.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            know_secret(value.get_secret_value())
    return settings


def load_settings(cls: type[S]) -> S:
    """Read the settings, or say on standard error all that is wrong with them and exit with 78."""
    try:
        return read_settings(cls)
    except ConfigError as error:
        lines = [f"configuration: {problem}\n" for problem in error.problems]
        sys.stderr.write("".join(lines))
        sys.exit(EXIT_CONFIG)


def log_as_configured() -> None:
    """Set up the log by the settings that concern it. Bad ones count as the defaults: `load_settings` reports them."""
    settings: ServiceSettings | None = None
    with collected_problems(), suppress(ValidationError):
        settings = _LogSettings()
    if settings is None:
        configure_log()
    else:
        configure_log(settings.log_level, settings.log_format)


def _problem(cls: type[BaseSettings], detail: ErrorDetails) -> str:
    """Write a line on one problem. Messages of secrets are replaced: a validator may quote its input."""
    name, *path = [str(part) for part in detail["loc"]] or [""]
    if name not in cls.model_fields:
        return f"{name}: no such setting ({CONFIG_FILE})" if name else detail["msg"]
    place = variable(name) + "".join(f"[{part}]" for part in path)
    if detail["type"] == "missing":
        wanted = f"{place} or {place}_FILE" if is_secret(cls.model_fields[name]) else place
        return f"{wanted}: is required"
    if is_secret(cls.model_fields[name]):
        return f"{place}: is not valid"
    return f"{place}: {detail['msg']}"

"""Where settings come from. A source that cannot be read is one problem among others, not the end of the reading."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, PydanticBaseSettingsSource

PREFIX: Final = "IMAGEROUTER_"
CONFIG_FILE: Final = "IMAGEROUTER_CONFIG_FILE"

_problems: ContextVar[list[str] | None] = ContextVar("imagerouter_settings_problems", default=None)


@contextmanager
def collected_problems() -> Iterator[list[str]]:
    """Collect what sources find wrong within the block, instead of raising ValueError at the first."""
    problems: list[str] = []
    token = _problems.set(problems)
    try:
        yield problems
    finally:
        _problems.reset(token)


def variable(field: str) -> str:
    """Return the environment variable of a field."""
    return PREFIX + field.upper()


def is_secret(field: FieldInfo) -> bool:
    """Whether the field is a `SecretStr`, optional or not."""
    return field.annotation is SecretStr or SecretStr in get_args(field.annotation)


class Environment(EnvSettingsSource):
    """Environment variables. Structured fields are JSON; a text that is not JSON is left to validation to report."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """JSON, or else the text as it is."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class _Source(PydanticBaseSettingsSource):
    """A source that reads everything at once."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Not asked: `__call__` has it all."""
        return None, field_name, False


class SecretFiles(_Source):
    """Secrets from the files that `<variable>_FILE` names, without the newline at their end."""

    def __call__(self) -> dict[str, Any]:
        """Read the secrets that have a file."""
        found: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            path = os.environ.get(variable(name) + "_FILE")
            if not is_secret(field) or not path:
                continue
            if os.environ.get(variable(name)):
                _report(f"{variable(name)}_FILE: {variable(name)} is set as well, choose one")
            try:
                found[name] = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, ValueError) as error:
                _report(f"{variable(name)}_FILE: cannot be read ({_why(error)})")
        return found


class TomlFile(_Source):
    """The TOML file that `IMAGEROUTER_CONFIG_FILE` names."""

    def __call__(self) -> dict[str, Any]:
        """Read the file's top-level keys."""
        path = os.environ.get(CONFIG_FILE)
        if not path:
            return {}
        try:
            return tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            # Its text has a position and never quotes the file.
            _report(f"{CONFIG_FILE}: is not TOML ({error})")
        except (OSError, ValueError) as error:
            _report(f"{CONFIG_FILE}: cannot be read ({_why(error)})")
        return {}


def _why(error: Exception) -> str:
    return error.strerror or "error" if isinstance(error, OSError) else "not UTF-8"


def _report(problem: str) -> None:
    problems = _problems.get()
    if problems is None:
        raise ValueError(problem)
    problems.append(problem)

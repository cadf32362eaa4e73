"""The catalogue as a whole: rows by id, and reading it from its data files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator

from imagerouter.catalogue.model import Model, RetiredModel
from imagerouter.catalogue.priors import Priors
from imagerouter.catalogue.sizing import Frozen

_PACKAGED = Path(__file__).parent / "data"


class CatalogueError(ValueError):
    """The catalogue's files cannot be used. `problems` has every reason found, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(["the catalogue cannot be used:", *problems]))
        self.problems = tuple(problems)


class Catalogue(Frozen):
    """Every model that we know of. `version` names the data; a decision records it."""

    version: str
    models: tuple[Model, ...]
    retired: tuple[RetiredModel, ...]
    priors: Priors

    @model_validator(mode="after")
    def _consistent(self) -> Catalogue:
        names = [name for row in self.models for name in (row.id, *row.aliases)] + [row.id for row in self.retired]
        wrong = [f"{name!r} is named twice" for name in sorted({name for name in names if names.count(name) > 1})]
        known = set(names)
        successors = [(row.id, row.replacement) for row in self.models if row.replacement]
        successors += [(row.id, row.replacement) for row in self.retired]
        wrong += [f"{name}: replacement {to!r} is not in the catalogue" for name, to in successors if to not in known]
        wrong += [f"{row.id}: priors has no row for it" for row in self.models if row.id not in self.priors.named()]
        wrong += [f"priors: {name!r} is not in the catalogue" for name in sorted(self.priors.named() - known)]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @cached_property
    def _by_name(self) -> Mapping[str, Model | RetiredModel]:
        rows: dict[str, Model | RetiredModel] = {row.id: row for row in self.retired}
        for row in self.models:
            rows |= dict.fromkeys((row.id, *row.aliases), row)
        return rows

    def find(self, name: str) -> Model | RetiredModel | None:
        """Return the row of an id or an alias; None if there is no such model."""
        return self._by_name.get(name)

    def get(self, name: str) -> Model:
        """Return the model of an id or an alias; KeyError if it is unknown or retired."""
        row = self._by_name[name]
        if isinstance(row, RetiredModel):
            raise KeyError(name)
        return row

    def of_provider(self, provider: str) -> tuple[Model, ...]:
        """Return the provider's models, in the order of the file."""
        return tuple(row for row in self.models if row.provider == provider)


def load_catalogue(path: Path | None = None) -> Catalogue:
    """Read the catalogue from the directory `path`, by default the one in the package.

    Reads `catalogue.toml` (version, pixel tables, profiles), `models-*.toml` and `priors.toml`. A row takes over every
    key of the profiles that it names in `extends`, tables merged, in order, its own keys last. Raises CatalogueError
    with every problem.
    """
    folder = path or _PACKAGED
    problems: list[str] = []
    head = _read(folder / "catalogue.toml", problems)
    priors = _read(folder / "priors.toml", problems)
    rows: list[dict[str, Any]] = []
    retired: list[dict[str, Any]] = []
    for file in sorted(folder.glob("models-*.toml")):
        document = _read(file, problems)
        rows += document.get("models", [])
        retired += document.get("retired", [])
    if problems:
        raise CatalogueError(problems)
    models: list[Model] = []
    for row in rows:
        try:
            models.append(Model.model_validate(_expand(row, head)))
        except ValidationError as error:
            problems += _describe(f"model {row.get('id', '?')}", error)
        except KeyError as error:
            problems.append(f"model {row.get('id', '?')}: no profile or pixel table {error}")
    try:
        if not problems:
            return Catalogue.model_validate(
                {"version": head.get("version"), "models": models, "retired": retired, "priors": priors}
            )
    except ValidationError as error:
        problems += _describe("catalogue", error)
    raise CatalogueError(problems)


def _read(file: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        problems.append(f"{file.name}: {error}")
        return {}


def _expand(row: Mapping[str, Any], head: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in row.get("extends", []):
        merged = _merge(merged, head["profiles"][name])
    merged = _merge(merged, {key: value for key, value in row.items() if key != "extends"})
    size = merged.get("size", {})
    if size.get("kind") == "ratio_tier":
        merged["size"] = size | {"pixels": _with_inverses(head["pixel_tables"][size["table_name"]])}
    return merged


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _with_inverses(table: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Add to each ratio of a pixel table its inverse, with width and height swapped."""
    full: dict[str, dict[str, str]] = {}
    for tier, ratios in table.items():
        full[tier] = {
            key: pixels
            for ratio, size in ratios.items()
            for key, pixels in ((ratio, size), (_swap(ratio, ":"), _swap(size, "x")))
        }
    return full


def _swap(pair: str, separator: str) -> str:
    left, _, right = pair.partition(separator)
    return f"{right}{separator}{left}"


def _describe(what: str, error: ValidationError) -> list[str]:
    return [f"{what}: {'.'.join(str(part) for part in item['loc']) or 'row'}: {item['msg']}" for item in error.errors()]

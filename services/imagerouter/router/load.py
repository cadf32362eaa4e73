"""Reading a policy file and holding it against the catalogue."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from imagerouter.catalogue import Catalogue, RetiredModel
from imagerouter.router.policy import Policy, Selector

_PACKAGED = Path(__file__).parent / "policies" / "default.toml"


class PolicyError(ValueError):
    """The policy file cannot be used. `problems` has every reason found, one line each."""

    def __init__(self, file: str, problems: list[str]) -> None:
        super().__init__("\n".join([f"the policy {file} cannot be used:", *problems]))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy with the text it was read from; `digest` is the text's SHA-256 in hexadecimal."""

    policy: Policy
    document: str
    digest: str


def load_policy(catalogue: Catalogue, path: Path | None = None) -> LoadedPolicy:
    """Read the policy at `path`, by default the one in the package. Raises PolicyError with every problem."""
    file = path or _PACKAGED
    try:
        document = file.read_text(encoding="utf-8")
        table = tomllib.loads(document)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyError(file.name, [str(error)]) from error
    problems = _unknown_names(table, catalogue)
    try:
        policy = Policy.model_validate(table)
    except ValidationError as error:
        problems += [
            f"{'.'.join(str(part) for part in item['loc']) or 'policy'}: {item['msg']}" for item in error.errors()
        ]
        raise PolicyError(file.name, problems) from error
    if problems:
        raise PolicyError(file.name, problems)
    return LoadedPolicy(policy, document, hashlib.sha256(document.encode()).hexdigest())


def _unknown_names(table: dict[str, object], catalogue: Catalogue) -> list[str]:
    """Find selectors that select nothing. Looks at the raw table, so that a broken rule hides no other problem."""
    problems: list[str] = []
    rules = table.get("rules")
    for number, rule in enumerate(rules if isinstance(rules, list) else []):
        prefer = rule.get("prefer") if isinstance(rule, dict) else None
        for index, entry in enumerate(prefer if isinstance(prefer, list) else []):
            try:
                selector = Selector.model_validate(entry)
            except ValidationError:
                continue
            problem = _problem(selector, catalogue)
            if problem:
                problems.append(f"rules.{number}.prefer.{index}: {problem}")
    return problems


def _problem(selector: Selector, catalogue: Catalogue) -> str:
    if selector.model is not None:
        row = catalogue.find(selector.model)
        if row is None:
            return f"unknown model {selector.model!r}"
        if isinstance(row, RetiredModel):
            return f"{selector.model!r} is retired; its successor is {row.replacement!r}"
        return "" if row.id == selector.model else f"{selector.model!r} is another name of {row.id!r}; use that"
    known: dict[str, set[object]] = {
        "family": {row.family for row in catalogue.models},
        "provider": {row.provider for row in catalogue.models},
        "tier": {row.tier for row in catalogue.models},
    }
    key, value = next(iter(selector.model_dump(exclude_none=True).items()))
    return "" if value in known[key] else f"no model has {key} {value!r}"

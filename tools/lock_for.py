"""Pick out of requirements.lock what one container image needs, hashes and all.

    python tools/lock_for.py select EXTRA...   print the lock of these extras (an image's `EXTRAS`, or `build`)
    python tools/lock_for.py closures          write tools/closures.toml anew, where everything is installed

The names are worked out once, where everything is installed, and committed; choosing needs the standard library alone,
so an image's build resolves nothing. A closure that lacks a name fails the build: with hashes required, pip installs
nothing that the lock it is given does not list.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
CLOSURES = Path(__file__).with_name("closures.toml")
LOCK = ROOT / "requirements.lock"

# The images' platform. Not the running one: the file must come out the same everywhere.
ENVIRONMENT = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.7",
    "python_version": "3.11",
    "sys_platform": "linux",
}
_HEADER = """# What each image installs from requirements.lock: `base` and the extra. `build` makes our own wheel.
# Written by `python tools/lock_for.py closures`; a test compares.
"""


def select(lock: str, names: Iterable[str]) -> str:
    """The entries of `lock` for these canonical names. ValueError if one has none."""
    entries = re.split(r"\n(?=\S)", lock.strip())
    wanted = set(names)
    chosen = [entry for entry in entries if _entry_name(entry) in wanted]
    missing = wanted - {_entry_name(entry) for entry in chosen}
    if missing:
        raise ValueError(f"not in the lock: {', '.join(sorted(missing))}")
    return "\n".join(chosen) + "\n"


def names_for(closures: Mapping[str, Sequence[str]], extras: Iterable[str]) -> set[str]:
    """The names that an image with these extras installs. ValueError for an extra that there is not."""
    names: set[str] = set()
    for extra in extras:
        if extra not in closures:
            raise ValueError(f"{extra} is no extra; there are {', '.join(sorted(closures))}")
        names |= {*closures[extra], *(() if extra == "build" else closures["base"])}
    return names


def closures(pyproject: Mapping[str, Any]) -> dict[str, list[str]]:
    """Work out the closures from the metadata of what is installed."""
    project, build = pyproject["project"], pyproject["build-system"]
    optional: dict[str, list[str]] = project["optional-dependencies"]
    base = _closure(project["dependencies"], project["name"], optional)
    found = {"base": sorted(base), "build": sorted(_closure(build["requires"], project["name"], optional))}
    for extra in sorted(optional.keys() - {"all"}):
        found[extra] = sorted(_closure(optional[extra], project["name"], optional) - base)
    return found


def render(found: Mapping[str, Sequence[str]]) -> str:
    """The closures as TOML."""
    tables = [f"{extra} = [\n" + "".join(f'    "{name}",\n' for name in found[extra]) + "]\n" for extra in found]
    return _HEADER + "\n" + "\n".join(tables)


def _entry_name(entry: str) -> str:
    return re.split(r"[ =;\[]", entry, maxsplit=1)[0].lower()


def _closure(requirements: Iterable[str], own: str, optional: Mapping[str, Sequence[str]]) -> set[str]:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    names: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    pending = [Requirement(text) for text in requirements]
    while pending:
        requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        extras = frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        if name == own:
            pending += [Requirement(text) for extra in extras for text in optional[extra]]
            continue
        names.add(name)
        pending += _wanted(metadata.requires(name) or [], extras)
    return names


def _wanted(requirements: Iterable[str], extras: frozenset[str]) -> Iterator[Requirement]:
    from packaging.requirements import Requirement

    for text in requirements:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**ENVIRONMENT, "extra": extra}) for extra in extras or {""}):
            yield requirement


def main(arguments: Sequence[str]) -> None:
    """Do what the command line says."""
    match arguments:
        case ["select", *extras] if extras:
            wanted = [extra for argument in extras for extra in argument.split(",")]
            try:
                names = names_for(tomllib.loads(CLOSURES.read_text()), wanted)
                sys.stdout.write(select(LOCK.read_text(), names))
            except ValueError as error:
                sys.exit(f"lock_for: {error}")
        case ["closures"]:
            CLOSURES.write_text(render(closures(tomllib.loads((ROOT / "pyproject.toml").read_text()))))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])

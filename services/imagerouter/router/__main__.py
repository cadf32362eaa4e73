"""Check a policy file: `python -m imagerouter.router [FILE]`. Exits with 78 and all problems if it cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path

from imagerouter.catalogue import CatalogueError, load_catalogue
from imagerouter.router.load import LoadedPolicy, PolicyError, load_policy
from imagerouter.runtime.settings import EXIT_CONFIG


def summary(loaded: LoadedPolicy) -> str:
    """Say what a policy does, one line for each rule."""
    policy = loaded.policy
    lines = [f"policy {policy.version} of {policy.date}, sha256 {loaded.digest[:12]}"]
    for number, rule in enumerate(policy.rules, 1):
        effect = " > ".join(selector.label() for selector in rule.prefer or ())
        effect = effect or (rule.order or "reset or escalate the chain").replace("_", " ")
        lines.append(f"{number}. {rule.id}: {effect} (confidence {rule.confidence:g})")
    return "\n".join([*lines, ""])


def main() -> None:
    """Check the file named on the command line, by default the packaged one."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    try:
        sys.stdout.write(summary(load_policy(load_catalogue(), path)))
    except (CatalogueError, PolicyError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_CONFIG)


if __name__ == "__main__":
    main()

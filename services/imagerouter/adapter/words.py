"""What may be kept of a provider's words: codes and ids, never sentences, which may quote the prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from imagerouter.runtime.redact import redact_text

_CODE: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")
_ID: Final = re.compile(r"[A-Za-z0-9_.:=/-]{1,128}")


def code(value: object) -> str:
    """Return the value if it looks like a code ("moderation_blocked") and not like a key, else nothing."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) and redact_text(value) == value else ""


def identifier(value: object) -> str:
    """Return the value if it looks like an id ("req_01abc"), else nothing."""
    return value if isinstance(value, str) and _ID.fullmatch(value) and redact_text(value) == value else ""


def table(value: object) -> Mapping[str, object]:
    """Return the value if it is a JSON object, else an empty one: a missing part reads like an empty part."""
    return value if isinstance(value, dict) else {}


def array(value: object) -> list[object]:
    """Return the value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def count(value: object) -> int:
    """Return the value if it is a number of something, else 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0

"""How the command speaks: tables and trees for people, JSON for programs."""

from __future__ import annotations

import json
import os
import sys

from google.protobuf import json_format
from google.protobuf.message import Message
from rich.console import Console
from rich.text import Text

from imagerouter.runtime.errors import ImageRouterError

# Into a file or a pipe there is no width to go by; tables and trees want more than rich's 80 columns.
_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 150
console = Console(width=_WIDTH)
complaints = Console(stderr=True)


def dollars(micros: int) -> str:
    """Micro-dollars as people read them."""
    return f"${micros / 1_000_000:.4f}"


def short(value: int, enum: object, prefix: str) -> str:
    """An enum value without its prefix, in lower case with spaces."""
    name: str = enum.Name(value)  # type: ignore[attr-defined]
    return name.removeprefix(prefix).lower().replace("_", " ")


def print_json(message: Message) -> None:
    """A message as JSON on standard output, with every field, one document a line."""
    text = json_format.MessageToDict(message, preserving_proto_field_name=True)
    sys.stdout.write(json.dumps(text, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def complain(error: ImageRouterError, *, as_json: bool) -> None:
    """An error on standard error: reason, message and what to do."""
    if as_json:
        document = {
            "error": {
                "code": error.code.name,
                "reason": error.reason,
                "message": error.message,
                "metadata": error.metadata,
                "fields": [{"field": each.field, "description": each.description} for each in error.fields],
            }
        }
        sys.stderr.write(json.dumps(document, ensure_ascii=False) + "\n")
        return
    # Text, not markup: a message may quote a file's name, and a file may be called [/red].
    complaints.print(Text.assemble((error.reason, "bold red"), f" ({error.code.name}): {error.message}"))
    for name, detail in sorted(error.metadata.items()):
        if name != "field":
            complaints.print(Text(f"  {name}: {detail}", style="dim"))

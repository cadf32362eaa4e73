"""Keeps keys and prompts out of what we write down, by key name, by pattern, by known value and by request.

Names are not enough: exception texts quote whatever they were given. So texts of exceptions also lose every known
secret, everything shaped like a credential, and every piece of the request that is being served.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from grpc.aio import AioRpcError

MASK: Final = "[redacted]"
"""Stands for what was taken out."""

_FORBIDDEN_KEYS: Final = re.compile(
    r"prompt|instruction|api_?key|authorization|secret|password|token$|credential|cookie|b64|image_bytes|inline_data",
    re.IGNORECASE,
)
_CREDENTIALS: Final = re.compile(
    r"sk-[A-Za-z0-9_-]{8,}|AIza[A-Za-z0-9_-]{10,}|(?i:bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|(?i:(?:api[_-]?key|key|token|secret|password)=)[^\s&'\"]+"
    r"|[A-Za-z0-9+/_-]{120,}={0,2}"
)
_WINDOW: Final = 8
_MAX_TEXT: Final = 400

_secrets: set[str] = set()
_request: ContextVar[Message | None] = ContextVar("imagerouter_request", default=None)


def know_secret(value: str) -> None:
    """Never let `value` be written: for keys read from the configuration."""
    if len(value) >= 4:
        _secrets.add(value)


def serving(request: Message | None) -> None:
    """Say which request the current task serves; its texts are taken out of exception texts."""
    _request.set(request)


def redact_mapping(values: Mapping[str, object]) -> dict[str, object]:
    """Mask the values whose key names a prompt or a secret, at any depth, and clean all texts."""
    return {key: MASK if _is_forbidden(key, value) else _clean(value) for key, value in values.items()}


def redact_text(text: str) -> str:
    """Return the text without known secrets and without anything shaped like a credential."""
    for secret in _secrets:
        text = text.replace(secret, MASK)
    return _CREDENTIALS.sub(MASK, text)


def exception_text(error: BaseException) -> str:
    """Return an exception's text, cleaned of secrets and of the current request's texts, 400 characters at most."""
    text = redact_text(f"{error.code().name}: {error.details()}" if isinstance(error, AioRpcError) else str(error))
    request = _request.get()
    if request is not None:
        text = _without_pieces(text, set(_texts(request)))
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…"


def _is_forbidden(key: str, value: object) -> bool:
    """Whether the value may hold what its key names. Counts and hashes do not."""
    if isinstance(value, bool | int | float | None) or key.endswith(("_hash", "_digest")):
        return False
    return _FORBIDDEN_KEYS.search(key) is not None


def _clean(value: object) -> object:
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return redact_mapping(value)
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    if isinstance(value, bytes | bytearray | Message):
        return MASK
    return value


def _texts(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        values = value if _is_repeated(field) else [value]
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            values = value.values()
        for item in values:
            if isinstance(item, str):
                yield item
            elif isinstance(item, Message):
                yield from _texts(item)


def _is_repeated(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated)


def _without_pieces(text: str, sources: set[str]) -> str:
    """Mask each stretch of `text` that shares eight characters in a row with a source, and short sources whole."""
    masked = [False] * len(text)
    windows = {source[i : i + _WINDOW] for source in sources for i in range(len(source) - _WINDOW + 1)}
    short = {source for source in sources if 3 <= len(source) < _WINDOW}
    for start in range(len(text)):
        for piece in _pieces_at(text, start, windows, short):
            masked[start : start + len(piece)] = [True] * len(piece)
    parts: list[str] = []
    for position, character in enumerate(text):
        if not masked[position]:
            parts.append(character)
        elif position == 0 or not masked[position - 1]:
            parts.append(MASK)
    return "".join(parts)


def _pieces_at(text: str, start: int, windows: set[str], short: set[str]) -> Iterator[str]:
    window = text[start : start + _WINDOW]
    if window in windows:
        yield window
    for source in short:
        if text.startswith(source, start):
            yield source

"""Structured logs: one JSON object a line on standard error, with trace ids, without prompts and keys.

Everything goes through here, also what libraries say through `logging`. Set up once, before the first channel is opened
(grpc#43421: configuring `logging` beside live aio clients can deadlock).
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Final, TextIO

import structlog
from opentelemetry import trace

from imagerouter.runtime.redact import exception_text, redact_mapping

_MAX_FRAMES: Final = 12
_service = ""
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def name_service(name: str) -> None:
    """Put `name` on every line from now on."""
    global _service
    _service = name


def configure_log(level: str = "INFO", form: str = "json", *, stream: TextIO | None = None) -> None:
    """Set up logging for the process. `form` is "json" or "console"."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    _configure_structlog()
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_processors()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Libraries log URLs and bodies below WARNING.
    for noisy in ("httpx", "httpcore", "openai", "google_genai", "grpc", "asyncio", "opentelemetry"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def get_log(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger: `get_log(__name__).info("event_in_snake_case", key=value)`."""
    if not structlog.is_configured():
        # Else structlog prints tracebacks with all their local variables.
        _configure_structlog()
    log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return log


def add_service(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the service's name on the line."""
    if _service:
        event.setdefault("service", _service)
    return event


def add_trace_ids(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the current span's ids on the line, unless it has some."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event.setdefault("trace_id", trace.format_trace_id(span.trace_id))
        event.setdefault("span_id", trace.format_span_id(span.span_id))
    return event


def add_exception(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Turn `exc_info` into a list of causes: class, cleaned text and frames, without any local variable."""
    info = event.pop("exc_info", None)
    error = _exception(info)
    if error is not None:
        event["exception"] = describe_exception(error)
    return event


def redact(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask what must not be written."""
    internal = {key: value for key, value in event.items() if key.startswith("_")}
    public = redact_mapping({key: value for key, value in event.items() if not key.startswith("_")})
    return {**internal, **public}


def describe_exception(error: BaseException) -> list[dict[str, object]]:
    """Describe the exception and what caused it, outermost first."""
    causes: list[dict[str, object]] = []
    current: BaseException | None = error
    while current is not None and len(causes) < 5:
        frames = traceback.extract_tb(current.__traceback__)[-_MAX_FRAMES:]
        causes.append(
            {
                "type": type(current).__qualname__,
                "text": exception_text(current),
                "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
            }
        )
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return causes


def _processors() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
        add_trace_ids,
        add_exception,
        redact,
    ]


def _configure_structlog() -> None:
    structlog.configure(
        processors=[*_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _exception(info: object) -> BaseException | None:
    if isinstance(info, BaseException):
        return info
    if isinstance(info, tuple):
        return info[1] if isinstance(info[1], BaseException) else None
    return sys.exc_info()[1] if info else None

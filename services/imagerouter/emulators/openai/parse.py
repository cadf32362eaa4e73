"""Read an Images request, JSON or multipart, into one form. Types are checked here, values in `rules`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pybase64
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from imagerouter.emulators.exchange import Call, Refused, Scope
from imagerouter.emulators.openai.errors import bad_value, refused

_INTEGERS = frozenset({"n", "output_compression", "partial_images", "frame_count", "frame_duration_ms"})
_BOOLEANS = frozenset({"stream"})
_FILES = {"image": "images", "image[]": "images", "mask": "mask", "markup": "markup"}
_DATA_URL = re.compile(r"data:(image/[a-z0-9.+-]+);base64,(.*)", re.DOTALL)


@dataclass
class Form:
    """An Images request. `fields` are its parameters as sent (integers and booleans as such); files are bytes."""

    fields: dict[str, Any] = field(default_factory=dict)
    images: list[bytes] = field(default_factory=list)
    mask: bytes = b""
    markup: bytes = b""

    def text(self, name: str, default: str = "") -> str:
        """A string parameter; 400 if it is another type."""
        value = self.fields.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise _wrong_type(name, "a string", value)
        return value

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """An integer parameter within `low`..`high`; 400 otherwise."""
        value = self.fields.get(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong_type(name, "an integer", value)
        if value < low:
            message = (
                f"Invalid '{name}': integer below minimum value. Expected a value >= {low}, but got {value} instead."
            )
            raise bad_value(name, message, "integer_below_min_value")
        if value > high:
            message = (
                f"Invalid '{name}': integer above maximum value. Expected a value <= {high}, but got {value} instead."
            )
            raise bad_value(name, message, "integer_above_max_value")
        return value


def _wrong_type(name: str, wanted: str, value: object) -> Refused:
    kinds: dict[type, str] = {str: "a string", bool: "a boolean", int: "an integer", float: "a decimal number"}
    kinds |= {list: "an array", dict: "an object"}
    got = kinds.get(type(value), "null")
    return bad_value(name, f"Invalid type for '{name}': expected {wanted}, but got {got} instead.", "invalid_type")


async def parse(call: Call, scope: Scope) -> Form:
    """The request's form. Refused (400) for a body that cannot be read."""
    kind = call.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        return await _multipart(call, scope)
    return _json(call.body)


def _json(body: bytes) -> Form:
    try:
        sent = json.loads(body)
    except ValueError:
        raise refused(400, "We could not parse the JSON body of your request.", None) from None
    if not isinstance(sent, dict):
        raise refused(400, "We could not parse the JSON body of your request.", None)
    fields = {name: value for name, value in sent.items() if value is not None}
    form = Form()
    for index, reference in enumerate(fields.pop("images", [])):
        form.images.append(_reference(f"images[{index}]", reference))
    for name in ("mask", "markup"):
        if name in fields:
            setattr(form, name, _reference(name, fields.pop(name)))
    form.fields = fields
    stream = fields.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise _wrong_type("stream", "a boolean", stream)
    return form


def _reference(param: str, value: object) -> bytes:
    if not isinstance(value, Mapping):
        raise _wrong_type(param, "an object", value)
    if "file_id" in value:
        raise bad_value(f"{param}.file_id", f"No such File object: {value['file_id']}", "invalid_value")
    match = _DATA_URL.fullmatch(str(value.get("image_url", "")))
    if match is None:
        # An emulator reaches no network: only data URLs can be read.
        message = f"Invalid '{param}.image_url'. Expected a base64-encoded data URL with an image MIME type."
        raise bad_value(f"{param}.image_url", message)
    try:
        return pybase64.b64decode(match[2], validate=True)
    except ValueError:
        raise bad_value(f"{param}.image_url", f"Invalid base64 data in '{param}.image_url'.") from None


async def _multipart(call: Call, scope: Scope) -> Form:
    sent = False

    async def replay() -> dict[str, Any]:
        nonlocal sent
        body = b"" if sent else call.body
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    form = Form()
    request = Request(scope, replay)
    try:
        async with request.form(max_files=64, max_fields=256, max_part_size=1_000_000) as parts:
            for name, value in parts.multi_items():
                if isinstance(value, UploadFile):
                    await _take_file(form, name, value)
                else:
                    form.fields[name] = _scalar(name, value)
    except MultiPartException as error:
        raise refused(400, f"Could not parse multipart form: {error.message}", None) from None
    return form


async def _take_file(form: Form, name: str, upload: UploadFile) -> None:
    data = await upload.read()
    slot = _FILES.get(name)
    if slot is None:
        raise bad_value(name, f"Unknown parameter: '{name}'.", "unknown_parameter")
    if slot == "images":
        form.images.append(data)
    else:
        setattr(form, slot, data)


def _scalar(name: str, value: str) -> object:
    if name in _INTEGERS:
        try:
            return int(value)
        except ValueError:
            raise _wrong_type(name, "an integer", value) from None
    if name in _BOOLEANS:
        if value not in ("true", "false"):
            raise _wrong_type(name, "a boolean", value)
        return value == "true"
    return value

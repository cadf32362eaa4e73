"""What can be refused before any reference is read. Fields are named as the caller spells them."""

from __future__ import annotations

import re
from typing import Any, Final

from imagerouter.api.common.v1 import task_pb2
from imagerouter.api.normalizer.v1 import normalizer_service_pb2 as pb
from imagerouter.normalizer.limits import Limits
from imagerouter.normalizer.text import clean
from imagerouter.runtime.errors import InvalidField

MASK: Final = "mask"
_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,127}")
_TIMESTAMP_SECONDS: Final = (-62_135_596_800, 253_402_300_799)


def check(request: pb.NormalizeRequest, limits: Limits) -> str:
    """Raise InvalidField for the first field that is missing, malformed or out of range; return the cleaned prompt."""
    if not _TENANT.fullmatch(request.tenant):
        raise InvalidField("tenant", "must be 1 to 63 of a-z, 0-9 and -, and not begin with -")
    prompt = check_prompt("prompt", request.prompt, limits)
    _check_enum("mode", request.mode, task_pb2.Mode)
    mode = settled_mode(request)
    _check_references(request, mode, limits)
    _check_constraints(request.constraints, limits)
    _check_output(request.output, limits)
    if request.lineage.depth < 0:
        raise InvalidField("lineage.depth", "must not be negative")
    return prompt


def settled_mode(request: pb.NormalizeRequest) -> task_pb2.Mode.ValueType:
    """Return the mode as given, or edit where references are given, else generate."""
    if request.mode != task_pb2.MODE_UNSPECIFIED:
        return request.mode
    return task_pb2.MODE_EDIT if request.references else task_pb2.MODE_GENERATE


def check_prompt(field: str, text: str, limits: Limits) -> str:
    """Clean a prompt. InvalidField if nothing visible is left or it is too long, as given or as cleaned."""
    allowed = f"must be 1 to {limits.prompt_characters} characters"
    if len(text) > limits.prompt_characters:
        raise InvalidField(field, f"{allowed}, has {len(text)}")
    cleaned = clean(text)
    if not cleaned:
        raise InvalidField(field, f"{allowed}, has none that is visible")
    if len(cleaned) > limits.prompt_characters:  # NFC takes a few characters apart
        raise InvalidField(field, f"{allowed}, has {len(cleaned)} in normal form C")
    return cleaned


def _check_references(request: pb.NormalizeRequest, mode: task_pb2.Mode.ValueType, limits: Limits) -> None:
    if len(request.references) > limits.references:
        raise InvalidField("references", f"must be at most {limits.references}")
    if mode == task_pb2.MODE_EDIT and not request.references:
        raise InvalidField("references", "an edit needs an image to change: a reference or a parent")
    bases = 0
    for at, reference in enumerate(request.references):
        field = f"references[{at}]"
        _check_artifact(field, reference)
        if reference.role == task_pb2.REFERENCE_ROLE_BASE:
            bases += 1
            if mode != task_pb2.MODE_EDIT:
                raise InvalidField(f"{field}.role", "only an edit has a base")
            if bases > 1:
                raise InvalidField(f"{field}.role", "an edit has one base")
    if request.HasField(MASK):
        if mode != task_pb2.MODE_EDIT:
            raise InvalidField(MASK, "only an edit has a mask")
        _check_artifact(MASK, request.mask)


def _check_artifact(field: str, reference: task_pb2.Reference) -> None:
    if not _DIGEST.fullmatch(reference.artifact.digest):
        raise InvalidField(f"{field}.artifact.digest", "must be a SHA-256 as 64 lowercase hexadecimal digits")
    if reference.artifact.size_bytes < 0:
        raise InvalidField(f"{field}.artifact.size_bytes", "must not be negative")
    _check_enum(f"{field}.role", reference.role, task_pb2.ReferenceRole)


def _check_constraints(constraints: task_pb2.Constraints, limits: Limits) -> None:
    _check_enum("constraints.preference", constraints.preference, task_pb2.Preference)
    if constraints.max_latency_ms < 0:
        raise InvalidField("constraints.max_latency_ms", "must not be negative")
    if constraints.max_cost_micros < 0:
        raise InvalidField("constraints.max_cost_micros", "must not be negative")
    first, last = _TIMESTAMP_SECONDS
    deadline = constraints.deadline
    if not (first <= deadline.seconds <= last and 0 <= deadline.nanos < 1_000_000_000):
        raise InvalidField("constraints.deadline", "must be a time between the years 1 and 9999")
    if len(constraints.models) > limits.models:
        raise InvalidField("constraints.models", f"must be at most {limits.models}")
    for at, model in enumerate(constraints.models):
        if not _MODEL.fullmatch(model):
            raise InvalidField(f"constraints.models[{at}]", "is not a model id")


def _check_output(output: task_pb2.OutputSpec, limits: Limits) -> None:
    _check_enum("output.size_tier", output.size_tier, task_pb2.SizeTier)
    _check_enum("output.quality", output.quality, task_pb2.Quality)
    _check_enum("output.format", output.format, task_pb2.OutputFormat)
    _check_enum("output.background", output.background, task_pb2.Background)
    if output.HasField("count") and not 1 <= output.count <= limits.count:
        raise InvalidField("output.count", f"must be 1 to {limits.count}")
    for side, pixels, other in (
        ("width", output.width, output.height),
        ("height", output.height, output.width),
    ):
        if not 0 <= pixels <= limits.side:
            raise InvalidField(f"output.{side}", f"must be 1 to {limits.side}")
        if not pixels and other:
            raise InvalidField(f"output.{side}", "width and height are given together or not at all")
    if output.background == task_pb2.BACKGROUND_TRANSPARENT and output.format == task_pb2.OUTPUT_FORMAT_JPEG:
        raise InvalidField("output.background", "JPEG has no transparency")


def _check_enum(field: str, value: int, enum: Any) -> None:
    # proto3 enums are open: a number that nobody has named arrives as it is.
    if value not in enum.values():
        raise InvalidField(field, "is not a known value")

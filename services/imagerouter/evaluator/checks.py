"""What is looked at, and whether it met the bar. Pure: measurements in, checks out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.evaluator.measurement import OVER_LIMIT, Measurement, Problem
from imagerouter.evaluator.thresholds import Thresholds
from imagerouter.runtime.errors import InvalidField

LIMITS: Final = "limits"
DECODES: Final = "decodes"
FORMAT: Final = "format"
DIMENSIONS: Final = "dimensions"
ASPECT: Final = "aspect"
BLANK: Final = "blank"
REFUSAL: Final = "refusal"
NO_OUTPUT: Final = "no_output"

_ASPECT_FIELD: Final = "output.aspect_ratio"
_ASPECT: Final = re.compile(r"([1-9][0-9]{0,4}):([1-9][0-9]{0,4})")

_PROBLEMS: Final = {
    Problem.NOT_AN_IMAGE: "not a PNG, JPEG or WebP",
    Problem.TRUNCATED: "the file ends too early",
    Problem.CORRUPT: "the file is damaged",
    Problem.OUT_OF_MEMORY: "decoding takes too much memory",
    Problem.TOO_SLOW: "decoding takes too long",
    Problem.CRASHED: "the decoder died of it, twice",
}


def wanted_aspect(task: task_pb2.Task, route: route_pb2.Route) -> str:
    """Return the aspect ratio that was promised: the task's, unless the route says that it offers another."""
    for negotiation in route.negotiations:
        if negotiation.field == _ASPECT_FIELD and _ASPECT.fullmatch(negotiation.applied):
            return negotiation.applied
    return task.output.aspect_ratio


def parse_aspect(text: str) -> float | None:
    """Return width divided by height, None for an empty text. InvalidField if it is not "4:5" or the like."""
    if not text:
        return None
    found = _ASPECT.fullmatch(text)
    if found is None:
        raise InvalidField("task.output.aspect_ratio", "must be width:height, each from 1 to 99999")
    return int(found[1]) / int(found[2])


def output_checks(
    found: Measurement, size_bytes: int, parameters: route_pb2.RouteParameters, aspect: str, bar: Thresholds
) -> list[evaluation_pb2.Check]:
    """Check one image. What needs pixels is left out if there are none, what nobody asked for always."""
    checks = [_limits(found, size_bytes, bar)]
    if found.problem in OVER_LIMIT:
        return checks
    checks.append(_decodes(found))
    if found.problem:
        return checks
    if parameters.output_format:
        checks.append(_format(found, parameters.output_format))
    if parameters.expected_width and parameters.expected_height:
        checks.append(_dimensions(found, parameters.expected_width, parameters.expected_height, bar))
    ratio = parse_aspect(aspect)
    if ratio is not None:
        checks.append(_aspect(found, aspect, ratio, bar))
    checks.append(_blank(found, bar))
    return checks


def applicable(parameters: route_pb2.RouteParameters, aspect: str) -> int:
    """Return how many checks an image without any problem gets."""
    return (
        3
        + bool(parameters.output_format)
        + bool(parameters.expected_width and parameters.expected_height)
        + bool(aspect)
    )


def attempt_checks(outcome: attempt_pb2.Outcome) -> list[evaluation_pb2.Check]:
    """Check the attempt as a whole. A refusal is not also held against it as a lack of images."""
    refused = outcome.kind == attempt_pb2.OUTCOME_KIND_REFUSED
    checks = [_check(REFUSAL, not refused, float(refused), 0.0, _refusal_detail(outcome) if refused else "not refused")]
    if not refused:
        count = len(outcome.artifacts)
        detail = f"{count} image{'' if count == 1 else 's'}"
        checks.append(_check(NO_OUTPUT, count > 0, float(count), 1.0, detail))
    return checks


def first_failed(checks: Iterable[evaluation_pb2.Check]) -> evaluation_pb2.Check | None:
    """Return the first check that was not passed."""
    return next((check for check in checks if not check.passed), None)


def _refusal_detail(outcome: attempt_pb2.Outcome) -> str:
    stage = outcome.refusal.stage if outcome.refusal.stage in {"input", "output"} else "unknown"
    return f"refused by the provider's content policy, stage {stage}"


def _limits(found: Measurement, size_bytes: int, bar: Thresholds) -> evaluation_pb2.Check:
    limits = bar.limits
    size = f"{found.width}x{found.height}"
    over: dict[Problem, tuple[float, float, str]] = {
        Problem.TOO_MANY_BYTES: (size_bytes, limits.max_bytes, f"{size_bytes} bytes, at most {limits.max_bytes}"),
        Problem.TOO_MANY_PIXELS: (
            found.width * found.height,
            limits.max_pixels,
            f"{size}, at most {limits.max_pixels} pixels",
        ),
        Problem.SIDE_TOO_LONG: (
            max(found.width, found.height),
            limits.max_side,
            f"{size}, at most {limits.max_side} pixels a side",
        ),
        Problem.TOO_MANY_FRAMES: (
            found.frames,
            limits.max_frames,
            f"{found.frames} frames, at most {limits.max_frames}",
        ),
        Problem.TOO_MANY_SCANS: (found.scans, limits.max_scans, f"{found.scans} scans, at most {limits.max_scans}"),
    }
    if found.problem in over:
        score, threshold, detail = over[found.problem]
        return _check(LIMITS, False, score, threshold, detail)
    return _check(LIMITS, True, found.width * found.height, limits.max_pixels, "within bytes, pixels, sides and frames")


def _decodes(found: Measurement) -> evaluation_pb2.Check:
    detail = _PROBLEMS.get(found.problem, f"complete {found.format.upper()}")
    if found.trailing_bytes:
        detail += f", {found.trailing_bytes} bytes after its end"
    return _check(DECODES, not found.problem, float(not found.problem), 1.0, detail)


def _format(found: Measurement, wanted: str) -> evaluation_pb2.Check:
    same = found.format == wanted
    return _check(FORMAT, same, float(same), 1.0, f"{found.format}, promised {wanted}")


def _dimensions(found: Measurement, width: int, height: int, bar: Thresholds) -> evaluation_pb2.Check:
    off = max(abs(found.width - width), abs(found.height - height))
    tolerance = bar.dimensions.tolerance_pixels
    detail = f"{found.width}x{found.height}, promised {width}x{height}"
    return _check(DIMENSIONS, off <= tolerance, off, tolerance, detail)


def _aspect(found: Measurement, wanted: str, ratio: float, bar: Thresholds) -> evaluation_pb2.Check:
    off = abs(found.width / found.height / ratio - 1)
    detail = f"{found.width}x{found.height} is {100 * off:.1f} % off {wanted}"
    return _check(ASPECT, off <= bar.aspect.tolerance, off, bar.aspect.tolerance, detail)


def _blank(found: Measurement, bar: Thresholds) -> evaluation_pb2.Check:
    flat = found.spread < bar.blank.spread and found.colours <= bar.blank.colours
    detail = f"channels vary by {found.spread:.2f} of 255, {found.colours} colour{'' if found.colours == 1 else 's'}"
    return _check(BLANK, not flat, found.spread, bar.blank.spread, detail)


def _check(name: str, passed: bool, score: float, threshold: float, detail: str) -> evaluation_pb2.Check:
    return evaluation_pb2.Check(name=name, passed=passed, score=score, threshold=threshold, detail=detail)

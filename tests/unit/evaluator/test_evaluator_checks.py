"""Measurements in, checks out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from evaluator_pictures import LIMITS

from imagerouter.api.common.v1 import artifact_pb2, attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.evaluator.checks import applicable, attempt_checks, output_checks, parse_aspect, wanted_aspect
from imagerouter.evaluator.measurement import OVER_LIMIT, Measurement, Problem
from imagerouter.evaluator.thresholds import load_thresholds
from imagerouter.runtime.errors import InvalidField

BAR = load_thresholds()
GOOD = Measurement(Problem.NONE, "png", 928, 1152, 1, 1, 40.0, 900, 0)
PROMISED = route_pb2.RouteParameters(output_format="png", expected_width=928, expected_height=1152)


def checked(
    found: Measurement, parameters: route_pb2.RouteParameters = PROMISED, aspect: str = "4:5"
) -> dict[str, evaluation_pb2.Check]:
    """Check a measurement; the checks by name, in order."""
    return {check.name: check for check in output_checks(found, 1000, parameters, aspect, BAR)}


def test_a_picture_as_promised_passes_everything() -> None:
    """All six checks are made, in their order, and passed."""
    checks = checked(GOOD)

    assert list(checks) == ["limits", "decodes", "format", "dimensions", "aspect", "blank"]
    assert all(check.passed for check in checks.values())
    assert applicable(PROMISED, "4:5") == len(checks)
    assert checks["dimensions"].detail == "928x1152, promised 928x1152"


def test_what_nobody_asked_for_is_not_checked() -> None:
    """Without a promise about format, size and ratio only the picture itself is looked at."""
    checks = checked(GOOD, route_pb2.RouteParameters(), "")

    assert list(checks) == ["limits", "decodes", "blank"]
    assert applicable(route_pb2.RouteParameters(), "") == 3


@pytest.mark.parametrize("problem", sorted(OVER_LIMIT))
def test_too_large_is_the_only_thing_said_about_it(problem: Problem) -> None:
    """What was not decoded for its size fails `limits`, with the measure and the bar."""
    over = replace(GOOD, problem=problem, width=20_000, height=20_000, frames=7, scans=900)
    checks = {check.name: check for check in output_checks(over, 60 * 1024 * 1024, PROMISED, "4:5", BAR)}

    assert list(checks) == ["limits"]
    assert not checks["limits"].passed
    assert checks["limits"].score > checks["limits"].threshold > 0
    assert "at most" in checks["limits"].detail


@pytest.mark.parametrize("problem", sorted(set(Problem) - OVER_LIMIT - {Problem.NONE}))
def test_what_does_not_decode_fails_in_words(problem: Problem) -> None:
    """Every way of not decoding has its own words, and no check that needs pixels."""
    checks = checked(Measurement(problem, "png"))

    assert list(checks) == ["limits", "decodes"]
    assert checks["limits"].passed
    assert not checks["decodes"].passed
    assert checks["decodes"].detail not in {"", "complete PNG"}


@pytest.mark.parametrize(
    ("found", "failed"),
    [
        (replace(GOOD, format="jpeg"), {"format"}),
        (replace(GOOD, width=929), {"dimensions"}),
        (replace(GOOD, width=1024, height=1024), {"dimensions", "aspect"}),
        (replace(GOOD, width=1152, height=928), {"dimensions", "aspect"}),
        (replace(GOOD, width=1856, height=2304), {"dimensions"}),
        (replace(GOOD, spread=0.0, colours=1), {"blank"}),
    ],
)
def test_each_miss_fails_its_own_check(found: Measurement, failed: set[str]) -> None:
    """A wrong format, size, shape or an empty picture is told apart."""
    assert {name for name, check in checked(found).items() if not check.passed} == failed


@pytest.mark.parametrize(
    ("spread", "colours", "blank"),
    [(0.0, 1, True), (1.99, 16, True), (2.0, 16, False), (1.99, 17, False), (0.0, 17, False)],
)
def test_blank_needs_little_spread_and_few_colours(spread: float, colours: int, blank: bool) -> None:
    """Either texture or colours save a picture from being called blank."""
    assert checked(replace(GOOD, spread=spread, colours=colours))["blank"].passed is not blank


@pytest.mark.parametrize(
    ("size", "aspect"),
    [
        ((896, 1152), "4:5"),
        ((864, 1184), "3:4"),
        ((1584, 672), "21:9"),
        ((1536, 672), "21:9"),
        ((768, 1376), "9:16"),
        ((848, 1264), "2:3"),
        ((1024, 1024), "1:1"),
        ((1536, 864), "32:18"),
    ],
)
def test_the_sizes_that_providers_publish_are_in_their_ratio(size: tuple[int, int], aspect: str) -> None:
    """Rounding to a provider's grid is no miss (pixel tables of providers.md section 2)."""
    assert checked(replace(GOOD, width=size[0], height=size[1]), aspect=aspect)["aspect"].passed


@pytest.mark.parametrize(("size", "aspect"), [((896, 1200), "4:5"), ((928, 1152), "3:4"), ((1024, 1536), "9:16")])
def test_a_neighbouring_ratio_is_another_ratio(size: tuple[int, int], aspect: str) -> None:
    """The tolerance does not reach from one ratio on offer to the next."""
    assert not checked(replace(GOOD, width=size[0], height=size[1]), aspect=aspect)["aspect"].passed


def test_bytes_after_the_end_are_mentioned() -> None:
    """A file that goes on after the picture decodes, and the finding says so."""
    check = checked(replace(GOOD, trailing_bytes=12))["decodes"]

    assert check.passed
    assert "12 bytes after its end" in check.detail


@pytest.mark.parametrize(
    "text", ["4", "4:", ":5", "0:5", "4:0", "-4:5", "4:5:6", "4 : 5", "\uff14\uff1a\uff15", "1e9:1", "123456:1", "x:y"]
)
def test_a_malformed_ratio_is_the_callers_mistake(text: str) -> None:
    """Anything but two whole numbers with a colon is refused, with the field."""
    with pytest.raises(InvalidField) as caught:
        parse_aspect(text)
    assert caught.value.fields[0].field == "task.output.aspect_ratio"


def test_the_route_may_have_promised_another_ratio() -> None:
    """Where the route says that it maps the ratio, the mapped one is what was promised."""
    task = task_pb2.Task(output=task_pb2.OutputSpec(aspect_ratio="4:5"))
    mapped = task_pb2.Negotiation(field="output.aspect_ratio", requested="4:5", applied="2:3")
    other = task_pb2.Negotiation(field="output.quality", requested="high", applied="medium")

    assert wanted_aspect(task, route_pb2.Route(negotiations=[other])) == "4:5"
    assert wanted_aspect(task, route_pb2.Route(negotiations=[other, mapped])) == "2:3"


def test_a_refusal_is_not_also_a_lack_of_images() -> None:
    """A refused attempt fails `refusal` alone; the provider's categories, free text, are not repeated."""
    refusal = attempt_pb2.Refusal(stage="input", categories=["canary"])
    outcome = attempt_pb2.Outcome(kind=attempt_pb2.OUTCOME_KIND_REFUSED, refusal=refusal)
    (check,) = attempt_checks(outcome)

    assert (check.name, check.passed) == ("refusal", False)
    assert check.detail.endswith("stage input")
    assert "canary" not in str(check)


@pytest.mark.parametrize(("count", "passed"), [(0, False), (1, True), (3, True)])
def test_an_answer_without_an_image_is_noticed(count: int, passed: bool) -> None:
    """`no_output` counts the images, whatever the outcome calls itself."""
    outcome = attempt_pb2.Outcome(
        kind=attempt_pb2.OUTCOME_KIND_SUCCEEDED, artifacts=[artifact_pb2.ArtifactRef()] * count
    )
    refusal, output = attempt_checks(outcome)

    assert (refusal.name, refusal.passed) == ("refusal", True)
    assert (output.name, output.passed, output.score) == ("no_output", passed, count)


def test_the_shipped_limits_are_those_of_the_tests() -> None:
    """The limits that the sandbox tests use are the ones in the thresholds file, which is dated."""
    assert BAR.limits.limits() == LIMITS
    assert BAR.version >= str(BAR.limits.as_of)

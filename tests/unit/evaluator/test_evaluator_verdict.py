"""Checks in, a recommendation out."""

from __future__ import annotations

import itertools

import pytest

from imagerouter.api.common.v1 import evaluation_pb2 as pb
from imagerouter.evaluator.verdict import recommend, share_passed

OUTPUT_CHECKS = ("limits", "decodes", "format", "dimensions", "aspect", "blank")
FINE = (pb.Check(name="refusal", passed=True), pb.Check(name="no_output", passed=True))


def output(*failed: str, made: tuple[str, ...] = OUTPUT_CHECKS) -> pb.OutputEvaluation:
    """Find something about an output: all checks made, those named failed."""
    return pb.OutputEvaluation(
        checks=[pb.Check(name=name, passed=name not in failed, detail=f"about {name}") for name in made]
    )


@pytest.mark.parametrize(
    ("failed", "verdict"),
    [
        ((), pb.VERDICT_ACCEPT),
        (("decodes",), pb.VERDICT_RETRY),
        (("blank",), pb.VERDICT_RETRY),
        (("format",), pb.VERDICT_ESCALATE),
        (("dimensions",), pb.VERDICT_ESCALATE),
        (("aspect",), pb.VERDICT_ESCALATE),
        (("limits",), pb.VERDICT_ESCALATE),
        (("dimensions", "blank"), pb.VERDICT_ESCALATE),
    ],
)
def test_each_miss_has_its_verdict(failed: tuple[str, ...], verdict: pb.Verdict.ValueType) -> None:
    """Chance is tried again, what the route cannot do is not."""
    assert recommend(FINE, [output(*failed)]).verdict == verdict


@pytest.mark.parametrize(("name", "verdict"), [("refusal", pb.VERDICT_STOP), ("no_output", pb.VERDICT_RETRY)])
def test_the_attempt_as_a_whole_has_its_verdict(name: str, verdict: pb.Verdict.ValueType) -> None:
    """A refusal stops, an answer without an image is tried again; the reason is the check in words."""
    found = recommend([pb.Check(name=name, passed=False, detail="so it was")], [])

    assert found.verdict == verdict
    assert found.reason == f"{name}: so it was"


def test_one_bad_output_spoils_the_attempt_and_is_named() -> None:
    """The reason says which image missed what, and the gravest miss is the one that is named."""
    found = recommend(FINE, [output(), output("blank"), output("aspect", "dimensions")])

    assert found.verdict == pb.VERDICT_ESCALATE
    assert found.reason == "image 3: dimensions: about dimensions"
    assert recommend(FINE, [output("blank")]).reason == "blank: about blank"


def test_only_a_clean_sheet_is_accepted() -> None:
    """For every set of failed checks: ACCEPT if and only if it is empty, and a refusal always stops."""
    for count in range(len(OUTPUT_CHECKS) + 1):
        for failed in itertools.combinations(OUTPUT_CHECKS, count):
            assert (recommend(FINE, [output(), output(*failed)]).verdict == pb.VERDICT_ACCEPT) == (not failed)
            refused = [pb.Check(name="refusal", passed=False)]
            assert recommend(refused, [output(*failed)]).verdict == pb.VERDICT_STOP


def test_p_accept_is_the_worst_outputs_share() -> None:
    """The share counts checks that could not be made as not passed, and no image at all is worth nothing."""
    assert share_passed([output()], 6) == 1.0
    assert share_passed([output(), output("blank", "aspect")], 6) == pytest.approx(4 / 6)
    assert share_passed([output(), output("decodes", made=("limits", "decodes"))], 6) == pytest.approx(1 / 6)
    assert share_passed([], 6) == 0.0

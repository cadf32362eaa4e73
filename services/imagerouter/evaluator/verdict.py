"""From checks to a recommendation. Pure.

A miss that the route is bound to repeat (it cannot draw that size, shape or format) outweighs one that chance may mend
(a broken or blank picture): trying the same route again would pay for the same miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imagerouter.api.common.v1 import evaluation_pb2 as pb
from imagerouter.evaluator import checks

_BY_CHECK: Final = {
    checks.REFUSAL: pb.VERDICT_STOP,
    checks.LIMITS: pb.VERDICT_ESCALATE,
    checks.FORMAT: pb.VERDICT_ESCALATE,
    checks.DIMENSIONS: pb.VERDICT_ESCALATE,
    checks.ASPECT: pb.VERDICT_ESCALATE,
    checks.NO_OUTPUT: pb.VERDICT_RETRY,
    checks.DECODES: pb.VERDICT_RETRY,
    checks.BLANK: pb.VERDICT_RETRY,
}
"""What a failed check calls for."""

_GRAVEST_FIRST: Final = (pb.VERDICT_STOP, pb.VERDICT_ESCALATE, pb.VERDICT_RETRY)


@dataclass(frozen=True)
class Recommendation:
    """A verdict and the check that decided it, in words."""

    verdict: pb.Verdict.ValueType
    reason: str


def recommend(attempt: Sequence[pb.Check], outputs: Sequence[pb.OutputEvaluation]) -> Recommendation:
    """Weigh all failed checks, the attempt's and every output's; the gravest decides, the first of them is named."""
    failed = [(_BY_CHECK[check.name], _words(check, "")) for check in attempt if not check.passed]
    for number, output in enumerate(outputs, start=1):
        place = f"image {number}: " if len(outputs) > 1 else ""
        failed += [(_BY_CHECK[check.name], _words(check, place)) for check in output.checks if not check.passed]
    for verdict in _GRAVEST_FIRST:
        for called_for, reason in failed:
            if called_for == verdict:
                return Recommendation(verdict, reason)
    return Recommendation(pb.VERDICT_ACCEPT, "every check was passed")


def share_passed(outputs: Sequence[pb.OutputEvaluation], applicable: int) -> float:
    """Return the share of its checks that the worst output passed, 0 to 1; 0 if there is none.

    Checks that could not be made count as not passed: a file that is no image passes its size check and no more.
    """
    shares = (sum(check.passed for check in output.checks) / max(applicable, len(output.checks)) for output in outputs)
    return min(shares, default=0.0)


def _words(check: pb.Check, place: str) -> str:
    return f"{place}{check.name}: {check.detail}"

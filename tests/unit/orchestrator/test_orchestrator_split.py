"""How a count is shared among attempts made side by side."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from imagerouter.api.common.v1 import route_pb2
from imagerouter.orchestrator.run import split

COUNTS = st.integers(1, 32)
MICROS = st.integers(0, 10**12)


def route_of(each: int, cost: int = 100, upper: int = 200) -> route_pb2.Route:
    return route_pb2.Route(
        provider="p",
        model="m",
        tier=3,
        parameters=route_pb2.RouteParameters(count=each, size="1024x1024", quality="high"),
        estimates=route_pb2.Estimates(cost_micros=cost, upper_cost_micros=upper, p_accept=0.5),
        reasons=["because"],
    )


def counts(route: route_pb2.Route, missing: int, at_once: int) -> list[int]:
    return [share.parameters.count for share in split(route, missing, at_once)]


def test_examples() -> None:
    """Full calls first, the rest last; no more calls than may be made at once."""
    assert counts(route_of(1), 3, 4) == [1, 1, 1]
    assert counts(route_of(3), 8, 4) == [3, 3, 2]
    assert counts(route_of(10), 8, 4) == [8]
    assert counts(route_of(1), 8, 4) == [1, 1, 1, 1]
    assert counts(route_of(0), 2, 4) == [1, 1]
    assert counts(route_of(4), 0, 4) == []


@given(st.integers(0, 12), COUNTS, st.integers(1, 8))
def test_counts_sum_and_are_bounded(each: int, missing: int, at_once: int) -> None:
    """Together the attempts make what is missing, or as much as may be made at once; none asks for more than the route
    makes in a call, and none for nothing."""
    made = counts(route_of(each), missing, at_once)
    most = max(1, each)

    assert sum(made) == min(missing, most * at_once)
    assert len(made) <= at_once
    assert all(1 <= count <= most for count in made)


@given(st.integers(1, 12), COUNTS, st.integers(1, 8), MICROS, MICROS)
@example(3, 1, 1, 10**12 - 1, 10**12 + 1)
def test_costs_are_never_understated(each: int, missing: int, at_once: int, cost: int, upper: int) -> None:
    """Invariant 4: what is reserved for a share is its part of the route's figure, or up to a micro-dollar more."""
    for share in split(route_of(each, cost, upper), missing, at_once):
        part = Fraction(share.parameters.count, each)
        for figure, whole in ((share.estimates.cost_micros, cost), (share.estimates.upper_cost_micros, upper)):
            assert part * whole <= figure < part * whole + 1


@given(st.integers(1, 12), COUNTS, st.integers(1, 8))
def test_nothing_but_count_and_cost_differs(each: int, missing: int, at_once: int) -> None:
    """Every share is the decided route, and the decision keeps its own."""
    route = route_of(each)
    for share in split(route, missing, at_once):
        share.parameters.count = each
        share.estimates.cost_micros, share.estimates.upper_cost_micros = 100, 200
        assert share == route_of(each)

    assert route == route_of(each)

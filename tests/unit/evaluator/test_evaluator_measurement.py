"""What crosses the pipe from a process that may have been taken over."""

from __future__ import annotations

import json

import pytest
from evaluator_pictures import LIMITS
from hypothesis import given
from hypothesis import strategies as st

from imagerouter.evaluator.measurement import Limits, Measurement, Problem

GOOD = Measurement(Problem.NONE, "png", 96, 120, 1, 1, 30.5, 12, 0)


def test_limits_and_measurements_survive_the_pipe() -> None:
    """Both ends read what the other wrote."""
    assert Limits.from_json(LIMITS.to_json()) == LIMITS
    assert Measurement.from_json(GOOD.to_json()) == GOOD
    assert Measurement.from_json(Measurement(Problem.CORRUPT, "jpeg").to_json()).problem is Problem.CORRUPT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("problem", "owned"),
        ("problem", None),
        ("format", "<script>"),
        ("format", ["png"]),
        ("width", -1),
        ("width", 1.5),
        ("width", True),
        ("height", 2**60),
        ("height", "120"),
        ("spread", "30.5"),
        ("spread", float("nan")),
        ("spread", float("inf")),
        ("spread", 1),
        ("colours", None),
        ("extra", 1),
    ],
)
def test_a_reply_that_is_not_a_measurement_is_refused(name: str, value: object) -> None:
    """No field of a reply is trusted: not its type, not its range, not its words."""
    reply = json.loads(GOOD.to_json()) | {name: value}
    with pytest.raises(ValueError, match="not a measurement"):
        Measurement.from_json(json.dumps(reply).encode())


@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode) | st.just(b"[" * 4000))
def test_any_bytes_are_a_measurement_or_a_value_error(data: bytes) -> None:
    """Nothing that a sandbox sends can raise anything else."""
    try:
        Measurement.from_json(data)
    except ValueError:
        return

"""Properties of the whole: total, deterministic, and without the prompt in what it says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from normalizer_requests import BULKY_CASES, PHOTO, constraints, output, request

from imagerouter.api.normalizer.v1 import normalizer_service_pb2 as pb
from imagerouter.normalizer.core import normalize
from imagerouter.runtime.errors import ImageRouterError, InvalidField

INT32 = st.integers(-(2**31), 2**31 - 1)
ENUM = st.one_of(st.integers(0, 9), INT32)
RATIO = st.one_of(
    st.just(""), st.text(max_size=12), st.tuples(st.integers(0, 99), st.integers(0, 99)).map(lambda p: f"{p[0]}:{p[1]}")
)
PIECES = st.sampled_from(
    (
        *('"', "'", "\u201c", "\u201d", "「", "」", "{", "}", '"title": ', "\\", "\n"),
        *(
            "--ar 4:5",
            " --size ",
            "9:16 ",
            "20 ",
            "variations ",
            "poster ",
            "keep the face ",
            "remove ",
            "海报",
            "ポスター",
        ),
        *("\x00", "\u202e", "\ufb2c", "\U000e0041"),
    )
)
PROMPT = st.one_of(st.text(), st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=30).map("".join))
OUTPUT = st.fixed_dictionaries(
    {},
    optional={
        "count": st.one_of(st.integers(0, 33), INT32),
        "aspect_ratio": RATIO,
        "size_tier": ENUM,
        "width": st.one_of(st.integers(0, 9000), INT32),
        "height": st.one_of(st.integers(0, 9000), INT32),
        "quality": ENUM,
        "format": ENUM,
        "background": ENUM,
    },
)
CONSTRAINTS = st.fixed_dictionaries(
    {},
    optional={
        "text_heavy": st.booleans(),
        "preserve_subject": st.booleans(),
        "aspect_ratio": RATIO,
        "max_latency_ms": INT32,
        "max_cost_micros": st.integers(-(2**63), 2**63 - 1),
        "preference": ENUM,
        "models": st.lists(st.text(max_size=8), max_size=4),
    },
)


def attempt(given_request: pb.NormalizeRequest, facts: list[Any]) -> bytes | str:
    """Return the task's bytes, or the field that is to blame."""
    try:
        return normalize(given_request, facts).SerializeToString(deterministic=True)
    except InvalidField as error:
        return error.fields[0].field


@given(PROMPT, CONSTRAINTS, OUTPUT, ENUM, st.integers(0, 2))
@settings(max_examples=BULKY_CASES, deadline=None)
def test_any_request_is_a_task_or_a_field_to_blame(
    prompt: str, wishes: dict[str, Any], spec: dict[str, Any], mode: int, references: int
) -> None:
    """Nothing but InvalidField is ever raised, and the same request always gives the same answer."""
    given_request = request(prompt, mode=mode, constraints=constraints(**wishes), output=output(**spec))
    for number in range(references):
        given_request.references.add().artifact.digest = f"{number:064x}"
    facts = [PHOTO] * references

    assert attempt(given_request, facts) == attempt(given_request, facts)


@given(PROMPT)
@settings(max_examples=BULKY_CASES, deadline=None)
def test_a_task_normalized_again_is_itself(prompt: str) -> None:
    """The cleaned prompt and the settled output come through a second time unchanged, if it has no more flags."""
    try:
        once = normalize(request(prompt), [])
    except ImageRouterError:
        return
    again = normalize(request(once.prompt, output=once.output), [])

    if "--" not in once.prompt and "\u2014" not in once.prompt:
        assert again.prompt == once.prompt
        assert again.output == once.output
        assert again.features == once.features


@pytest.mark.parametrize("prompt", ["", "canary-7f3a" * 4000, "canary-7f3a --size 9999x9999", "canary-7f3a --ar 99:1"])
def test_no_error_quotes_the_prompt(prompt: str) -> None:
    """A canary in the prompt is in no message, field or metadata of the refusal."""
    with pytest.raises(InvalidField) as caught:
        normalize(request(prompt), [])

    assert "canary" not in f"{caught.value.message}{caught.value.metadata}{caught.value.fields}"


def test_no_warning_or_negotiation_quotes_the_prompt() -> None:
    """What the receipt says in words holds none of the caller's."""
    task = normalize(request("canary\x00 on this photo, transparent background, 4:5 --v 6 --ar what"), [])

    assert len(task.warnings) >= 3
    said = [warning.message for warning in task.warnings] + [n.reason for n in task.negotiations]
    assert not any("canary" in text for text in said)

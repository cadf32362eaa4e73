"""What closes a model for a while, and what must not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.orchestrator.outages import Outages
from tests.unit.orchestrator.histories import route

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECONDS = 60.0
CLOSING = {"MODEL_UNAVAILABLE": "m", "UNAUTHORIZED": "", "QUOTA_EXHAUSTED": ""}


def outcome(kind: str) -> attempt_pb2.Outcome:
    return attempt_pb2.Outcome(kind=attempt_pb2.OutcomeKind.Value(f"OUTCOME_KIND_{kind}"))


def closed(outages: Outages, after_s: float = 0) -> list[tuple[str, str]]:
    """What is out of order so many seconds later."""
    return [(each.provider, each.model) for each in outages.current(NOW + timedelta(seconds=after_s))]


@pytest.mark.parametrize(("kind", "model"), CLOSING.items())
def test_what_closes_a_model_or_a_provider(kind: str, model: str) -> None:
    """A model that is gone is closed alone; a key or quota that does not do closes the provider, with a reason."""
    outages = Outages(SECONDS)
    outages.saw(route("m", "openai"), outcome(kind), NOW)

    assert closed(outages) == [("openai", model)]
    assert outages.current(NOW)[0].reason


@pytest.mark.parametrize(
    "kind",
    [name.removeprefix("OUTCOME_KIND_") for name in attempt_pb2.OutcomeKind.keys() if name[13:] not in CLOSING],
)
def test_what_is_about_one_request_closes_nothing(kind: str) -> None:
    """Invariant 3: refusals, bad requests, rate limits and failures of the moment close no model to anybody else."""
    outages = Outages(SECONDS)
    for _ in range(20):
        outages.saw(route("m", "openai"), outcome(kind), NOW)

    assert closed(outages) == []


def test_an_outage_ends_by_itself() -> None:
    """It holds for as long as it was told, and no longer; another failure begins it anew."""
    outages = Outages(SECONDS)
    outages.saw(route("m", "openai"), outcome("MODEL_UNAVAILABLE"), NOW)
    assert closed(outages, SECONDS - 0.001)
    outages.saw(route("m", "openai"), outcome("MODEL_UNAVAILABLE"), NOW + timedelta(seconds=30))

    assert closed(outages, SECONDS) == [("openai", "m")]
    assert closed(outages, SECONDS + 30) == []


def test_a_success_opens_model_and_provider_at_once() -> None:
    """Who makes a picture is not out of order; other models and providers stay as they are."""
    outages = Outages(SECONDS)
    for model, provider, kind in (
        ("m", "openai", "MODEL_UNAVAILABLE"),
        ("n", "openai", "MODEL_UNAVAILABLE"),
        ("m", "openai", "UNAUTHORIZED"),
        ("m", "google", "QUOTA_EXHAUSTED"),
    ):
        outages.saw(route(model, provider), outcome(kind), NOW)
    assert closed(outages) == [("google", ""), ("openai", ""), ("openai", "m"), ("openai", "n")]
    outages.saw(route("m", "openai"), outcome("SUCCEEDED"), NOW)

    assert closed(outages) == [("google", ""), ("openai", "n")]

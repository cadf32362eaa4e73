"""Every fault of the emulators through every adapter: one POST, the documented outcome, the journal's bill."""

from __future__ import annotations

import pytest

from tests.contract.adapter_bench import EACH, MODELS, SMALL, Emulators, adapter_of
from tests.unit.adapter.adapter_calls import UPPER, make_request, words_of

FAULTS: dict[str, dict[str, tuple[str, str]]] = {
    "drop_before_execution": dict.fromkeys(MODELS, ("CONNECTION_FAILED", "SENT_UNKNOWN")),
    "reset_before_execution": dict.fromkeys(MODELS, ("CONNECTION_FAILED", "SENT_UNKNOWN")),
    "drop_before_headers": dict.fromkeys(MODELS, ("CONNECTION_FAILED", "SENT_UNKNOWN")),
    "reset_before_headers": dict.fromkeys(MODELS, ("CONNECTION_FAILED", "SENT_UNKNOWN")),
    "drop_mid_body": dict.fromkeys(MODELS, ("CONNECTION_FAILED", "SENT_UNKNOWN")),
    "reset_mid_body": dict.fromkeys(MODELS, ("CONNECTION_FAILED", "SENT_UNKNOWN")),
    "slow_headers": dict.fromkeys(MODELS, ("TIMEOUT", "SENT_UNKNOWN")),
    "slow_queue": dict.fromkeys(MODELS, ("TIMEOUT", "SENT_UNKNOWN")),
    "broken_json": dict.fromkeys(MODELS, ("MALFORMED_REPLY", "CHARGED")),
    "empty_body": dict.fromkeys(MODELS, ("MALFORMED_REPLY", "CHARGED")),
    "not_an_image": dict.fromkeys(MODELS, ("MALFORMED_REPLY", "CHARGED")),
    "http_502_html": dict.fromkeys(MODELS, ("PROVIDER_ERROR", "SENT_UNKNOWN")),
    "http_503_html": dict.fromkeys(MODELS, ("PROVIDER_ERROR", "SENT_UNKNOWN")),
    "http_504_html": dict.fromkeys(MODELS, ("TIMEOUT", "SENT_UNKNOWN")),
    "rate_limited": dict.fromkeys(MODELS, ("RATE_LIMITED", "REJECTED")),
    "rate_limited_bare": dict.fromkeys(MODELS, ("RATE_LIMITED", "REJECTED")),
    "insufficient_quota": dict.fromkeys(MODELS, ("QUOTA_EXHAUSTED", "REJECTED")),
    "invalid_request": dict.fromkeys(MODELS, ("INVALID_REQUEST", "REJECTED")),
    "unauthorized": dict.fromkeys(MODELS, ("UNAUTHORIZED", "REJECTED")),
    "model_not_found": dict.fromkeys(MODELS, ("MODEL_UNAVAILABLE", "REJECTED")),
    "http_500": dict.fromkeys(MODELS, ("PROVIDER_ERROR", "REJECTED")),
    "http_503": dict.fromkeys(MODELS, ("PROVIDER_ERROR", "REJECTED")),
    "billing_hard_limit": {"openai": ("QUOTA_EXHAUSTED", "REJECTED")},
    "moderation_input": {"openai": ("REFUSED", "REJECTED")},
    "moderation_output": {"openai": ("REFUSED", "REJECTED")},
    "content_policy": {"openai": ("REFUSED", "REJECTED")},
    "unverified": {"openai": ("UNAUTHORIZED", "REJECTED")},
    "http_408": {"openai": ("TIMEOUT", "SENT_UNKNOWN")},
    "http_409": {"openai": ("PROVIDER_ERROR", "SENT_UNKNOWN")},
    "generation_failed": {"openai": ("PROVIDER_ERROR", "REJECTED")},
    "data_null": {"openai": ("NO_OUTPUT", "CHARGED")},
    "quota_per_day": {"google": ("QUOTA_EXHAUSTED", "REJECTED")},
    "failed_precondition": {"google": ("UNAUTHORIZED", "REJECTED")},
    "api_key_invalid": {"google": ("UNAUTHORIZED", "REJECTED")},
    "forbidden": {"google": ("UNAUTHORIZED", "REJECTED")},
    "http_499": {"google": ("PROVIDER_ERROR", "SENT_UNKNOWN")},
    "http_504": {"google": ("TIMEOUT", "SENT_UNKNOWN")},
    "text_only": {"google": ("NO_OUTPUT", "CHARGED")},
    "no_image": {"google": ("NO_OUTPUT", "CHARGED")},
    "no_parts": {"google": ("NO_OUTPUT", "CHARGED")},
    "blocked_safety": {"google": ("REFUSED", "CHARGED")},
    "blocked_other": {"google": ("REFUSED", "CHARGED")},
    "blocked_prohibited": {"google": ("REFUSED", "CHARGED")},
    "blocked_image_safety": {"google": ("REFUSED", "CHARGED")},
    "finish_image_safety": {"google": ("REFUSED", "CHARGED")},
    "finish_image_prohibited": {"google": ("REFUSED", "CHARGED")},
    "finish_recitation": {"google": ("REFUSED", "CHARGED")},
    "finish_image_other": {"google": ("PROVIDER_ERROR", "CHARGED")},
    "finish_malformed": {"google": ("PROVIDER_ERROR", "CHARGED")},
    "finish_max_tokens": {"google": ("INVALID_REQUEST", "CHARGED")},
    "finish_continuation": {"google": ("NO_OUTPUT", "CHARGED")},
}
UNREADABLE = {"broken_json", "empty_body"}


@pytest.mark.parametrize(
    ("fault", "provider"), [(fault, provider) for fault, expected in FAULTS.items() for provider in expected]
)
async def test_a_fault_is_one_post_and_its_documented_outcome(
    emulator_of: Emulators, fault: str, provider: str
) -> None:
    """One request at the provider for each failure; kind and phase as documented; the bill agrees with the journal."""
    emulator = emulator_of[provider]
    emulator.fault(preset=fault)
    request = make_request(MODELS[provider], **SMALL[provider])
    timeout_s = 0.5 if fault.startswith("slow") else 20.0
    async with adapter_of(provider, emulator_of, read_timeout_s=timeout_s) as adapter:
        outcome = await adapter.outcome(request)
    posts = await emulator.posts(request.attempt_id)
    billed = emulator.price_of(request.attempt_id)

    assert words_of(outcome) == FAULTS[fault][provider]
    assert len(posts) == 1
    if words_of(outcome)[1] in ("REJECTED", "NOT_SENT"):
        assert (outcome.cost_micros, billed) == (0, None)
    elif fault in UNREADABLE:
        assert (outcome.cost_micros, outcome.cost_estimated) == (UPPER, True)
        assert billed is not None
    elif words_of(outcome)[1] == "CHARGED":
        assert (outcome.cost_micros, outcome.cost_estimated) == (billed, False)


@EACH
def test_a_dozen_kinds_of_failure_are_covered(provider: str) -> None:
    """The table above has at least twelve different failures for each provider."""
    assert len([fault for fault, expected in FAULTS.items() if provider in expected]) >= 12


@EACH
async def test_every_fault_of_the_emulator_is_covered(emulator_of: Emulators, provider: str) -> None:
    """A fault that is added to an emulator needs a documented outcome here."""
    elsewhere = {"blank_image", "wrong_size", "truncated_image", "thought_flagged_image", "stream_error"}
    streamed = {name for name in emulator_of[provider].presets() if name.startswith("sse_")}
    covered = {fault for fault, expected in FAULTS.items() if provider in expected}

    assert set(emulator_of[provider].presets()) - covered - streamed - elsewhere == set()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("sse_error_nested", ("PROVIDER_ERROR", "REJECTED")),
        ("sse_error_flat", ("PROVIDER_ERROR", "REJECTED")),
        ("sse_no_completed", ("MALFORMED_REPLY", "SENT_UNKNOWN")),
        ("sse_slow_events", ("TIMEOUT", "SENT_UNKNOWN")),
        ("drop_mid_body", ("CONNECTION_FAILED", "SENT_UNKNOWN")),
        ("rate_limited", ("RATE_LIMITED", "REJECTED")),
    ],
)
async def test_a_stream_that_fails(emulator_of: Emulators, fault: str, expected: tuple[str, str]) -> None:
    """A stream without its last event is no success, whichever way it ends; one request each."""
    emulator_of["openai"].fault(preset=fault)
    request = make_request(previews=2, **SMALL["openai"])
    timeout_s = 1.5 if expected[0] == "TIMEOUT" else 20.0
    async with adapter_of("openai", emulator_of, read_timeout_s=timeout_s) as adapter:
        outcome = await adapter.outcome(request)

    assert words_of(outcome) == expected
    assert len(await emulator_of["openai"].posts(request.attempt_id)) == 1


@EACH
async def test_a_wait_is_handed_on(emulator_of: Emulators, provider: str) -> None:
    """What the provider asks us to wait is in the outcome."""
    emulator_of[provider].fault(preset="rate_limited")
    async with adapter_of(provider, emulator_of) as adapter:
        outcome = await adapter.outcome(make_request(MODELS[provider], **SMALL[provider]))

    assert 12 <= outcome.retry_after.ToTimedelta().total_seconds() <= 12.5

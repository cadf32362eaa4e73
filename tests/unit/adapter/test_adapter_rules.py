"""The reviewed tables: what each provider error means for the bill."""

from __future__ import annotations

import pytest

from imagerouter.adapter.rules import Facts, Symptom, load_facts, read_facts
from imagerouter.api.common.v1 import attempt_pb2

_OPENAI = load_facts("openai")
_GOOGLE = load_facts("google")
_CATCH_ALL = {"kind": "PROVIDER_ERROR", "phase": "SENT_UNKNOWN", "message": "m", "why": "w"}


def _read(facts: Facts, status: int, *codes: str, typed: bool = True) -> tuple[str, str]:
    rule = facts.error(Symptom(status, frozenset(codes), typed))
    return (
        attempt_pb2.OutcomeKind.Name(rule.kind).removeprefix("OUTCOME_KIND_"),
        attempt_pb2.Phase.Name(rule.phase).removeprefix("PHASE_"),
    )


@pytest.mark.parametrize(
    ("status", "codes", "expected"),
    [
        (400, ["moderation_blocked", "image_generation_user_error"], ("REFUSED", "REJECTED")),
        (400, ["content_policy_violation", "invalid_request_error"], ("REFUSED", "REJECTED")),
        (200, ["moderation_blocked"], ("REFUSED", "REJECTED")),
        (400, ["invalid_value", "image_generation_user_error"], ("INVALID_REQUEST", "REJECTED")),
        (400, ["unknown_parameter"], ("INVALID_REQUEST", "REJECTED")),
        (422, [], ("INVALID_REQUEST", "REJECTED")),
        (413, [], ("INVALID_REQUEST", "REJECTED")),
        (400, ["billing_hard_limit_reached"], ("QUOTA_EXHAUSTED", "REJECTED")),
        (429, ["insufficient_quota"], ("QUOTA_EXHAUSTED", "REJECTED")),
        (402, [], ("QUOTA_EXHAUSTED", "REJECTED")),
        (429, ["rate_limit_exceeded", "input-images"], ("RATE_LIMITED", "REJECTED")),
        (429, [], ("RATE_LIMITED", "REJECTED")),
        (200, ["rate_limit_exceeded"], ("RATE_LIMITED", "REJECTED")),
        (401, ["invalid_api_key"], ("UNAUTHORIZED", "REJECTED")),
        (403, ["invalid_request_error"], ("UNAUTHORIZED", "REJECTED")),
        (404, ["model_not_found"], ("MODEL_UNAVAILABLE", "REJECTED")),
        (408, [], ("TIMEOUT", "SENT_UNKNOWN")),
        (504, [], ("TIMEOUT", "SENT_UNKNOWN")),
        (409, [], ("PROVIDER_ERROR", "SENT_UNKNOWN")),
        (500, ["server_error"], ("PROVIDER_ERROR", "REJECTED")),
        (503, [], ("PROVIDER_ERROR", "REJECTED")),
        (200, ["image_generation_failed"], ("PROVIDER_ERROR", "REJECTED")),
        (200, ["never_seen_before"], ("PROVIDER_ERROR", "SENT_UNKNOWN")),
        (307, [], ("PROVIDER_ERROR", "REJECTED")),
    ],
)
def test_openai_errors(status: int, codes: list[str], expected: tuple[str, str]) -> None:
    """Each OpenAI error of providers.md 1.7 has the kind and the phase that its row says."""
    assert _read(_OPENAI, status, *codes) == expected


@pytest.mark.parametrize(
    ("status", "codes", "expected"),
    [
        (400, ["INVALID_ARGUMENT"], ("INVALID_REQUEST", "REJECTED")),
        (400, ["INVALID_ARGUMENT", "API_KEY_INVALID"], ("UNAUTHORIZED", "REJECTED")),
        (400, ["FAILED_PRECONDITION"], ("UNAUTHORIZED", "REJECTED")),
        (401, ["UNAUTHENTICATED"], ("UNAUTHORIZED", "REJECTED")),
        (403, ["PERMISSION_DENIED"], ("UNAUTHORIZED", "REJECTED")),
        (402, ["RESOURCE_EXHAUSTED"], ("QUOTA_EXHAUSTED", "REJECTED")),
        (404, ["NOT_FOUND"], ("MODEL_UNAVAILABLE", "REJECTED")),
        (429, ["RESOURCE_EXHAUSTED"], ("RATE_LIMITED", "REJECTED")),
        (429, ["RESOURCE_EXHAUSTED", "QUOTA_ZERO"], ("QUOTA_EXHAUSTED", "REJECTED")),
        (429, ["RESOURCE_EXHAUSTED", "QUOTA_DAY"], ("QUOTA_EXHAUSTED", "REJECTED")),
        (499, ["CANCELLED"], ("PROVIDER_ERROR", "SENT_UNKNOWN")),
        (500, ["INTERNAL"], ("PROVIDER_ERROR", "REJECTED")),
        (503, ["UNAVAILABLE"], ("PROVIDER_ERROR", "REJECTED")),
        (504, ["DEADLINE_EXCEEDED"], ("TIMEOUT", "SENT_UNKNOWN")),
        (302, [], ("PROVIDER_ERROR", "REJECTED")),
    ],
)
def test_google_errors(status: int, codes: list[str], expected: tuple[str, str]) -> None:
    """Each Gemini error of providers.md 2.5 has the kind and the phase that its row says."""
    assert _read(_GOOGLE, status, *codes) == expected


@pytest.mark.parametrize("facts", [_OPENAI, _GOOGLE])
@pytest.mark.parametrize("status", [500, 502, 503, 520])
def test_a_gateways_page_is_ambiguous(facts: Facts, status: int) -> None:
    """A 5xx that is not the provider's own JSON may hide an execution: never declared free."""
    assert _read(facts, status, typed=False) == ("PROVIDER_ERROR", "SENT_UNKNOWN")


@pytest.mark.parametrize("facts", [_OPENAI, _GOOGLE])
@pytest.mark.parametrize("status", [0, 100, 204, 600, 999])
def test_what_nobody_has_seen_is_ambiguous(facts: Facts, status: int) -> None:
    """A status without a row may have been executed."""
    assert _read(facts, status)[1] == "SENT_UNKNOWN"


@pytest.mark.parametrize("facts", [_OPENAI, _GOOGLE])
def test_no_row_is_charged_or_unspecified(facts: Facts) -> None:
    """Errors are free or ambiguous: only a 200 is charged. Every row says something in our own words."""
    phases = {rule.phase for rule in facts.errors}

    assert phases == {attempt_pb2.PHASE_REJECTED, attempt_pb2.PHASE_SENT_UNKNOWN}
    assert all(rule.message and rule.kind != attempt_pb2.OUTCOME_KIND_SUCCEEDED for rule in facts.errors)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"error": []},
        {"error": [{**_CATCH_ALL, "statuses": ["500"]}]},
        {"error": [{**_CATCH_ALL, "codes": ["x"]}]},
        {"error": [{**_CATCH_ALL, "typed": True}]},
        {"error": [{**_CATCH_ALL, "typed": "yes"}]},
        {"error": [{**_CATCH_ALL, "kind": "NO_SUCH_KIND"}]},
        {"error": [{**_CATCH_ALL, "phase": "NO_SUCH_PHASE"}]},
        {"error": [{**_CATCH_ALL, "statuses": [500]}]},
        {"error": [{**_CATCH_ALL, "why": ""}]},
        {
            "error": [_CATCH_ALL],
            "finish": [
                {"reasons": ["STOP"], "kind": "NO_OUTPUT", "message": "m"},
                {"reasons": ["STOP"], "kind": "REFUSED", "message": "m"},
            ],
        },
    ],
)
def test_a_malformed_table_is_refused(data: dict[str, object]) -> None:
    """A table with a hole, a misspelt word or no reason for a row does not load."""
    with pytest.raises(ValueError):  # noqa: PT011 -- the texts differ, the refusal counts
        read_facts(data)


def test_the_first_row_that_fits_wins() -> None:
    """Rows are tried in the order of the file."""
    first = {**_CATCH_ALL, "codes": ["a"], "kind": "REFUSED"}
    second = {**_CATCH_ALL, "codes": ["a", "b"], "kind": "RATE_LIMITED"}
    facts = read_facts({"error": [first, second, _CATCH_ALL]})

    assert _read(facts, 400, "a")[0] == "REFUSED"
    assert _read(facts, 400, "b")[0] == "RATE_LIMITED"
    assert _read(facts, 400, "c")[0] == "PROVIDER_ERROR"

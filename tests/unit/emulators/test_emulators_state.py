"""Faults, journal and history: what an emulator remembers."""

import json
from pathlib import Path

import pytest

from imagerouter.emulators.faults import NO_FAULT, Asked, Faults, presets
from imagerouter.emulators.journal import Execution, Journal
from imagerouter.emulators.pricing import Price, Tally

ASKED = Asked(path="/v1/images/edits", model="gpt-image-2", operation="edit", prompt="a red fox", headers={"x-a": "1"})


def execution(**more: object) -> Execution:
    """An execution to journal."""
    facts = dict.fromkeys(("time", "model", "model_requested", "operation", "correlation_id", "size", "quality"), "x")
    return Execution(
        **{
            **facts,
            "provider": "openai",
            "n": 1,
            "request_hash": "h",
            "usage": Tally(1, 2, 3, 4),
            "price": Price(7, {}),
            **more,
        }
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("match", "strikes"),
    [
        ({}, True),
        (
            {"path": "/edits", "model": "gpt-image-2", "operation": "edit", "prompt": "fox", "header": {"X-A": "1"}},
            True,
        ),
        ({"path": "/generations"}, False),
        ({"model": "gpt-image-1.5"}, False),
        ({"prompt": "cat"}, False),
        ({"header": {"x-a": "2"}}, False),
    ],
)
def test_a_rule_strikes_only_what_it_matches(match: dict[str, object], strikes: bool) -> None:
    """All that a rule names must agree."""
    faults = Faults("openai", 0)
    faults.add({"preset": "http_500", "match": match})

    assert (faults.strike(ASKED).status == 500) == strikes


def test_one_shot_rules_are_used_up_in_order() -> None:
    """`skip` lets requests pass first, `times` ends a rule, and the next rule takes over."""
    faults = Faults("openai", 0)
    faults.add({"preset": "http_500", "times": 2, "skip": 1})
    faults.add({"preset": "http_503", "times": 1})

    assert [faults.strike(ASKED).status for _ in range(5)] == [503, 500, 500, 0, 0]
    assert faults.rules == []


def test_probability_is_seeded_and_about_right() -> None:
    """The same seed strikes the same requests; over many, the share is the probability."""

    def run(seed: int) -> list[bool]:
        faults = Faults("openai", seed)
        faults.add({"preset": "http_500", "probability": 0.1})
        return [faults.strike(ASKED) is not NO_FAULT for _ in range(2000)]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert 150 <= sum(run(1)) <= 250


@pytest.mark.parametrize("provider", ["openai", "google"])
def test_every_preset_is_a_valid_fault(provider: str) -> None:
    """No preset has a key or a value that a fault lacks, and each does something."""
    faults = Faults(provider, 0)
    for name in presets(provider):
        fault = faults.add({"preset": name}).fault

        assert fault.model_dump(exclude={"preset"}) != NO_FAULT.model_dump(exclude={"preset"})


@pytest.mark.parametrize("order", [{"preset": "nothing"}, {"colour": "red"}, {"drop": "sideways"}, {"times": 0}])
def test_bad_orders_are_refused(order: dict[str, object]) -> None:
    """A misspelt fault is an error, not a fault that never strikes."""
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's and ours
        Faults("openai", 0).add(order)


@pytest.mark.parametrize(
    ("preset", "bills"),
    [
        ("http_500", False),
        ("rate_limited", False),
        ("drop_before_execution", False),
        ("sse_error_nested", False),
        ("drop_before_headers", True),
        ("drop_mid_body", True),
        ("broken_json", True),
        ("sse_no_completed", True),
        ("blank_image", True),
    ],
)
def test_what_bills(preset: str, bills: bool) -> None:
    """Refusals before the work cost nothing; whatever goes wrong after it costs all the same."""
    faults = Faults("openai", 0)
    faults.add({"preset": preset})

    assert faults.strike(ASKED).bills == bills


async def test_journal_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    """Another reader finds the line, whole, with its price, as soon as the call is back."""
    journal = Journal(tmp_path / "j" / "openai.jsonl")

    name = await journal.append(execution())

    line = json.loads(journal.path.read_text())
    assert (line["id"], line["price_micros"], line["usage"]["output_image"]) == (name, 7, 3)
    journal.close()


async def test_journal_goes_on_after_a_restart_and_cuts_a_torn_line(tmp_path: Path) -> None:
    """Ids go on counting, and half a line from a crash is gone: nobody was answered for it."""
    path = tmp_path / "openai.jsonl"
    first = Journal(path)
    await first.append(execution())
    first.close()
    with path.open("a") as torn:
        torn.write('{"id": "openai-0000')

    second = Journal(path)
    await second.append(execution())
    second.close()

    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["openai-000001", "openai-000002"]

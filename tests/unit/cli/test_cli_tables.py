"""Tables and summaries, and one line for each event."""

from __future__ import annotations

import pytest
from rich.console import Console, RenderableType

from imagerouter.api.common.v1 import attempt_pb2, route_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.cli.demo_report import prompts_table, totals_table
from imagerouter.cli.images import event_line
from imagerouter.cli.tables import (
    decision_table,
    image_summary,
    images_table,
    outcome_text,
    parameters,
    task_line,
    verdict_text,
)
from tests.unit.cli.receipts import BEGAN, attempt, empty, escalated


def shown(what: RenderableType, width: int = 160) -> list[str]:
    """What a person sees, line by line, without borders."""
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(what, highlight=False)
    return [" ".join(line.replace("│", " ").replace("┃", " ").split()) for line in captured.get().splitlines()]


def row(lines: list[str], word: str) -> str:
    (found,) = [line for line in lines if word in line]
    return found


def test_a_decision_shows_candidates_and_what_was_left_out() -> None:
    """In order, with figures; an estimate that was never checked against outcomes is marked."""
    decision = escalated().receipt.decisions[0]
    decision.routes[1].estimates.calibrated = True
    lines = shown(decision_table(decision))

    assert row(lines, "why mini") == "1 mini 1024x1280 medium $0.0410 9 / 20 0.60* why mini"
    assert row(lines, "why large") == "2 large 1024x1280 medium $0.0410 9 / 20 0.60 why large"
    assert row(lines, "45 s") == "slow latency 45 s > 8 s"
    assert row(lines, "confidence") == "rules: text-heavy · confidence 0.75 · * not calibrated"


def test_a_decision_that_left_nothing_out() -> None:
    """No empty table; a decision without rules says so."""
    decision = escalated().receipt.decisions[1]
    decision.ClearField("rule_ids")
    lines = shown(decision_table(decision))

    assert not [line for line in lines if "Left out" in line]
    assert row(lines, "rules: none")


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"size": "1024x1280", "quality": "low", "count": 1}, "1024x1280 low"),
        ({"aspect_ratio": "4:5", "image_size": "2K", "count": 3}, "4:5 2K x3"),
        ({}, ""),
    ],
)
def test_parameters_fit_in_a_cell(asked: dict[str, object], text: str) -> None:
    """Size or ratio and tier, quality, count if there is more than one."""
    assert parameters(route_pb2.RouteParameters(**asked)) == text  # type: ignore[arg-type]


def test_a_task_in_one_line() -> None:
    """What was understood, without a word of the prompt."""
    task = task_pb2.Task(
        mode=task_pb2.MODE_EDIT,
        content_class=task_pb2.CONTENT_CLASS_STRUCTURED_TEXT,
        prompt="a secret poster",
        languages=["en", "ja"],
        output=task_pb2.OutputSpec(count=2, aspect_ratio="4:5"),
        references=[task_pb2.Reference()],
        lineage=task_pb2.Lineage(depth=3),
        features=task_pb2.Features(text_deliverable="poster", text_heavy=True, same_character=True),
    )
    expected = (
        "edit · structured text · poster · text heavy · same character · depth 3 · 1 references · en/ja · 4:5 · x2"
    )

    assert task_line(task).plain == expected
    assert task_line(empty().task).plain == "generate · language unknown · 4:5 · x1"


def test_an_image_in_a_few_lines() -> None:
    """State, cost and time; each attempt with its step; why; whatever is not as asked."""
    image = escalated()
    image.receipt.negotiations.add(
        kind=task_pb2.NEGOTIATION_KIND_MAPPED,
        field="output.width",
        requested="1000",
        applied="1024",
        reason="multiples",
    )
    image.receipt.negotiations.add(kind=task_pb2.NEGOTIATION_KIND_DROPPED, field="output.background", reason="cannot")
    image.receipt.warnings.add(message="the language is a guess")

    assert shown(image_summary(image)) == [
        "images/i succeeded $0.0440 2.8 s",
        "1. initial: mini → succeeded (charged)",
        "2. escalation: large → succeeded (charged)",
        "why: why d1",
        "mapped: output.width 1000 → 1024 (multiples)",
        "dropped: output.background (cannot)",
        "note: the language is a guess",
    ]


def test_an_image_that_failed_or_runs() -> None:
    """Why not; an image that has not ended has no time."""
    failed = empty("FAILED")
    failed.error.message = "the policy blocked it"

    assert shown(image_summary(failed)) == ["images/i failed $0.0000", "the policy blocked it"]
    assert shown(image_summary(empty("RUNNING"))) == ["images/i running $0.0000"]


def test_a_list_of_images() -> None:
    """A row each, in the given order, with the reason of those that failed."""
    failed = empty("FAILED")
    failed.name, failed.error.message = "images/j", "no route"
    lines = shown(images_table([escalated(), failed]))

    assert row(lines, "images/i") == "images/i succeeded 2026-11-22 12:00:00 1"
    assert row(lines, "images/j") == "images/j failed 2026-11-22 12:00:00 0 no route"


def test_attempts_that_have_not_ended() -> None:
    """Their state stands for the outcome."""
    assert outcome_text(attempt_pb2.Attempt(state=attempt_pb2.ATTEMPT_STATE_SENT)) == "sent"


def events() -> list[tuple[images.ImageEvent, str]]:
    image = escalated()
    receipt = image.receipt
    sent = attempt_pb2.Attempt(number=2, route=route_pb2.Route(model="large"))
    preview = images.Preview(attempt_id="a", index=1)
    preview.artifact.digest = "ab" * 32
    return [
        (images.ImageEvent(accepted=image.task), "accepted: generate · language unknown · 4:5 · x1"),
        (images.ImageEvent(decision=receipt.decisions[1]), "escalation: large: why d2"),
        (images.ImageEvent(attempt_sent=sent), "attempt 2 sent to large"),
        (images.ImageEvent(preview=preview), "preview 1: abababababab"),
        (images.ImageEvent(attempt_ended=receipt.attempts[0]), "attempt 1: succeeded (charged)"),
        (images.ImageEvent(evaluation=receipt.evaluations[0]), f"verdict: {verdict_text(receipt.evaluations[0])}"),
        (images.ImageEvent(ended=image), "ended: succeeded"),
        (images.ImageEvent(), "an event that this version does not know"),
    ]


@pytest.mark.parametrize(("event", "text"), events(), ids=lambda value: value if isinstance(value, str) else "")
def test_each_event_is_a_line(event: images.ImageEvent, text: str) -> None:
    """Time, and what happened; one of a later version is no crash."""
    event.time.FromDatetime(BEGAN)

    assert event_line(event) == f"12:00:00.000  {text}"


def test_every_kind_of_event_has_its_line() -> None:
    """A kind that is added to the contract is missed here."""
    known = {event.WhichOneof("event") for event, _ in events()} - {None}

    assert known == {field.name for field in images.ImageEvent.DESCRIPTOR.oneofs_by_name["event"].fields}


def test_the_demo_s_totals() -> None:
    """By model: first choices, attempts, steps and cost; the caption counts images, files and money."""
    retried = empty("FAILED")
    attempt(retried, "a", "d", "mini", 0.1, kind="PROVIDER_ERROR", phase="REJECTED", cost=0)
    attempt(retried, "b", "d", "mini", 0.2, kind="PROVIDER_ERROR", phase="REJECTED", cost=0, step="RETRY")
    lines = shown(totals_table([escalated(), retried]))

    assert row(lines, "mini") == "mini 2 3 1 - - - $0.0050"
    assert row(lines, "large") == "large - 1 - - 1 - $0.0390"
    assert row(lines, "of 2 images") == "1 of 2 images made, 1 files, $0.0440"


def test_the_demo_s_prompts() -> None:
    """The path over models, each named once, and the steps that led there; a prompt without a title has its id."""
    drawn = [({"id": "p1", "title": ""}, escalated()), ({"id": "p2", "title": "t" * 50}, empty("FAILED"))]
    lines = shown(prompts_table(drawn))

    assert row(lines, "p1") == "01 p1 mini → large why d1 $0.0440 escalation succeeded"
    assert row(lines, "t" * 34) == f"02 {'t' * 34} $0.0000 - failed"

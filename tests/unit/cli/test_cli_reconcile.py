"""The ledger's books against the providers' journals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.cli.reconcile import Books, compare


def image(**attempts: tuple[str, int, int]) -> images.Image:
    """An image whose attempts have these states, costs and reservations, by id."""
    made = images.Image()
    for name, (state, cost, reserved) in attempts.items():
        made.receipt.attempts.add(
            attempt_id=name,
            state=attempt_pb2.AttemptState.Value(f"ATTEMPT_STATE_{state}"),
            reserved_micros=reserved,
            outcome=attempt_pb2.Outcome(cost_micros=cost),
        )
    return made


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    return tmp_path


def bill(journals: Path, provider: str, *entries: tuple[str, int]) -> None:
    """A provider's journal: attempts and prices."""
    lines = [json.dumps({"correlation_id": name, "price_micros": price, "model": "m"}) for name, price in entries]
    (journals / f"{provider}.jsonl").write_text("".join(line + "\n" for line in lines))


PAID = ("SUCCEEDED", 40, 60)
FREE = ("REJECTED", 0, 60)
UNKNOWN = ("UNKNOWN", 0, 60)


def test_books_that_agree(journals: Path) -> None:
    """All journals count, all images count, what was free was not billed, failures may cost."""
    bill(journals, "openai", ("a", 40), ("d", 7))
    bill(journals, "google", ("c", 40))
    books = compare([image(a=PAID, b=FREE), image(c=PAID, d=("FAILED_CHARGED", 7, 60))], journals)

    assert books == Books(87, 87, 0, 0, 0, (), (), ())
    assert books.balanced
    assert "agree to the micro-dollar" in books.lines()[0]


def test_nothing_made_and_nothing_billed(journals: Path) -> None:
    """Empty books agree."""
    assert compare([], journals).balanced


@pytest.mark.parametrize("billed", [[("a", 41)], [("a", 39)], []], ids=["more", "less", "not at all"])
def test_a_cost_that_differs_is_named(journals: Path, billed: list[tuple[str, int]]) -> None:
    """A single micro-dollar is a difference."""
    bill(journals, "openai", *billed)
    books = compare([image(a=PAID)], journals)

    assert books.wrong == ("a",)
    assert not books.balanced
    assert "costs differ: attempt a" in books.lines()
    assert "DO NOT AGREE" in books.lines()[0]


def test_differences_that_cancel_out_do_not_balance(journals: Path) -> None:
    """Equal sums are not enough."""
    bill(journals, "openai", ("a", 30), ("b", 50))
    books = compare([image(a=PAID, b=PAID)], journals)

    assert books.ledger == books.journal
    assert books.wrong == ("a", "b")
    assert not books.balanced


def test_what_was_free_must_not_be_billed(journals: Path) -> None:
    """An attempt that was held for rejected, and was executed, is a wrong one."""
    bill(journals, "openai", ("a", 40))

    assert compare([image(a=FREE)], journals).wrong == ("a",)


def test_executed_twice(journals: Path) -> None:
    """Invariant 1: two lines for one attempt, in one journal or in two, even if the sum is what the ledger says."""
    bill(journals, "openai", ("a", 20), ("b", 40))
    bill(journals, "google", ("a", 20))
    books = compare([image(a=PAID, b=PAID)], journals)

    assert books.twice == ("a",)
    assert not books.wrong
    assert not books.balanced
    assert "executed twice: attempt a" in books.lines()


def test_executed_without_a_decision(journals: Path) -> None:
    """A line for an attempt that no receipt knows, free of charge or not."""
    bill(journals, "openai", ("a", 40), ("x", 0))
    books = compare([image(a=PAID)], journals)

    assert books.strangers == ("x",)
    assert not books.balanced
    assert "executed without a decision: x" in books.lines()


def test_unknown_outcomes_are_covered_by_their_reservations(journals: Path) -> None:
    """Billed or not, an unknown attempt is no difference: it stands beside the sum, with what is set aside for it."""
    bill(journals, "openai", ("a", 40), ("b", 55))
    books = compare([image(a=PAID, b=UNKNOWN), image(c=UNKNOWN)], journals)

    assert books == Books(40, 95, 2, 55, 120, (), (), ())
    assert books.balanced
    assert books.lines()[1].startswith("2 attempts of unknown outcome")


def test_an_unknown_attempt_executed_twice_is_still_a_fault(journals: Path) -> None:
    """Not knowing is no leave to send again."""
    bill(journals, "openai", ("a", 40), ("a", 40))

    assert not compare([image(a=UNKNOWN)], journals).balanced

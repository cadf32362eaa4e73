"""The tree of hops, from a receipt alone."""

from __future__ import annotations

import pytest
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from imagerouter.api.errors.v1 import error_reason_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.cli.tree import trace_tree
from tests.unit.cli.receipts import attempt, decision, empty, escalated, hop, verdict


def plain(tree: Tree) -> str:
    """A node's own label."""
    return tree.label.plain if isinstance(tree.label, Text) else str(tree.label)


def branch(tree: Tree, *words: str) -> Tree:
    """The one branch whose label has these words."""
    (found,) = [child for child in tree.children if all(word in plain(child) for word in words)]
    return found


def below(tree: Tree) -> list[str]:
    """All labels under a node, in order."""
    return [label for child in tree.children for label in (plain(child), *below(child))]


def test_every_hop_is_shown_once_and_in_its_place() -> None:
    """Planning at the root, each route with its decision, calls to adapter and evaluator under their attempt."""
    tree = trace_tree(escalated())
    lines = below(tree)

    assert [line for line in lines if "Normalize" in line] == ["+  0.000 s  normalizer.Normalize  5 ms"]
    assert sum("router.Route" in line for line in lines) == 2
    for number, model, at in ((1, "mini", "0.310"), (2, "large", "1.610")):
        under = below(branch(tree, f"attempt {number}: {model}"))
        assert f"+  {at} s  adapter-openai.Generate  1000 ms" in under
        assert sum("evaluator.Evaluate" in line for line in under) == 1
        assert sum("Generate" in line for line in under) == 1
    assert sum("Generate" in line for line in lines) == 2


def test_each_decision_has_its_own_route_call() -> None:
    """Step, reason, candidates with costs and what was left out stand under the call that gave them."""
    tree = trace_tree(escalated())
    first, second = below(branch(tree, "router.Route", "11 ms")), below(branch(tree, "router.Route", "22 ms"))

    assert first == [
        "initial: why d1",
        "→ mini 1024x1280 medium  $0.0410",
        "  large 1024x1280 medium  $0.0410",
        "left out, latency: slow",
    ]
    assert second == ["escalation: why d2", "→ large 1024x1280 medium  $0.0410"]


def test_verdicts_and_failed_checks_are_shown() -> None:
    """Why an output was not good enough is under its attempt; checks that were passed are no news."""
    tree = trace_tree(escalated())
    missed, good = below(branch(tree, "attempt 1")), below(branch(tree, "attempt 2"))

    assert "escalate, p accept 0.50: because of a1" in missed
    assert "✗ blank: one colour" in missed
    assert not [line for line in missed if "format" in line]
    assert "accept, p accept 0.50: because of a2" in good
    assert not [line for line in good if "✗" in line]


def test_failed_checks_of_the_attempt_as_a_whole_are_shown() -> None:
    """A refusal has no output to hang its check on."""
    image = empty("FAILED")
    decision(image, "d1", "INITIAL", "mini")
    attempt(image, "a1", "d1", "mini", 0.3, kind="REFUSED", phase="REJECTED", cost=0)
    verdict(image, "a1", "STOP", 1.0)
    image.receipt.evaluations[0].checks.add(name="refusal", detail="refused at input")

    assert "✗ refusal: refused at input" in below(branch(trace_tree(image), "attempt 1"))


def test_the_root_says_how_it_ended_and_what_it_cost() -> None:
    """Name, state, cost, trace; an image that failed says why."""
    image = escalated()
    image.receipt.trace_id = "0af7"
    failed = empty("FAILED")
    failed.error.message = "2 attempts failed"
    failed.error.reason = error_reason_pb2.ERROR_REASON_ATTEMPTS_EXHAUSTED

    assert plain(trace_tree(image)) == "images/i  succeeded  $0.0440  trace 0af7"
    assert plain(trace_tree(failed)) == "images/i  failed  $0.0000"
    assert below(trace_tree(failed))[-1] == "gave up: 2 attempts failed"


def test_times_count_from_the_first_call() -> None:
    """Planning comes before the row is written: nothing has a negative time."""
    lines = below(trace_tree(escalated()))

    assert not [line for line in lines if "+ -" in line or "+-" in line]
    assert next(line for line in lines if "attempt 1" in line).startswith("+  0.300 s")


def test_outcomes_say_phase_code_and_estimate() -> None:
    """How an attempt failed, whether it may have been paid for, and whether the figure is ours."""
    image = empty("FAILED")
    decision(image, "d1", "INITIAL", "mini")
    bad = attempt(image, "a1", "d1", "mini", 0.3, kind="RATE_LIMITED", phase="REJECTED", cost=0)
    bad.outcome.http_status, bad.outcome.provider_code = 429, "rate_limit_exceeded"
    attempt(image, "a2", "d1", "mini", 0.4, kind="MALFORMED_REPLY", phase="CHARGED").outcome.cost_estimated = True
    hop(image, 0.5, "evaluator.Evaluate", attempt="a2", code="UNAVAILABLE")
    tree = trace_tree(image)

    assert "rate limited (rejected HTTP 429 rate_limit_exceeded)  $0.0000" in plain(branch(tree, "attempt 1"))
    assert "malformed reply (charged)  $0.0390 (estimate)" in plain(branch(tree, "attempt 2"))
    assert plain(branch(branch(tree, "attempt 2"), "Evaluate")).endswith("5 ms  UNAVAILABLE")


def reset_at_planning() -> images.Image:
    """A deep chain: the first answer of the router asks for a reset, the second is the decision that is kept."""
    image = empty()
    for at_s, call, ms in (
        (0.0, "normalizer.Normalize", 1),
        (0.02, "router.Route", 2),
        (0.04, "normalizer.MergeInstructions", 3),
        (0.06, "normalizer.Normalize", 4),
        (0.08, "router.Route", 77),
    ):
        hop(image, at_s, call, ms=ms)
    decision(image, "d1", "RESET", "mini")
    attempt(image, "a1", "d1", "mini", 0.3, step="RESET")
    verdict(image, "a1", "ACCEPT", 1.4)
    return image


def test_a_reset_routes_twice_and_keeps_one_decision() -> None:
    """Both calls are shown; the decision stands under the second, which gave it."""
    tree = trace_tree(reset_at_planning())

    assert branch(tree, "router.Route", " 2 ms").children == []
    assert below(branch(tree, "router.Route", "77 ms"))[0] == "reset: why d1"
    assert sum("normalizer" in line for line in below(tree)) == 3


def test_a_reset_with_a_later_escalation() -> None:
    """The call that was superseded shifts no later decision."""
    image = reset_at_planning()
    hop(image, 1.5, "router.Route", ms=88)
    decision(image, "d2", "ESCALATION", "large")
    tree = trace_tree(image)

    assert below(branch(tree, "router.Route", "77 ms"))[0] == "reset: why d1"
    assert below(branch(tree, "router.Route", "88 ms"))[0] == "escalation: why d2"


def test_the_call_that_found_no_route_gave_no_decision() -> None:
    """An image that gave up has one route call more than decisions: each decision stays under the call that gave it."""
    image = escalated()
    image.state = images.IMAGE_STATE_FAILED
    hop(image, 2.9, "router.Route", ms=33, code="FAILED_PRECONDITION")
    tree = trace_tree(image)

    assert below(branch(tree, "router.Route", "11 ms"))[0] == "initial: why d1"
    assert below(branch(tree, "router.Route", "22 ms"))[0] == "escalation: why d2"
    assert branch(tree, "router.Route", "33 ms", "FAILED_PRECONDITION").children == []


def test_a_decision_whose_call_is_not_on_record() -> None:
    """The hops of an orchestrator that died are lost; what it decided and tried is shown all the same."""
    image = empty()
    decision(image, "d1", "INITIAL", "mini")
    attempt(image, "a1", "d1", "mini", 0.3, kind="CONNECTION_FAILED", phase="SENT_UNKNOWN", cost=0)
    del image.receipt.hops[:]
    tree = trace_tree(image)

    assert "initial: why d1" in below(tree)
    assert branch(tree, "attempt 1", "sent unknown")


@pytest.mark.parametrize("text", ["rule [text-heavy]", "[/x]", "[bold]"])
def test_reasons_are_no_markup(text: str) -> None:
    """Whatever a policy's words are, they are shown as they are."""
    image = empty()
    hop(image, 0.1, "router.Route")
    decision(image, "d1", "INITIAL", "mini", reason=text)
    console = Console(width=150)
    with console.capture() as shown:
        console.print(trace_tree(image), highlight=False)

    assert text in shown.get()

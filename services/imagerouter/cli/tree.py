"""The tree of hops of an image, from its receipt alone: it needs no trace backend."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from rich.text import Text
from rich.tree import Tree

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.cli.output import dollars, short
from imagerouter.cli.tables import outcome_text, parameters, state_text, task_line, verdict_text


def trace_tree(image: images.Image) -> Tree:
    """All hops with their times, under the attempts they belong to, with route, reasons, verdicts and costs."""
    start = image.create_time
    for hop in image.receipt.hops:  # planning comes before the row is written
        start = min(start, hop.start_time, key=Timestamp.ToDatetime)
    began = start.ToDatetime()
    receipt = image.receipt
    root = Tree(
        Text.assemble(
            (image.name, "bold"), "  ", state_text(image.state), f"  {dollars(receipt.cost_micros)}",
            (f"  trace {receipt.trace_id}" if receipt.trace_id else "", "dim"),
        )
    )  # fmt: skip
    root.add(task_line(image.task))
    decisions = list(receipt.decisions)
    attempts = {decision.decision_id: [] for decision in decisions}  # type: dict[str, list[attempt_pb2.Attempt]]
    for attempt in receipt.attempts:
        attempts.setdefault(attempt.decision_id, []).append(attempt)
    shared = [hop for hop in receipt.hops if not hop.attempt_id]
    calls = [hop for hop in shared if hop.service == "router"]
    routed = [hop for hop in calls if hop.code == "OK"]  # the others gave no decision
    first_route = len(routed) - len(decisions)  # a reset at planning time routes twice and keeps one decision
    for hop in [hop for hop in shared if hop.service != "router"] + routed[: max(0, first_route)]:
        root.add(_hop(hop, began))
    for index, decision in enumerate(decisions):
        place = first_route + index
        branch = root.add(_hop(routed[place], began) if 0 <= place < len(routed) else Text("router.Route"))
        _explain(branch, decision)
        for attempt in attempts[decision.decision_id]:
            _attempt(root, attempt, image, began)
    for hop in calls:
        if hop.code != "OK":
            root.add(_hop(hop, began))
    if image.error.message:
        root.add(Text(f"gave up: {image.error.message}", style="red"))
    return root


def _at(moment: datetime, began: datetime) -> str:
    return f"+{(moment - began).total_seconds():7.3f} s"


def _hop(hop: images.Hop, began: datetime) -> Text:
    took = hop.duration.ToTimedelta().total_seconds() * 1000
    text = Text(f"{_at(hop.start_time.ToDatetime(), began)}  {hop.service}.{hop.method}  {took:.0f} ms")
    if hop.code != "OK":
        text.append(f"  {hop.code}", style="red")
    return text


def _explain(branch: Tree, decision: route_pb2.Decision) -> None:
    step = short(decision.step, route_pb2.Step, "STEP_")
    branch.add(Text(f"{step}: {decision.reason}"))
    for place, route in enumerate(decision.routes[:4]):
        mark = "→" if place == 0 else " "
        cost = dollars(route.estimates.cost_micros)
        asked = parameters(route.parameters)
        branch.add(Text(f"{mark} {route.model} {asked}  {cost}", style="" if place == 0 else "dim"))
    left_out: dict[str, list[str]] = {}
    for exclusion in decision.exclusions:
        reason = short(exclusion.reason, route_pb2.ExclusionReason, "EXCLUSION_REASON_")
        left_out.setdefault(reason, []).append(exclusion.model)
    for reason, models in left_out.items():
        branch.add(Text(f"left out, {reason}: {', '.join(models)}", style="dim"))


def _attempt(root: Tree, attempt: attempt_pb2.Attempt, image: images.Image, began: datetime) -> None:
    cost = attempt.outcome.cost_micros
    good = attempt.outcome.kind == attempt_pb2.OUTCOME_KIND_SUCCEEDED
    branch = root.add(
        Text.assemble(
            f"{_at(attempt.create_time.ToDatetime(), began)}  attempt {attempt.number}: {attempt.route.model}  ",
            (outcome_text(attempt), "green" if good else "red"),
            f"  {dollars(cost)}{' (estimate)' if attempt.outcome.cost_estimated else ''}",
        )
    )
    findings = [each for each in image.receipt.evaluations if each.attempt_id == attempt.attempt_id]
    looked = branch  # the hop may be lost with the orchestrator that made it, the verdict is not
    for hop in image.receipt.hops:
        if hop.attempt_id == attempt.attempt_id:
            node = branch.add(_hop(hop, began))
            if hop.service == "evaluator":
                looked = node
            else:
                _timing(node, attempt.outcome.timing)
    for evaluation in findings:
        _verdict(looked, evaluation)


def _timing(node: Tree, timing: attempt_pb2.AttemptTiming) -> None:
    parts = {
        "references": timing.fetch_duration,
        "provider": timing.provider_duration,
        "store": timing.store_duration,
    }
    spent = [f"{name} {part.ToTimedelta().total_seconds() * 1000:.0f} ms" for name, part in parts.items()]
    node.add(Text(" · ".join(spent), style="dim"))


def _verdict(node: Tree, evaluation: evaluation_pb2.Evaluation) -> None:
    accepted = evaluation.verdict == evaluation_pb2.VERDICT_ACCEPT
    node.add(Text(verdict_text(evaluation), style="green" if accepted else "red"))
    checks = [*evaluation.checks, *(check for output in evaluation.outputs for check in output.checks)]
    for check in checks:
        if not check.passed:
            node.add(Text(f"✗ {check.name}: {check.detail}", style="red"))

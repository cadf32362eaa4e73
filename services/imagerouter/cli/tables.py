"""Tables: what was decided, what was tried, what is there."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.cli.output import dollars, short


def task_line(task: task_pb2.Task) -> Text:
    """A task in one line."""
    features = task.features
    traits = [
        short(task.mode, task_pb2.Mode, "MODE_"),
        short(task.content_class, task_pb2.ContentClass, "CONTENT_CLASS_"),
        *([features.text_deliverable] if features.text_deliverable else []),
        *(
            name.replace("_", " ")
            for name in ("text_heavy", "preserve_subject", "same_character", "vague", "bulk")
            if getattr(features, name)
        ),
        *([f"depth {task.lineage.depth}"] if task.lineage.depth else []),
        *([f"{len(task.references)} references"] if task.references else []),
        "/".join(task.languages) or "language unknown",
        task.output.aspect_ratio,
        f"x{task.output.count}",
    ]
    return Text(" · ".join(trait for trait in traits if trait and trait != "unspecified"))


def decision_table(decision: route_pb2.Decision) -> RenderableType:
    """Candidates in order, and everything that was left out."""
    routes = Table(title=f"Routes, policy {decision.policy_version}", title_justify="left")
    for heading, justify in (("", "right"), ("model", "left"), ("parameters", "left"), ("cost", "right")):
        routes.add_column(heading, justify=justify, no_wrap=heading != "parameters")  # type: ignore[arg-type]
    for heading in ("p50 / p95 s", "p accept"):
        routes.add_column(heading, justify="right", no_wrap=True)
    routes.add_column("why")
    for place, route in enumerate(decision.routes, start=1):
        estimates = route.estimates
        routes.add_row(
            str(place),
            route.model,
            parameters(route.parameters),
            dollars(estimates.cost_micros),
            f"{estimates.latency_p50_ms / 1000:.0f} / {estimates.latency_p95_ms / 1000:.0f}",
            f"{estimates.p_accept:.2f}" + ("" if estimates.calibrated else "*"),
            Text(route.reasons[0] if route.reasons else ""),
            style="bold" if place == 1 else "",
        )
    excluded = Table(title="Left out", title_justify="left")
    for heading in ("model", "constraint", "detail"):
        excluded.add_column(heading)
    for exclusion in decision.exclusions:
        reason = short(exclusion.reason, route_pb2.ExclusionReason, "EXCLUSION_REASON_")
        excluded.add_row(exclusion.model, reason, Text(exclusion.detail), style="dim")
    rules = ", ".join(decision.rule_ids) or "none"
    footer = Text(f"rules: {rules} · confidence {decision.confidence:.2f} · * not calibrated", style="dim")
    return Group(routes, *([excluded] if decision.exclusions else []), footer)


def parameters(asked: route_pb2.RouteParameters) -> str:
    """What is asked of a model, in one cell."""
    size = asked.size or " ".join(part for part in (asked.aspect_ratio, asked.image_size) if part)
    return " ".join(part for part in (size, asked.quality, f"x{asked.count}" if asked.count > 1 else "") if part)


def images_table(found: Sequence[images.Image]) -> Table:
    """Images, one a row."""
    table = Table()
    for heading in ("image", "state", "created", "files", "why not"):
        table.add_column(heading)
    for image in found:
        table.add_row(
            image.name,
            state_text(image.state),
            image.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S"),
            str(len(image.artifacts)),
            Text(image.error.message),
        )
    return table


_STATE_STYLES = {
    images.IMAGE_STATE_SUCCEEDED: "green",
    images.IMAGE_STATE_FAILED: "red",
    images.IMAGE_STATE_CANCELLED: "yellow",
}


def state_text(state: images.ImageState.ValueType) -> Text:
    """A state in its colour."""
    return Text(short(state, images.ImageState, "IMAGE_STATE_"), style=_STATE_STYLES.get(state, "cyan"))


def outcome_text(attempt: attempt_pb2.Attempt) -> str:
    """How an attempt stands, in a few words."""
    if not attempt.HasField("outcome"):
        return short(attempt.state, attempt_pb2.AttemptState, "ATTEMPT_STATE_")
    outcome = attempt.outcome
    words = short(outcome.kind, attempt_pb2.OutcomeKind, "OUTCOME_KIND_")
    phase = short(outcome.phase, attempt_pb2.Phase, "PHASE_")
    code = f" {outcome.provider_code}" if outcome.provider_code else ""
    http = f" HTTP {outcome.http_status}" if outcome.http_status and outcome.http_status != 200 else ""
    return f"{words} ({phase}{http}{code})"


def verdict_text(evaluation: evaluation_pb2.Evaluation) -> str:
    """A verdict with its reason."""
    verdict = short(evaluation.verdict, evaluation_pb2.Verdict, "VERDICT_")
    return f"{verdict}, p accept {evaluation.p_accept:.2f}: {evaluation.reason}"


def image_summary(image: images.Image) -> RenderableType:
    """An image in a few lines: state, route, cost, files, and whatever was not done as asked."""
    receipt = image.receipt
    head = Text.assemble((image.name, "bold"), "  ", state_text(image.state), f"  {dollars(receipt.cost_micros)}")
    if image.HasField("end_time"):
        seconds = (image.end_time.ToDatetime() - image.create_time.ToDatetime()).total_seconds()
        head.append(f"  {seconds:.1f} s")
    lines: list[RenderableType] = [head]
    if image.error.message:
        lines.append(Text(f"  {image.error.message}", style="red"))
    for attempt in receipt.attempts:
        step = short(attempt.step, route_pb2.Step, "STEP_")
        lines.append(Text(f"  {attempt.number}. {step}: {attempt.route.model} → {outcome_text(attempt)}"))
    if receipt.decisions:
        lines.append(Text(f"  why: {receipt.decisions[0].reason}"))
    for change in receipt.negotiations:
        kind = short(change.kind, task_pb2.NegotiationKind, "NEGOTIATION_KIND_")
        wish = f"{change.requested} → " if change.requested else ""
        lines.append(Text(f"  {kind}: {change.field} {wish}{change.applied} ({change.reason})", style="dim"))
    lines.extend(Text(f"  note: {warning.message}", style="yellow") for warning in receipt.warnings)
    return Group(*lines)

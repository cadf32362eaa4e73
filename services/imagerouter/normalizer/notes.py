"""What the caller should know: warnings, and the differences between what was asked for and what the task says."""

from __future__ import annotations

from imagerouter.api.common.v1 import task_pb2

SERVICE = "normalizer"


class Notes:
    """Collects them in the order in which they came up. Quotes no prompt."""

    def __init__(self) -> None:
        self.warnings: list[task_pb2.Warning] = []
        self.negotiations: list[task_pb2.Negotiation] = []

    def warn(self, field: str, code: str, message: str) -> None:
        """Note something that did not stop the request."""
        self.warnings.append(task_pb2.Warning(field=field, code=code, message=message))

    def defaulted(self, field: str, applied: str, reason: str) -> None:
        """Note a value that nobody asked for."""
        self._add(field, "", applied, task_pb2.NEGOTIATION_KIND_DEFAULTED, reason)

    def mapped(self, field: str, requested: str, applied: str, reason: str) -> None:
        """Note a wish that was turned into something else."""
        self._add(field, requested, applied, task_pb2.NEGOTIATION_KIND_MAPPED, reason)

    def dropped(self, field: str, requested: str, reason: str) -> None:
        """Note a wish that was left out."""
        self._add(field, requested, "", task_pb2.NEGOTIATION_KIND_DROPPED, reason)

    def _add(
        self, field: str, requested: str, applied: str, kind: task_pb2.NegotiationKind.ValueType, reason: str
    ) -> None:
        self.negotiations.append(
            task_pb2.Negotiation(
                field=field, requested=requested, applied=applied, kind=kind, reason=reason, service=SERVICE
            )
        )

"""The error for a task that no model can do: one line for each model, within the size that statuses may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from imagerouter.api.common.v1 import route_pb2
from imagerouter.runtime.errors import PreconditionFailed

# gRPC statuses travel as headers of 8 KiB at most in many proxies; ours are kept to 4 KiB with all their details.
_METADATA_BYTES = 3000
_LINE_BYTES = 240


def no_route(exclusions: Sequence[route_pb2.Exclusion]) -> PreconditionFailed:
    """Make the error: reason NO_ROUTE, metadata from model id to "REASON: detail", at most 3,000 bytes of it.

    Lines that do not fit are left out, the least telling first (models that were never in question), and `omitted`
    says how many.
    """
    names = [_name(exclusion) for exclusion in exclusions]
    lines = {exclusion.model: _line(exclusion) for exclusion in sorted(exclusions, key=_closeness)}
    metadata: dict[str, str] = {}
    room = _METADATA_BYTES
    for model, line in lines.items():
        room -= len(model.encode()) + len(line.encode())
        if room < 0:
            metadata["omitted"] = str(len(lines) - len(metadata))
            break
        metadata[model] = line
    counts = ", ".join(f"{name} {number}" for name, number in sorted(Counter(names).items()))
    return PreconditionFailed(f"no model passes the hard constraints ({counts})", reason="NO_ROUTE", metadata=metadata)


def _name(exclusion: route_pb2.Exclusion) -> str:
    return route_pb2.ExclusionReason.Name(exclusion.reason).removeprefix("EXCLUSION_REASON_")


def _line(exclusion: route_pb2.Exclusion) -> str:
    return f"{_name(exclusion)}: {exclusion.detail}".encode()[:_LINE_BYTES].decode(errors="ignore")


def _closeness(exclusion: route_pb2.Exclusion) -> tuple[bool, str]:
    never = (route_pb2.EXCLUSION_REASON_NOT_ACTIVE, route_pb2.EXCLUSION_REASON_NOT_ALLOWED)
    return exclusion.reason in never, exclusion.model

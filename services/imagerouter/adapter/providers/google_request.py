"""From a call to Gemini's contents and configuration, as plain values. Pure.

Sources: providers.md 2.1 (parameters) and 3.2 (the shapes on the wire).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from imagerouter.adapter.negotiation import asked, dropped, roles
from imagerouter.adapter.provider import Call, Picture, Unsendable
from imagerouter.api.common.v1 import task_pb2

# Knobs of other models: the Developer API has none of them, and its SDK refuses some before sending.
_FOREIGN: Final = (
    ("size", "output.width", "the model takes ratio and tier, not pixels"),
    ("output_format", "output.format", "the model decides on the format"),
)


@dataclass(frozen=True)
class GoogleRequest:
    """One user turn: the prompt, then the pictures, the base first. Empty strings are left to the model.

    Earlier turns are not sent along: a parent's picture is an ordinary input, so no thought signature is owed and the
    whole chain need not be paid for again.
    """

    model: str
    prompt: str
    pictures: tuple[Picture, ...]
    aspect_ratio: str
    image_size: str
    thinking_level: str
    negotiations: tuple[task_pb2.Negotiation, ...]


def to_request(call: Call) -> GoogleRequest:
    """Map a call. Unsendable if it needs a mask or transparency, which these models do not have."""
    if call.mask is not None:
        raise Unsendable("the model takes no mask")
    parameters = call.route.parameters
    if parameters.background == "transparent":
        raise Unsendable("the model draws no transparent background")
    wish = asked(call)
    unused = [dropped(field, value, reason) for name, field, reason in _FOREIGN if (value := getattr(parameters, name))]
    thinks = parameters.quality if parameters.quality in call.model.thinking else ""
    if parameters.quality and not thinks:
        unused.append(dropped("output.quality", parameters.quality, "the model has no such setting"))
    return GoogleRequest(
        model=call.route.model,
        prompt=call.task.prompt,
        pictures=call.references,
        aspect_ratio=parameters.aspect_ratio,
        image_size=parameters.image_size,
        thinking_level=thinks.upper(),
        negotiations=(*wish.negotiations, *roles(call), *unused),
    )

"""From a call to the OpenAI SDK's arguments. Pure.

Sources: providers.md 1.2 (parameters) and 3.1 (what the SDK makes of them on the wire).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from imagerouter.adapter.negotiation import asked, dropped, roles
from imagerouter.adapter.provider import Call, Picture
from imagerouter.api.common.v1 import task_pb2

# What the catalogue's models of ratio and tier have, and these have not.
_FOREIGN: Final = (("aspect_ratio", "output.aspect_ratio"), ("image_size", "output.size_tier"))
_OWN: Final = ("size", "quality", "background", "output_format")


@dataclass(frozen=True)
class OpenAIRequest:
    """Keyword arguments of `images.generate` or, if `edit`, of `images.edit`. `stream` is asked for with previews."""

    edit: bool
    stream: bool
    arguments: dict[str, Any]
    negotiations: tuple[task_pb2.Negotiation, ...]


def to_request(call: Call) -> OpenAIRequest:
    """Map a call. References make it an edit: the generations endpoint takes none."""
    wish = asked(call)
    parameters = call.route.parameters
    arguments: dict[str, Any] = {"model": call.route.model, "prompt": call.task.prompt, "n": wish.count}
    arguments |= {name: value for name in _OWN if (value := getattr(parameters, name))}
    if wish.previews:
        arguments |= {"stream": True, "partial_images": wish.previews}
    if call.references:
        arguments["image"] = [_file("reference", number, picture) for number, picture in enumerate(call.references)]
    if call.mask is not None:
        arguments["mask"] = _file("mask", 0, call.mask)
    unused = [
        dropped(field, value, "the model takes pixels, not ratio and tier")
        for name, field in _FOREIGN
        if (value := getattr(parameters, name))
    ]
    return OpenAIRequest(
        edit=bool(call.references),
        stream=wish.previews > 0,
        arguments=arguments,
        negotiations=(*wish.negotiations, *roles(call), *unused),
    )


def _file(name: str, number: int, picture: Picture) -> tuple[str, bytes, str]:
    """Return what the SDK makes a form part of: its name says the type, and nothing of the caller's."""
    return f"{name}-{number}.{picture.media_type.removeprefix('image/')}", picture.data, picture.media_type

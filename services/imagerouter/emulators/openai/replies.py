"""The Images API's answers: one JSON object, or server-sent events with pictures in the making."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from imagerouter.emulators.engine import Engine, Order
from imagerouter.emulators.exchange import Call
from imagerouter.emulators.openai.rules import Wanted


def facts(wanted: Wanted) -> dict[str, Any]:
    """What an answer repeats of the request, every "auto" resolved."""
    return {
        "size": f"{wanted.width}x{wanted.height}",
        "quality": wanted.quality,
        "background": wanted.background,
        "output_format": wanted.format,
    }


def usage(order: Order) -> dict[str, Any]:
    """The usage object."""
    tally = order.usage
    inputs, outputs = tally.input_text + tally.input_image, tally.output_image + tally.output_text
    return {
        "total_tokens": inputs + outputs,
        "input_tokens": inputs,
        "output_tokens": outputs,
        "input_tokens_details": {"text_tokens": tally.input_text, "image_tokens": tally.input_image},
        "output_tokens_details": {"text_tokens": tally.output_text, "image_tokens": tally.output_image},
    }


def whole(engine: Engine, wanted: Wanted, order: Order, stages: Sequence[Sequence[str]]) -> dict[str, Any]:
    """An `ImagesResponse`."""
    return {
        "created": int(engine.now().timestamp()),
        **facts(wanted),
        "data": [{"b64_json": each[-1]} for each in stages],
        "usage": usage(order),
    }


async def events(
    engine: Engine, call: Call, wanted: Wanted, order: Order, drawn: asyncio.Future[list[list[str]]]
) -> AsyncIterator[bytes]:
    """The event stream: the pictures in the making at even intervals of the latency, then the finished ones.

    Each piece is one event. Raises Gone when the client leaves.
    """
    kind = "image_edit" if order.operation == "edit" else "image_generation"
    step = engine.duration(order) / (wanted.partial_images + 1)
    await call.pause(step)
    stages = await drawn
    common = {"created_at": int(engine.now().timestamp()), **facts(wanted)}
    for index in range(wanted.partial_images):
        for image in stages:
            body = {"partial_image_index": index, "b64_json": image[index], **common}
            yield _event(f"{kind}.partial_image", body)
        await call.pause(step)
        await call.pause(call.fault.event_delay_s)
    fault = call.fault.stream
    if fault:
        if fault != "no_completed":
            yield _failure(nested=fault == "error_nested")
        return
    for image in stages:
        yield _event(f"{kind}.completed", {"b64_json": image[-1], **common, "usage": usage(order)})


def _event(kind: str, body: dict[str, Any]) -> bytes:
    data = json.dumps({"type": kind, **body}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


def _failure(*, nested: bool) -> bytes:
    error = {
        "type": "image_generation_server_error",
        "code": "image_generation_failed",
        "message": "Image generation failed.",
        "param": None,
    }
    body = {"type": "error", "error": error} if nested else {**error, "type": "error"}
    return f"event: error\ndata: {json.dumps(body, separators=(',', ':'))}\n\n".encode()

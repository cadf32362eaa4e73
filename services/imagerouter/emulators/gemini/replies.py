"""generateContent's answers: the parts of a candidate, usage by modality, and the stream form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pybase64

from imagerouter.emulators.engine import Order
from imagerouter.emulators.exchange import Call
from imagerouter.emulators.faults import Fault
from imagerouter.emulators.gemini.rules import Wanted

Json = dict[str, Any]


def usage(order: Order, thoughts: int) -> Json:
    """`usageMetadata`; `thoughts` of the text output are thought tokens, which stand outside the candidates'."""
    tally = order.usage
    words = tally.output_text - thoughts
    prompt = tally.input_text + tally.input_image
    candidates = tally.output_image + words
    details = [{"modality": "TEXT", "tokenCount": tally.input_text}]
    if tally.input_image:
        details.append({"modality": "IMAGE", "tokenCount": tally.input_image})
    body: Json = {
        "promptTokenCount": prompt,
        "totalTokenCount": prompt + candidates + thoughts,
        "promptTokensDetails": details,
        "serviceTier": "standard",
    }
    if candidates:
        body["candidatesTokenCount"] = candidates
        counted = (("IMAGE", tally.output_image), ("TEXT", words))
        body["candidatesTokensDetails"] = [{"modality": name, "tokenCount": count} for name, count in counted if count]
    if thoughts:
        body["thoughtsTokenCount"] = thoughts
    return body


def signature(order: Order, number: int) -> str:
    """A thought signature: opaque to the caller, and to be sent back with the part that carries it."""
    digest = hashlib.sha512(f"{order.request_hash}/{number}".encode()).digest()
    return pybase64.b64encode(b"\x12\xa8\x01\n" + digest * 2).decode()


def image_part(data: str, mime_type: str) -> Json:
    """An inline picture."""
    return {"inlineData": {"mimeType": mime_type, "data": data}}


def parts(
    wanted: Wanted, order: Order, stages: Sequence[str], mime_type: str, fault: Fault, *, thinks: bool, signs: bool
) -> list[Json]:
    """The candidate's parts in order: thoughts, an interim picture, words, and the picture last."""
    found: list[Json] = []
    if thinks and wanted.include_thoughts:
        thought = f"**Composing the picture**\n\nI'm laying out {wanted.width}x{wanted.height} pixels for the request."
        found.append({"text": thought, "thought": True})
        if len(stages) > 1:
            found.append({**image_part(stages[0], mime_type), "thought": True})
    if fault.payload == "text_only" or not wanted.image:
        found.append({"text": "I can describe that picture, but I have not drawn one."})
        return found
    if wanted.words:
        found.append({"text": "Here is your image: "})
    last = image_part(stages[-1], mime_type)
    if signs:
        last["thoughtSignature"] = signature(order, len(found))
    if fault.payload == "thought_image":
        last["thought"] = True
    found.append(last)
    return found


def response(call_id: str, order: Order, found: Sequence[Json], reason: str, counted: Json, fault: Fault) -> Json:
    """A `GenerateContentResponse`. An image finish reason comes without content, a block without candidates."""
    body: Json = {}
    if fault.block_reason:
        body["promptFeedback"] = {"blockReason": fault.block_reason}
    else:
        candidate: Json = {"content": {"parts": list(found), "role": "model"}, "finishReason": reason, "index": 0}
        if fault.payload == "no_parts" or not found:
            candidate["content"] = {"role": "model"}
        if reason not in ("STOP", ""):
            candidate["finishMessage"] = f"Unable to show the generated image ({reason})."
        if not reason:
            del candidate["finishReason"]
        body["candidates"] = [candidate]
    return {**body, "usageMetadata": counted, "modelVersion": order.model.id, "responseId": call_id}


async def events(call: Call, chunks: Sequence[Json], *, sse: bool) -> AsyncIterator[bytes]:
    """The stream form: one whole response a chunk; without `alt=sse` one JSON array in pieces."""
    failing = call.fault.stream
    for index, chunk in enumerate(chunks):
        last = index == len(chunks) - 1
        if last and failing:
            if failing == "no_completed":
                return
            error = {
                "error": {
                    "code": 503,
                    "message": "The model is overloaded. Please try again later.",
                    "status": "UNAVAILABLE",
                }
            }
            yield _chunk(error, index, last=last, sse=sse)
            return
        yield _chunk(chunk, index, last=last, sse=sse)
        if not last:
            await call.pause(call.fault.event_delay_s)


def _chunk(body: Json, index: int, *, last: bool, sse: bool) -> bytes:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    if sse:
        return f"data: {text}\r\n\r\n".encode()
    return f"{'[' if index == 0 else ','}{text}{']' if last else ''}\r\n".encode()

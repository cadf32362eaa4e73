"""The Gemini emulator: routes, credentials, headers, and a request's way from bytes to a candidate."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from typing import Any

from imagerouter.catalogue import Model
from imagerouter.emulators import tokens
from imagerouter.emulators.engine import Answer, Engine, Order, hash_of
from imagerouter.emulators.exchange import Call, Events, Receive, Reply, Scope, Send, fill_in, json_reply, spoiled
from imagerouter.emulators.faults import Fault
from imagerouter.emulators.gemini import replies
from imagerouter.emulators.gemini.errors import invalid, refused
from imagerouter.emulators.gemini.rules import Wanted, check, signs
from imagerouter.emulators.gemini.schema import canonical
from imagerouter.emulators.pricing import Tally
from imagerouter.emulators.render.artwork import Artwork, Format

# The Developer API's paths and Vertex's, which put the publisher (and the project) before the model.
_PATH = re.compile(
    r"/(?P<version>v1|v1beta|v1beta1)/(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/google/)?models"
    r"(?:/(?P<model>[^/:]+)(?::(?P<verb>\w+))?)?"
)
_VERBS = ("generateContent", "streamGenerateContent")
# Phrases in a prompt that the filters take offence at (docs/emulators.md).
_TRIGGERS = {
    "[[emulate:moderation]]": Fault(block_reason="PROHIBITED_CONTENT"),
    "[[emulate:moderation-output]]": Fault(finish_reason="IMAGE_SAFETY"),
}
# Tokens of the words that come beside a picture, "Here is your image: ".
_WORDS = 6
# How the share of thought tokens varies, in percent of the catalogue's expectation.
_THOUGHTS = (60, 140)


class GeminiApi:
    """Gemini's generateContent over an engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        await self.engine.serve(self, scope, receive, send)

    def headers(self, call: Call) -> dict[str, str]:
        """The headers of every answer."""
        return {
            "vary": "Origin, X-Origin, Referer",
            "x-gemini-service-tier": "standard",
            "x-content-type-options": "nosniff",
            "server-timing": f"gfet4t7; dur={call.record.number}",
        }

    def fill(self, body: object, call: Call) -> object:
        """A fault's body with the model filled in."""
        return fill_in(body, {"model": call.record.model})

    async def answer(self, call: Call) -> Answer:
        """Answer a call; Refused for Google's own errors."""
        match = _PATH.fullmatch(call.path)
        if match is None:
            raise refused(404, "Requested entity was not found.")
        authorize(call)
        name, verb = match["model"] or "", match["verb"] or ""
        if call.method == "GET" and not verb:
            return await self._read(call, name)
        model = self.engine.find(name)
        if call.method != "POST" or verb not in _VERBS or model is None:
            supported = (
                f"is not found for API version {match['version']}, or is not supported for {verb or 'this method'}"
            )
            raise refused(404, f"models/{name} {supported}. Call ListModels to see the list of available models.")
        wanted = await asyncio.to_thread(_parse, call.body, model)
        operation = "edit" if wanted.references else "generate"
        self.engine.strike(call, model.id, operation, wanted.instruction)
        await self.engine.refuse_if_ordered(call, self.fill)
        for phrase, fault in _TRIGGERS.items():
            if phrase in wanted.instruction:
                call.fault = fault
        thoughts = self._thoughts(model, call, wanted)
        order = self._order(call, model, name, wanted, operation, thoughts)
        await self.engine.begin(call, order)
        stages = await self.engine.work(call, order)
        chunks = self._chunks(call, wanted, order, stages[0] if stages else [], thoughts)
        if verb == "streamGenerateContent":
            sse = call.query.get("alt") == "sse"
            kind = "text/event-stream" if sse else "application/json; charset=UTF-8"
            return Events(replies.events(call, chunks, sse=sse), media_type=kind)
        body: dict[str, Any] = chunks[-1] if len(chunks) == 1 else _joined(chunks)
        reply = json_reply(200, body)
        reply.media_type = "application/json; charset=UTF-8"
        return spoiled(reply, call.fault.payload)

    async def _read(self, call: Call, name: str) -> Reply:
        """Models, one or all."""
        self.engine.strike(call, name, "models", "")
        await self.engine.refuse_if_ordered(call, self.fill)
        rows = [_described(model) for model in self.engine.offered()]
        if not name:
            return json_reply(200, {"models": rows})
        row = next((each for each in rows if each["name"] == f"models/{name}"), None)
        if row is None:
            raise refused(404, f"models/{name} is not found for API version v1.")
        return json_reply(200, row)

    def _thoughts(self, model: Model, call: Call, wanted: Wanted) -> int:
        """Thought tokens: about what the catalogue expects, varied by the request; none of a blocked prompt."""
        if not model.thinking or call.fault.block_reason:
            return 0
        low, high = _THOUGHTS
        chance = int(hashlib.sha256(wanted.text.encode()).hexdigest()[:8], 16) % (high - low)
        return model.tokens.words.expected * (low + chance) // 100

    def _order(self, call: Call, model: Model, name: str, wanted: Wanted, operation: str, thoughts: int) -> Order:
        drawn = wanted.image and not _no_picture(call.fault)
        size = f"{wanted.width}x{wanted.height}"
        files = [hashlib.sha256(each.data).hexdigest() for each in wanted.references]
        settings = {key: value for key, value in wanted.settings.items() if key != "thinkingConfig"}
        request = {"model": model.id, "text": wanted.text, "files": files, "turns": wanted.turns, "settings": settings}
        request_hash = hash_of(request, self.engine.seed)
        has_words = not call.fault.block_reason and (not drawn or wanted.words)
        usage = Tally(
            input_text=tokens.prompt_tokens(model, wanted.text),
            input_image=wanted.pictures * tokens.reference_tokens(model, 1024, 1024),
            output_image=tokens.output_tokens(model, "", wanted.width, wanted.height, wanted.tier) if drawn else 0,
            output_text=thoughts + (_WORDS if has_words else 0),
        )
        artwork = Artwork(
            prompt=wanted.instruction,
            width=wanted.width,
            height=wanted.height,
            seed=request_hash,
            inputs=tuple(each.data for each in wanted.references if each.image is not None),
            format=_format(model, wanted),
            compression=92,
            previews=1 if wanted.include_thoughts and "always" in model.thinking else 0,
            spoil=call.fault.image,
        )
        return Order(
            model=model,
            model_requested=name,
            operation=operation,
            prompt=wanted.instruction,
            n=1 if drawn else 0,
            size=size,
            quality="",
            tier=wanted.tier,
            usage=usage,
            request_hash=request_hash,
            artworks=(artwork,) if drawn else (),
        )

    def _chunks(
        self, call: Call, wanted: Wanted, order: Order, stages: list[str], thoughts: int
    ) -> list[dict[str, Any]]:
        """The response in the pieces that the stream form sends: thoughts and words first, the picture last."""
        fault = call.fault
        reason = fault.finish_reason or "STOP"
        call_id = order.request_hash[:8] + f"{call.record.number:014x}"
        counted = replies.usage(order, thoughts)
        if _no_picture(fault) and fault.payload != "text_only":
            return [replies.response(call_id, order, [], reason, counted, fault)]
        mime_type = f"image/{order.artworks[0].format}" if order.artworks else ""
        found = replies.parts(
            wanted, order, stages, mime_type, fault, thinks=bool(order.model.thinking), signs=signs(order.model)
        )
        early = [replies.response(call_id, order, [part], "", {}, fault) for part in found[:-1]]
        for each in early:
            del each["usageMetadata"]
        return [*early, replies.response(call_id, order, found[-1:], reason, counted, fault)]


def _joined(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The unary answer: the last chunk with the parts of all."""
    whole = chunks[-1]
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"].get("parts", [])]
    whole["candidates"][0]["content"]["parts"] = parts
    return whole


def _parse(body: bytes, model: Model) -> Wanted:
    try:
        sent = json.loads(body)
    except ValueError:
        raise invalid("Invalid JSON payload received. Unexpected end of string. Expected a value.") from None
    return check(canonical(sent), model, len(body))


def _no_picture(fault: Fault) -> bool:
    """Whether the fault is one after which there is no picture, and none to pay for."""
    no_image = fault.finish_reason not in ("", "STOP")
    return bool(fault.block_reason) or no_image or fault.payload in ("text_only", "no_parts")


def _format(model: Model, wanted: Wanted) -> Format:
    """The provider decides: large pictures come as jpeg where the model has it."""
    return "jpeg" if wanted.tier == "4K" and "jpeg" in model.output.returned_formats else "png"


def _described(model: Model) -> dict[str, Any]:
    return {
        "name": f"models/{model.id}",
        "version": str(model.released),
        "displayName": model.title,
        "inputTokenLimit": 65536,
        "outputTokenLimit": 32768,
        "supportedGenerationMethods": ["generateContent", "countTokens", "batchGenerateContent"],
        "temperature": 1,
        "topP": 0.95,
        "thinking": bool(model.thinking),
    }


def authorize(call: Call) -> None:
    """Any key will do, but for one that begins `invalid`; Vertex's bearer tokens likewise. Refused (401, 403)."""
    bearer = call.headers.get("authorization", "").removeprefix("Bearer ")
    key = call.headers.get("x-goog-api-key") or call.query.get("key") or bearer
    if not key:
        raise refused(
            403,
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or "
            "other form of API consumer identity to call this API.",
        )
    if key.startswith("invalid"):
        raise refused(401, "Request had invalid authentication credentials. Expected a valid API key.")

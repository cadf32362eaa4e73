"""The OpenAI emulator: routes, credentials, headers, and a request's way from bytes to pictures."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time
from typing import Any

from imagerouter.catalogue import Model
from imagerouter.emulators import latency, tokens
from imagerouter.emulators.engine import Answer, Engine, Order, hash_of
from imagerouter.emulators.exchange import Call, Events, Receive, Reply, Scope, Send, fill_in, json_reply, spoiled
from imagerouter.emulators.openai import replies
from imagerouter.emulators.openai.errors import missing, model_not_found, moderation_blocked, refused
from imagerouter.emulators.openai.parse import Form, parse
from imagerouter.emulators.openai.rules import Wanted, check
from imagerouter.emulators.pricing import Tally
from imagerouter.emulators.render.artwork import Artwork

_POSTS = {"/v1/images/generations": "generate", "/v1/images/edits": "edit"}
# What the tier-5 rate limits are in images and tokens a minute (providers.md 1.6). Counted and told, not enforced.
_IMAGES_PER_MINUTE = 250
_TOKENS_PER_MINUTE = 8_000_000
# Phrases in a prompt that the safety system takes offence at, and the stage at which it does (docs/emulators.md).
_TRIGGERS = {"[[emulate:moderation]]": "input", "[[emulate:moderation-output]]": "output"}


class OpenAiApi:
    """OpenAI's Images API over an engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._latest: deque[float] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        await self.engine.serve(_Bound(self, scope), scope, receive, send)

    def headers(self, call: Call) -> dict[str, str]:
        """The headers of every answer."""
        now = self.engine.now().timestamp()
        while self._latest and self._latest[0] < now - 60:
            self._latest.popleft()
        self._latest.append(now)
        left = max(0, _IMAGES_PER_MINUTE - len(self._latest))
        reset = f"{60 - (now - self._latest[0]):.3f}s"
        return {
            "x-request-id": request_id(self.engine.seed, call),
            "openai-organization": "org-emulated",
            "openai-version": "2020-10-01",
            "x-ratelimit-limit-requests": str(_IMAGES_PER_MINUTE),
            "x-ratelimit-remaining-requests": str(left),
            "x-ratelimit-reset-requests": reset,
            "x-ratelimit-limit-tokens": str(_TOKENS_PER_MINUTE),
            "x-ratelimit-remaining-tokens": str(_TOKENS_PER_MINUTE),
            "x-ratelimit-reset-tokens": "0s",
            "x-ratelimit-limit-input-images": str(_IMAGES_PER_MINUTE),
            "x-ratelimit-remaining-input-images": str(left),
            "x-ratelimit-reset-input-images": reset,
        }

    def fill(self, body: object, call: Call) -> object:
        """A fault's body: the model and request id filled in; an empty param or code is null."""
        filled = fill_in(body, {"model": call.record.model, "request_id": request_id(self.engine.seed, call)})
        if isinstance(filled, dict) and isinstance(filled.get("error"), dict):
            error = filled["error"]
            filled["error"] = {key: (None if value == "" else value) for key, value in error.items()}
        return filled

    async def answer(self, call: Call, scope: Scope) -> Answer:
        """Answer a call; Refused for OpenAI's own errors."""
        began = asyncio.get_running_loop().time()
        authorize(call)
        operation = _POSTS.get(call.path)
        if operation is None or call.method != "POST":
            return await self._read(call)
        form = await parse(call, scope)
        name = form.text("model")
        if not name:
            raise missing("model")
        model = self.engine.find(name)
        if model is None:
            raise model_not_found(name)
        wanted = await asyncio.to_thread(check, form, model, edit=operation == "edit")
        fault = self.engine.strike(call, model.id, operation, wanted.prompt)
        await self.engine.refuse_if_ordered(call, self.fill)
        for phrase, stage in _TRIGGERS.items():
            if phrase in wanted.prompt:
                raise moderation_blocked(stage, ("violence",), request_id(self.engine.seed, call))
        order = self._order(call, form, model, name, wanted, operation)
        await self.engine.begin(call, order)
        if wanted.stream:
            return await self._stream(call, wanted, order)
        stages = await self.engine.work(call, order)
        body: dict[str, Any] = replies.whole(self.engine, wanted, order, stages)
        if fault.payload == "data_null":
            body["data"] = None
        took = round((asyncio.get_running_loop().time() - began) * 1000)
        return spoiled(json_reply(200, body, {"openai-processing-ms": str(took)}), fault.payload)

    async def _read(self, call: Call) -> Reply:
        """Models, one or all; 404 for any other path."""
        prefix = "/v1/models"
        name = call.path.removeprefix(f"{prefix}/") if call.path.startswith(f"{prefix}/") else ""
        if call.method != "GET" or (call.path != prefix and not name):
            raise refused(404, f"Invalid URL ({call.method} {call.path})", None)
        self.engine.strike(call, name, "models", "")
        await self.engine.refuse_if_ordered(call, self.fill)
        rows = [
            {"id": each, "object": "model", "created": _created(model), "owned_by": "system"}
            for model in self.engine.offered()
            for each in (model.id, *model.aliases)
        ]
        if not name:
            return json_reply(200, {"object": "list", "data": rows})
        row = next((each for each in rows if each["id"] == name), None)
        if row is None:
            raise model_not_found(name)
        return json_reply(200, row)

    def _order(self, call: Call, form: Form, model: Model, name: str, wanted: Wanted, operation: str) -> Order:
        size = f"{wanted.width}x{wanted.height}"
        files = [hashlib.sha256(data).hexdigest() for data in (*form.images, form.mask, form.markup)]
        request = {
            "model": model.id,
            "operation": operation,
            "prompt": wanted.prompt,
            "files": files,
            "output": [wanted.n, size, wanted.quality, wanted.background, wanted.format, wanted.compression],
        }
        request_hash = hash_of(request, self.engine.seed)
        tier = latency.tier_of(wanted.width, wanted.height)
        single = Tally(
            input_text=tokens.prompt_tokens(model, wanted.prompt),
            input_image=sum(tokens.reference_tokens(model, *each.size) for each in wanted.images),
            output_image=tokens.output_tokens(model, wanted.quality, wanted.width, wanted.height, tier)
            + model.tokens.preview * wanted.partial_images,
        )
        artworks = tuple(
            Artwork(
                prompt=wanted.prompt,
                width=wanted.width,
                height=wanted.height,
                seed=request_hash,
                index=index,
                inputs=tuple(form.images),
                mask=form.mask,
                markup=form.markup,
                transparent=wanted.background == "transparent",
                format=wanted.format,
                compression=wanted.compression,
                previews=wanted.partial_images,
                spoil=call.fault.image,
            )
            for index in range(wanted.n)
        )
        usage = single.times(wanted.n)
        return Order(
            model, name, operation, wanted.prompt, wanted.n, size, wanted.quality, tier, usage, request_hash, artworks
        )

    async def _stream(self, call: Call, wanted: Wanted, order: Order) -> Events:
        await call.pause(call.fault.delay_s)
        self.engine.drop_if_ordered(call)
        drawn = asyncio.ensure_future(self.engine.studio.draw(order.artworks))
        return Events(_closing(replies.events(self.engine, call, wanted, order, drawn), drawn))


class _Bound:
    """The API together with the scope of one request, which a multipart parser needs."""

    def __init__(self, api: OpenAiApi, scope: Scope) -> None:
        self._api, self._scope = api, scope
        self.fill, self.headers = api.fill, api.headers

    async def answer(self, call: Call) -> Answer:
        return await self._api.answer(call, self._scope)


async def _closing(pieces: AsyncIterator[bytes], drawn: asyncio.Future[list[list[str]]]) -> AsyncIterator[bytes]:
    try:
        async for piece in pieces:
            yield piece
    finally:
        drawn.cancel()


def authorize(call: Call) -> None:
    """Any key that begins `sk-` will do, but for `sk-invalid…`. Refused (401) otherwise."""
    scheme, _, key = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        message = (
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
            "auth (i.e. Authorization: Bearer YOUR_KEY)."
        )
        raise refused(401, message, None)
    if not key.startswith("sk-") or key.startswith("sk-invalid"):
        message = (
            "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."
        )
        raise refused(401, message, "invalid_api_key")


def request_id(seed: int, call: Call) -> str:
    """The request's id, from its number: the same run has the same ids."""
    return "req_" + hashlib.sha256(f"{seed}/{call.record.number}".encode()).hexdigest()[:32]


def _created(model: Model) -> int:
    return int(datetime.combine(model.released, time(), UTC).timestamp())

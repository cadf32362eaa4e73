"""OpenAI, through its official SDK, with nothing sent twice (providers.md 1.8)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

import httpx2

from imagerouter.adapter.failures import transport_failure, unreadable, unsent
from imagerouter.adapter.pictures import Decoder
from imagerouter.adapter.provider import Call, PreviewPicture, Reply, Unsendable
from imagerouter.adapter.providers.openai_reply import OpenAIImages, read_answer, read_error, read_images, read_usage
from imagerouter.adapter.providers.openai_request import OpenAIRequest, to_request
from imagerouter.adapter.registry import ATTEMPT_HEADER, Connection
from imagerouter.adapter.rules import load_facts
from imagerouter.adapter.transport import Wire, current_wire, observed, open_http

try:
    import openai
except ImportError as error:
    raise ImportError("OpenAI's SDK is missing: pip install 'image-router[adapter-openai]'") from error

_REHEARSAL: Final = json.dumps({"created": 0, "data": []}).encode()


class OpenAIProvider:
    """OpenAI's image models over the Images API. Make it in the running loop; one for a process."""

    name: Final = "openai"
    telemetry_name: Final = "openai"

    def __init__(self, connection: Connection, decoder: Decoder) -> None:
        self._clock = connection.clock
        self._connect_timeout_s = connection.connect_timeout_s
        self._decoder = decoder
        self._facts = load_facts(self.name)
        self._client = openai.AsyncOpenAI(
            api_key=connection.api_key,
            base_url=connection.base_url,
            max_retries=0,
            http_client=open_http(
                connect_timeout_s=connection.connect_timeout_s, max_connections=connection.max_connections
            ),
        )

    def operation(self, call: Call) -> str:
        """Return the value of `gen_ai.operation.name`: our own words, the conventions have none for images."""
        return "image_edit" if call.references else "image_generation"

    async def warm(self) -> None:
        """Run both calls through the SDK against a canned answer, so that the first paid one imports nothing."""
        for edit in (False, True):
            arguments: dict[str, Any] = {"model": "rehearsal", "prompt": "rehearsal"}
            if edit:
                arguments["image"] = [("reference-0.png", b"", "image/png")]
            with observed(Wire(rehearsal=_REHEARSAL)):
                await self._send(OpenAIRequest(edit, False, arguments, ()), "rehearsal", 1.0)

    async def generate(self, call: Call) -> AsyncGenerator[PreviewPicture | Reply, None]:
        """Send one request, streamed if previews are wanted."""
        try:
            request = to_request(call)
        except Unsendable as error:
            yield Reply(unsent(error.message))
            return
        wire = current_wire()
        reply: Reply | None = None
        headers: Mapping[str, str] = {}
        try:
            answer = await self._send(request, call.attempt_id, call.read_timeout_s)
            headers = answer.headers
            if request.stream:
                async with aclosing(self._stream(answer.parse(), wire)) as items:
                    async for item in items:
                        if isinstance(item, Reply):
                            reply = item
                            break
                        yield item
            else:
                reply = await self._read(answer.content, headers, wire)
        except openai.APIStatusError as error:
            reply = self._failed(error.status_code, error.body, error.response.headers)
        except openai.APIConnectionError as error:
            reply = Reply(transport_failure(error, wire))
        except openai.APIError as error:
            # An error event in a stream, which has no status of its own.
            reply = self._failed(wire.http_status, error.body, headers)
        except Exception as error:
            reply = Reply(transport_failure(error, wire))
        if reply is None:
            # The stream ended properly and without its last event, which the SDK takes for success.
            reply = Reply(transport_failure(EOFError(), wire))
        reply.outcome.negotiations.extend(request.negotiations)
        yield reply

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _send(self, request: OpenAIRequest, attempt_id: str, read_timeout_s: float) -> Any:
        images = self._client.images.with_raw_response
        send: Any = images.edit if request.edit else images.generate
        return await send(
            **request.arguments,
            extra_headers={ATTEMPT_HEADER: attempt_id},
            timeout=httpx2.Timeout(read_timeout_s, connect=self._connect_timeout_s),
        )

    async def _read(self, body: bytes, headers: Mapping[str, str], wire: Wire) -> Reply:
        """Read a 200. The raw body, parsed by ourselves, costs a tenth of the SDK's time and memory."""
        if "html" in headers.get("content-type", ""):
            return Reply(unreadable(wire, is_page=True))
        try:
            found = read_images(await self._decoder.parse(body))
        except ValueError:
            return Reply(unreadable(wire, is_page=False))
        return await self._decode(found, headers)

    async def _decode(self, found: OpenAIImages, headers: Mapping[str, str]) -> Reply:
        decoded = [await self._decoder.picture(text) for text in found.encoded if text]
        images = tuple(picture for picture in decoded if picture is not None)
        return Reply(read_answer(found, len(images), headers), images)

    async def _stream(
        self, stream: openai.AsyncStream[Any], wire: Wire
    ) -> AsyncGenerator[PreviewPicture | Reply, None]:
        """Read the events: previews, then a Reply. Ends without one if the stream does.

        The SDK raises an error event whose error is nested and hands over one that is flat (providers.md 1.8).
        """
        headers = stream.response.headers
        async with stream:
            async for event in stream:
                kind = str(getattr(event, "type", ""))
                if kind.endswith(".partial_image"):
                    picture = await self._decoder.picture(getattr(event, "b64_json", None) or "")
                    if picture is not None:
                        yield PreviewPicture(int(getattr(event, "partial_image_index", 0)), picture)
                elif kind.endswith(".completed"):
                    found = OpenAIImages((getattr(event, "b64_json", None),), read_usage(event.to_dict().get("usage")))
                    yield await self._decode(found, headers)
                elif kind == "error":
                    yield self._failed(wire.http_status, {**event.to_dict(), "type": None}, headers)

    def _failed(self, http_status: int, body: object, headers: Mapping[str, str]) -> Reply:
        return Reply(read_error(self._facts, http_status, body, headers, self._clock()))


def open_provider(connection: Connection, decoder: Decoder) -> OpenAIProvider:
    """Return the client. Call it in the running loop."""
    return OpenAIProvider(connection, decoder)

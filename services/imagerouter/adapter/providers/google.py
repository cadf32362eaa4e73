"""Google, through its official SDK, with nothing sent twice (providers.md 2.6)."""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncGenerator
from typing import Final

from imagerouter.adapter.failures import transport_failure, unreadable, unsent
from imagerouter.adapter.pictures import Decoder
from imagerouter.adapter.provider import Call, PreviewPicture, Reply, Unsendable
from imagerouter.adapter.providers.google_reply import read_answer, read_content, read_error
from imagerouter.adapter.providers.google_request import GoogleRequest, to_request
from imagerouter.adapter.registry import ATTEMPT_HEADER, Connection
from imagerouter.adapter.rules import load_facts
from imagerouter.adapter.transport import Wire, current_wire, observed, open_http
from imagerouter.api.common.v1 import attempt_pb2

try:
    from google import genai
    from google.genai import errors, types
except ImportError as error:
    raise ImportError("Google's SDK is missing: pip install 'image-router[adapter-google]'") from error

_REHEARSAL: Final = json.dumps({"candidates": [], "modelVersion": "rehearsal"}).encode()


class GoogleProvider:
    """Gemini's image models over `generateContent`. Make it in the running loop; one for a process."""

    name: Final = "google"
    telemetry_name: Final = "gcp.gemini"

    def __init__(self, connection: Connection, decoder: Decoder) -> None:
        self._clock = connection.clock
        self._decoder = decoder
        self._facts = load_facts(self.name)
        self._http = open_http(
            connect_timeout_s=connection.connect_timeout_s, max_connections=connection.max_connections
        )
        # Every argument that an environment variable could fill is given: a stray GOOGLE_* must not change the wire.
        self._client = genai.Client(
            vertexai=False,
            api_key=connection.api_key,
            http_options=types.HttpOptions(
                base_url=connection.base_url,
                api_version=connection.api_version,
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_async_client=self._http,
            ),
        )

    def operation(self, call: Call) -> str:
        """Return the value of `gen_ai.operation.name`."""
        del call
        return "generate_content"

    async def warm(self) -> None:
        """Run a call through the SDK against a canned answer, so that the first paid one imports nothing."""
        request = GoogleRequest("rehearsal", "rehearsal", (), "", "", "", ())
        with observed(Wire(rehearsal=_REHEARSAL)):
            await self._client.aio.models.generate_content(
                model=request.model, contents=_contents(request), config=_config(request, "rehearsal", 1.0)
            )

    async def generate(self, call: Call) -> AsyncGenerator[PreviewPicture | Reply, None]:
        """Send one request. These models send no previews."""
        try:
            request = to_request(call)
            config = _config(request, call.attempt_id, call.read_timeout_s)
        except Unsendable as error:
            yield Reply(unsent(error.message))
            return
        wire = current_wire()
        try:
            answer = await self._client.aio.models.generate_content(
                model=request.model, contents=_contents(request), config=config
            )
            reply = await self._read(answer.sdk_http_response, wire)
        except errors.APIError as error:
            headers = {} if error.response is None else dict(error.response.headers)
            reply = Reply(read_error(self._facts, error.code, error.details, headers, self._clock()))
        except Exception as error:
            reply = Reply(transport_failure(error, wire))
        reply.outcome.negotiations.extend(request.negotiations)
        yield reply

    async def close(self) -> None:
        """Close the connections."""
        self._client.close()
        await self._client.aio.aclose()
        await self._http.aclose()

    async def _read(self, answer: types.HttpResponse | None, wire: Wire) -> Reply:
        """Read a 200. The SDK hands over the raw body: parsing it ourselves costs a tenth of its time and memory."""
        body = (answer.body if answer else None) or ""
        headers = (answer.headers if answer else None) or {}
        if "html" in headers.get("content-type", ""):
            return Reply(unreadable(wire, is_page=True))
        try:
            found = read_content(await self._decoder.parse(body))
        except ValueError:
            return Reply(unreadable(wire, is_page=False))
        picture = await self._decoder.picture(found.encoded) if found.encoded else None
        outcome = read_answer(self._facts, found, decoded=picture is not None)
        images = (picture,) if picture and outcome.kind == attempt_pb2.OUTCOME_KIND_SUCCEEDED else ()
        return Reply(outcome, images)


def open_provider(connection: Connection, decoder: Decoder) -> GoogleProvider:
    """Return the client. Call it in the running loop."""
    return GoogleProvider(connection, decoder)


def _contents(request: GoogleRequest) -> list[types.Content]:
    parts = [types.Part(text=request.prompt)]
    parts += [
        types.Part(inline_data=types.Blob(data=picture.data, mime_type=picture.media_type))
        for picture in request.pictures
    ]
    return [types.Content(role="user", parts=parts)]


def _config(request: GoogleRequest, attempt_id: str, read_timeout_s: float) -> types.GenerateContentConfig:
    # A level that this SDK does not know yet is passed on, with a warning.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        thinking = (
            types.ThinkingConfig(thinking_level=types.ThinkingLevel(request.thinking_level))
            if request.thinking_level
            else None
        )
    shape = types.ImageConfig(aspect_ratio=request.aspect_ratio or None, image_size=request.image_size or None)
    return types.GenerateContentConfig(
        response_modalities=["IMAGE"],
        candidate_count=1,
        image_config=shape if request.aspect_ratio or request.image_size else None,
        thinking_config=thinking,
        automatic_continuation=False,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        should_return_http_response=True,
        http_options=types.HttpOptions(timeout=int(read_timeout_s * 1000), headers={ATTEMPT_HEADER: attempt_id}),
    )

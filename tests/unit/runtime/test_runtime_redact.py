"""Nothing that is logged holds a key, a prompt or an image."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from imagerouter.api.router.v1 import router_service_pb2
from imagerouter.runtime import redact
from imagerouter.runtime.log import configure_log, get_log

PROMPT = "A canary sings «早安» over the harbour at dawn"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What a process logs, as JSON lines. Puts logging back as it was."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    out = io.StringIO()
    configure_log("DEBUG", "json", stream=out)
    yield out
    root.handlers[:], root.level = before


def _only(lines: io.StringIO) -> dict[str, object]:
    (line,) = lines.getvalue().splitlines()
    made: dict[str, object] = json.loads(line)
    return made


@pytest.mark.parametrize(
    "key",
    ["prompt", "user_prompt", "api_key", "IMAGEROUTER_API_KEY", "Authorization", "b64_json", "secret", "instructions"],
)
def test_keys_that_name_a_secret(lines: io.StringIO, key: str) -> None:
    """A value under such a key is masked, also deep inside."""
    get_log("x").info("event", **{key: "canary"}, deep={"list": [{key: "canary"}]})

    assert "canary" not in lines.getvalue()
    assert _only(lines)[key] == "[redacted]"


def test_counts_and_hashes_are_kept(lines: io.StringIO) -> None:
    """What says something about a prompt without holding it stays."""
    get_log("x").info("event", prompt_length=12, prompt_hash="sha256:ab", input_tokens=3, prompt_cached=True)

    line = _only(lines)
    assert (line["prompt_length"], line["prompt_hash"], line["input_tokens"]) == (12, "sha256:ab", 3)


@pytest.mark.parametrize(
    "text",
    [
        "key sk-proj-canary0123456789 refused",
        "GET /v1?key=AIzaCanary0123456789",
        "Authorization: Bearer canary.canary-canary",
        "postgresql://user:canary@db/x",
        "https://x/?api_key=canary",
        "canary" * 40,
    ],
)
def test_texts_shaped_like_a_credential(lines: io.StringIO, text: str) -> None:
    """Credentials and long base64 go from any text."""
    get_log("x").info("event", note=text)

    assert "canary" not in lines.getvalue().lower()


def test_known_secrets(lines: io.StringIO) -> None:
    """A secret of the configuration goes wherever it turns up, whatever it looks like."""
    redact.know_secret("hush hush")
    get_log("x").info("event", note="said hush hush twice")

    assert _only(lines)["note"] == "said [redacted] twice"


@pytest.mark.parametrize(
    "text",
    [
        PROMPT,
        repr(PROMPT),
        f"bad input {PROMPT!r}",
        f"input_value='{PROMPT[:30]}...'",
        f"…{PROMPT[9:25]}",
        f"{PROMPT}\n",
    ],
)
async def test_exception_texts_lose_the_request(lines: io.StringIO, text: str) -> None:
    """An exception that quotes the request, whole or in part, is logged without the quotation."""
    request = router_service_pb2.RouteRequest()
    request.task.prompt = PROMPT
    redact.serving(request)
    get_log("x").error("event", exc_info=ValueError(f"cannot parse: {text}"))
    redact.serving(None)

    logged = _only(lines)["exception"][0]["text"]  # type: ignore[index]
    assert logged.startswith("cannot parse: ")
    assert not any(PROMPT[i : i + 8] in logged for i in range(len(PROMPT) - 7))


def test_exceptions_keep_what_is_of_use(lines: io.StringIO) -> None:
    """An exception is logged with class, text and frames of itself and its cause, without local variables."""
    canary = "canary-local"

    def decide() -> None:
        canary_too = canary + "!"
        try:
            {}[f"{len(canary_too) and 'tier'}"]
        except KeyError as cause:
            raise RuntimeError("no policy") from cause

    with pytest.raises(RuntimeError) as caught:
        decide()
    get_log("x").error("event", exc_info=caught.value)

    first, second = _only(lines)["exception"]  # type: ignore[misc]
    assert (first["type"], first["text"], second["type"], second["text"]) == (
        "RuntimeError",
        "no policy",
        "KeyError",
        "'tier'",
    )
    assert "test_runtime_redact.py" in first["frames"][-1]
    assert canary not in lines.getvalue()


def test_standard_logging_goes_the_same_way(lines: io.StringIO) -> None:
    """What libraries log through `logging` is JSON and clean as well."""
    logging.getLogger("some.library").error("failed with %s", "Bearer canary-canary-canary")

    line = _only(lines)
    assert line["level"] == "error"
    assert "canary" not in lines.getvalue()


def test_messages_and_bytes_are_never_written(lines: io.StringIO) -> None:
    """A protobuf message or bytes as a value are masked whole."""
    request = router_service_pb2.RouteRequest()
    request.task.prompt = PROMPT
    get_log("x").info("event", request=request, data=b"canary")

    assert (_only(lines)["request"], _only(lines)["data"]) == ("[redacted]", "[redacted]")

"""What generateContent accepts from an image model: the checks of providers.md 2.1, 2.2 and 3.2."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pybase64
from PIL import Image

from imagerouter.catalogue import Model
from imagerouter.catalogue.sizing import RatioTierSize
from imagerouter.emulators.gemini.errors import invalid
from imagerouter.emulators.render.artwork import Unreadable, open_picture
from imagerouter.emulators.render.reading import read

_MODALITIES = frozenset({"TEXT", "IMAGE", "AUDIO"})
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]*={0,2}")
# What the model takes as it is and Pillow cannot decode: such a reference counts, and is not drawn from.
_OPAQUE = frozenset({"image/heic", "image/heif"})
_MAX_INLINE = 100_000_000


@dataclass(frozen=True)
class Reference:
    """A picture in the request. `image` is None for a format that we count and cannot draw from."""

    data: bytes
    mime_type: str
    image: Image.Image | None


@dataclass(frozen=True)
class Wanted:
    """A valid request. `references` are the last user turn's pictures, or else the model's last one.

    `pictures` are all of the request, which is what input tokens count; `text` is every word sent; `instruction` the
    last turn's words.
    """

    instruction: str
    text: str
    references: tuple[Reference, ...]
    pictures: int
    turns: int
    width: int
    height: int
    tier: str
    image: bool
    words: bool
    include_thoughts: bool
    settings: Mapping[str, Any]


def check(request: Mapping[str, Any], model: Model, body_bytes: int) -> Wanted:
    """Validate a canonical request. Refused (400 INVALID_ARGUMENT) says what is wrong."""
    if body_bytes > _MAX_INLINE:
        raise invalid("Request payload size exceeds the limit: 104857600 bytes.")
    contents = request.get("contents") or []
    _turns(contents)
    config = request.get("generationConfig", {})
    modalities = _generation(config, model)
    # A model turn's pictures must come back with their signatures: only the first generation knew none.
    _signatures(contents, required=cast("RatioTierSize", model.size).table_name == "gemini-3")
    by_turn = [_references(content, position) for position, content in enumerate(contents)]
    sent = [
        each
        for content, found in zip(contents, by_turn, strict=True)
        if content.get("role", "user") == "user"
        for each in found
    ]
    if len(sent) > model.limits.references:
        raise invalid(
            f"The request has {len(sent)} input images; the model supports at most {model.limits.references}."
        )
    latest = by_turn[-1] or next((found[-1:] for found in reversed(by_turn) if found), [])
    instruction = _text(contents[-1])
    if not instruction and not latest:
        raise invalid(
            "Unable to submit request because it must have a text parameter. Add a text parameter and try again."
        )
    tier, ratio = _size(config.get("imageConfig", {}), model, latest, instruction)
    width, height = cast("RatioTierSize", model.size).pixels[cast("Any", tier)][ratio]
    spoken = " ".join(filter(None, (_text(request.get("systemInstruction", {})), *(_text(each) for each in contents))))
    return Wanted(
        instruction=instruction,
        text=spoken,
        references=tuple(latest),
        pictures=sum(len(found) for found in by_turn),
        turns=len(contents),
        width=width,
        height=height,
        tier=tier,
        image="IMAGE" in modalities,
        words="TEXT" in modalities,
        include_thoughts=bool(config.get("thinkingConfig", {}).get("includeThoughts", False)),
        settings=config,
    )


def signs(model: Model) -> bool:
    """Whether the model's pictures carry a thought signature and must come back with it: not the first generation's."""
    return cast("RatioTierSize", model.size).table_name == "gemini-3"


def _turns(contents: Sequence[Mapping[str, Any]]) -> None:
    if not contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified", "contents")
    for position, content in enumerate(contents):
        role = content.get("role", "user")
        if role not in ("user", "model"):
            raise invalid("Please use a valid role: user, model.")
        if not content.get("parts"):
            name = f"contents[{position}].parts"
            raise invalid(f"* GenerateContentRequest.{name}: contents.parts must not be empty.", name)
        for number, part in enumerate(content["parts"]):
            if not set(part) - {"thought", "thoughtSignature"}:
                name = f"contents[{position}].parts[{number}].data"
                raise invalid(
                    f"* GenerateContentRequest.{name}: required oneof field 'data' must have one initialized field",
                    name,
                )
    if contents[-1].get("role", "user") != "user":
        raise invalid("Please ensure that multiturn requests end with a user turn.")


def _generation(config: Mapping[str, Any], model: Model) -> frozenset[str]:
    asked = config.get("responseModalities") or ["TEXT", "IMAGE"]
    modalities = frozenset(str(each).upper() for each in asked)
    if not modalities <= _MODALITIES:
        wrong = sorted(modalities - _MODALITIES)[0]
        field = "generation_config.response_modalities[0]"
        kind = "type.googleapis.com/google.ai.generativelanguage.v1.GenerationConfig.Modality"
        raise invalid(f"Invalid value at '{field}' ({kind}), \"{wrong}\"", field)
    if "AUDIO" in modalities:
        raise invalid("The requested combination of response modalities is not supported by the model.")
    if config.get("candidateCount", 1) != 1:
        raise invalid("Multiple candidates is not enabled for this model")
    for name, low, high in (("temperature", 0.0, 2.0), ("topP", 0.0, 1.0)):
        value = config.get(name)
        if value is not None and not (isinstance(value, int | float) and low <= value <= high):
            snake = "top_p" if name == "topP" else name
            message = (
                f"* GenerateContentRequest.generation_config.{snake}: {snake} must be in the range [{low}, {high}]."
            )
            raise invalid(message, f"generation_config.{snake}")
    _thinking(config.get("thinkingConfig", {}), model)
    return modalities


def _thinking(config: Mapping[str, Any], model: Model) -> None:
    level = str(config.get("thinkingLevel", "")).lower()
    if not config:
        return
    if not model.thinking:
        raise invalid("Thinking is not enabled for this model.")
    if level and level != "thinking_level_unspecified" and level not in model.thinking:
        raise invalid(f"Thinking level {level.upper()} is not supported for this model.")


def _signatures(contents: Sequence[Mapping[str, Any]], *, required: bool) -> None:
    for position, content in enumerate(contents, start=1):
        for number, part in enumerate(content["parts"], start=1):
            signature = part.get("thoughtSignature")
            if signature is not None:
                if not isinstance(signature, str) or not signature or _decode(signature) is None:
                    raise invalid("Thought signature is not valid.")
            elif required and content.get("role") == "model" and "inlineData" in part and not part.get("thought"):
                raise invalid(
                    f"Image part is missing a thought_signature in content position {position}, part position {number}."
                )


def _references(content: Mapping[str, Any], position: int) -> list[Reference]:
    found = []
    for number, part in enumerate(content["parts"]):
        if "fileData" in part:
            raise invalid("Cannot fetch content from the provided URL: the emulator reaches no network.")
        if "inlineData" not in part or part.get("thought"):
            continue
        path = f"contents[{position}].parts[{number}].inline_data"
        data = _decode(part["inlineData"].get("data", ""))
        if data is None:
            raise invalid(f"Invalid value at '{path}.data' (TYPE_BYTES), Base64 decoding failed", f"{path}.data")
        found.append(_reference(data, str(part["inlineData"].get("mimeType", ""))))
    return found


def _reference(data: bytes, mime_type: str) -> Reference:
    if mime_type in _OPAQUE:
        if data[4:8] != b"ftyp":
            raise invalid(
                "Unable to process input image. Please retry or report in https://ai.google.dev/gemini-api/docs/troubleshooting"
            )
        return Reference(data, mime_type, None)
    if mime_type not in ("image/png", "image/jpeg", "image/webp"):
        raise invalid(f"Unsupported MIME type: {mime_type}")
    try:
        return Reference(data, mime_type, open_picture(data))
    except Unreadable:
        raise invalid(
            "Unable to process input image. Please retry or report in https://ai.google.dev/gemini-api/docs/troubleshooting"
        ) from None


def _decode(text: object) -> bytes | None:
    """Base64 in either alphabet, with or without padding; None if it is neither."""
    if not isinstance(text, str) or not _BASE64.fullmatch(text):
        return None
    plain = text.translate(str.maketrans("-_", "+/", "\r\n \t")).rstrip("=")
    try:
        return pybase64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        return None


def _text(content: Mapping[str, Any]) -> str:
    return " ".join(
        str(part["text"]) for part in content.get("parts", []) if "text" in part and not part.get("thought")
    )


def _size(
    config: Mapping[str, Any], model: Model, references: Sequence[Reference], instruction: str
) -> tuple[str, str]:
    rule = cast("RatioTierSize", model.size)
    tier = config.get("imageSize")
    if tier is not None and not rule.tier_parameter:
        raise invalid("Image size is not supported for this model.")
    if tier is not None and tier not in rule.tiers:
        allowed = ", ".join(f"'{each}'" for each in rule.tiers)
        raise invalid(f"Invalid value for image_size: '{tier}'. image_size must be one of: {allowed}.")
    ratio = config.get("aspectRatio")
    if ratio is not None and ratio not in rule.ratios:
        allowed = ", ".join(f"'{each}'" for each in rule.ratios)
        raise invalid(f"Invalid value for aspect_ratio: '{ratio}'. aspect_ratio must be one of: {allowed}.")
    default = "1K" if "1K" in rule.tiers else rule.tiers[0]
    return tier or default, ratio or _natural_ratio(rule, references, instruction)


def _natural_ratio(rule: RatioTierSize, references: Sequence[Reference], instruction: str) -> str:
    """Without a ratio the model takes over the input's, or picks one that suits."""
    image = next((each.image for each in references if each.image is not None), None)
    wish = (
        image.width / image.height
        if image
        else {"poster": 0.75, "flyer": 0.75, "slide": 16 / 9}.get(read(instruction).layout, 1.0)
    )

    def distance(ratio: str) -> float:
        width, _, height = ratio.partition(":")
        return abs(int(width) / int(height) - wish)

    return min(rule.ratios, key=distance)

"""The request's JSON as proto3 reads it: camelCase and snake_case alike, unknown names refused by their path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from imagerouter.emulators.gemini.errors import invalid

# A leaf is any value; a dict is an object of these fields; a list of one dict is an array of such objects.
_ANY: Final = object()
_PART: Final = {
    "text": _ANY,
    "thought": _ANY,
    "thoughtSignature": _ANY,
    "inlineData": {"mimeType": _ANY, "data": _ANY, "displayName": _ANY},
    "fileData": {"mimeType": _ANY, "fileUri": _ANY, "displayName": _ANY},
    "functionCall": _ANY,
    "functionResponse": _ANY,
    "executableCode": _ANY,
    "codeExecutionResult": _ANY,
    "videoMetadata": _ANY,
    "mediaResolution": _ANY,
    "partMetadata": _ANY,
}
_CONTENT: Final = {"role": _ANY, "parts": [_PART]}
_GENERATION: Final = {
    "responseModalities": _ANY,
    "imageConfig": {"aspectRatio": _ANY, "imageSize": _ANY},
    "thinkingConfig": {"includeThoughts": _ANY, "thinkingLevel": _ANY, "thinkingBudget": _ANY},
    **dict.fromkeys(
        ("candidateCount", "seed", "temperature", "topP", "topK", "maxOutputTokens", "stopSequences"), _ANY
    ),
    **dict.fromkeys(("responseMimeType", "responseSchema", "responseJsonSchema", "presencePenalty"), _ANY),
    **dict.fromkeys(("frequencyPenalty", "responseLogprobs", "logprobs", "mediaResolution", "speechConfig"), _ANY),
    "enableEnhancedCivicAnswers": _ANY,
}
REQUEST: Final = {
    "model": _ANY,
    "contents": [_CONTENT],
    "systemInstruction": _CONTENT,
    "generationConfig": _GENERATION,
    "safetySettings": [{"category": _ANY, "threshold": _ANY, "method": _ANY}],
    "tools": [{"googleSearch": _ANY, "googleSearchRetrieval": _ANY, "functionDeclarations": _ANY, "urlContext": _ANY}],
    **dict.fromkeys(("toolConfig", "cachedContent", "serviceTier", "continuationToken", "labels", "store"), _ANY),
}


def canonical(value: object, schema: object = REQUEST, path: str = "") -> Any:
    """`value` with camelCase names throughout. Refused (400) for a name or a type that the schema lacks."""
    if schema is _ANY:
        return value
    if isinstance(schema, list):
        # proto3 JSON takes a single object where a list is due.
        values = value if isinstance(value, list) else [value]
        return [canonical(each, schema[0], f"{path}[{index}]") for index, each in enumerate(values)]
    if not isinstance(value, Mapping):
        raise invalid(f"Invalid value at '{path}' (type.googleapis.com), an object was expected", path)
    known: Mapping[str, object] = schema if isinstance(schema, Mapping) else {}
    result: dict[str, Any] = {}
    for name, each in value.items():
        camel = re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)
        if camel not in known:
            at = f" at '{path}'" if path else ""
            message = f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
            raise invalid(message, path)
        if each is not None:
            result[camel] = canonical(each, known[camel], f"{path}.{_snake(camel)}".lstrip("."))
    return result


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", name)

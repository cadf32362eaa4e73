"""The Gemini request's JSON."""

import pytest

from imagerouter.emulators.exchange import Refused
from imagerouter.emulators.gemini.schema import canonical


def test_camel_and_snake_case_are_one() -> None:
    """The SDK mixes both; what comes out is camelCase throughout."""
    sent = {
        "contents": [
            {"parts": [{"inline_data": {"mime_type": "image/png", "data": "AA"}}, {"thought_signature": "x"}]}
        ],
        "generation_config": {"imageConfig": {"aspect_ratio": "1:1"}, "thinkingConfig": {"include_thoughts": True}},
    }

    assert canonical(sent) == {
        "contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}, {"thoughtSignature": "x"}]}],
        "generationConfig": {"imageConfig": {"aspectRatio": "1:1"}, "thinkingConfig": {"includeThoughts": True}},
    }


@pytest.mark.parametrize(
    ("sent", "name", "path"),
    [
        ({"frob": 1}, "frob", ""),
        (
            {"generationConfig": {"imageConfig": {"outputMimeType": "image/png"}}},
            "outputMimeType",
            "generation_config.image_config",
        ),
        ({"contents": [{"parts": [{"txt": "a"}]}]}, "txt", "contents[0].parts[0]"),
    ],
)
def test_unknown_names_are_refused_with_their_path(sent: dict[str, object], name: str, path: str) -> None:
    """proto3's own words, with the place of the name."""
    with pytest.raises(Refused) as caught:
        canonical(sent)

    message = caught.value.body["error"]["message"]  # type: ignore[index]
    at = f" at '{path}'" if path else ""
    assert message == f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'

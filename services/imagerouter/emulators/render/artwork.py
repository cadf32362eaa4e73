"""One picture to be made, from a description that can cross a thread border to encoded bytes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from PIL import Image, ImageFilter, ImageOps

from imagerouter.emulators.render.compose import compose, randomness
from imagerouter.emulators.render.edit import edit, flatten

Format = Literal["png", "jpeg", "webp"]
Spoil = Literal["", "blank", "wrong_size", "truncated", "not_an_image"]

MAX_PIXELS = 100_000_000
READABLE = ("PNG", "JPEG", "WEBP")


class Unreadable(ValueError):
    """Bytes that are no picture we can read."""


@dataclass(frozen=True)
class Artwork:
    """A picture to be made.

    `seed` names the request and `index` the picture in it: the same two give the same bytes. `inputs` are encoded
    pictures to edit, the first one the base; `mask` is a PNG whose transparent part may change, `markup` one whose
    painted part says where. `spoil` makes a fault of it.
    """

    prompt: str
    width: int
    height: int
    seed: str
    index: int = 0
    inputs: tuple[bytes, ...] = ()
    mask: bytes = b""
    markup: bytes = b""
    transparent: bool = False
    format: Format = "png"
    compression: int = 100
    previews: int = 0
    spoil: Spoil = ""


def open_picture(data: bytes, formats: tuple[str, ...] = READABLE) -> Image.Image:
    """Decode a picture that came from outside. Raises Unreadable for anything else, and for absurd dimensions."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(BytesIO(data), formats=formats) as opened:
                # Dimensions first: they are in the header, and decoding is what costs memory.
                if opened.width * opened.height <= MAX_PIXELS:
                    opened.load()
                    return ImageOps.exif_transpose(opened)
        except Exception as error:
            # Pillow's decoders raise nearly anything on broken input (struct.error, SyntaxError, OSError …).
            raise Unreadable("not a picture") from error
    raise Unreadable("too many pixels")


def make(artwork: Artwork) -> list[bytes]:
    """Draw and encode: `previews` pictures in the making, from vague to nearly sharp, and the finished one last."""
    image = _draw(artwork)
    if artwork.spoil == "blank":
        image = Image.new("RGB", image.size, (255, 255, 255))
    if artwork.spoil == "wrong_size":
        image = image.resize((max(16, image.width // 2), max(16, image.height // 2)))
    stages = [_vague(image, stage / (artwork.previews + 1)) for stage in range(1, artwork.previews + 1)]
    encoded = [encode(each, artwork.format, artwork.compression) for each in (*stages, image)]
    if artwork.spoil == "truncated":
        encoded[-1] = encoded[-1][: len(encoded[-1]) * 3 // 5]
    if artwork.spoil == "not_an_image":
        encoded[-1] = b"<html><body>Bad Gateway</body></html>"
    return encoded


def _draw(artwork: Artwork) -> Image.Image:
    rng = randomness(artwork.seed, artwork.index)
    inputs = [open_picture(data) for data in artwork.inputs]
    if not inputs:
        return compose(artwork.prompt, artwork.width, artwork.height, rng, transparent=artwork.transparent)
    mask = open_picture(artwork.mask, ("PNG",)) if artwork.mask else None
    if artwork.markup:
        painted = open_picture(artwork.markup, ("PNG",)).convert("RGBA").getchannel("A")
        mask = Image.new("RGBA", painted.size)
        mask.putalpha(painted.point(lambda value: 0 if value else 255))
    drawn = edit(artwork.prompt, inputs, artwork.width, artwork.height, rng, mask)
    if artwork.transparent:
        return _cut(drawn, inputs[0])
    return drawn


def _cut(drawn: Image.Image, source: Image.Image) -> Image.Image:
    from imagerouter.emulators.render.regions import subject_mask

    cut = drawn.convert("RGBA")
    cut.putalpha(subject_mask(flatten(source)).resize(drawn.size))
    return cut


def _vague(image: Image.Image, share: float) -> Image.Image:
    """The picture as it may have looked at `share` (0..1) of its making."""
    small = image.resize((max(4, round(image.width * share / 8)), max(4, round(image.height * share / 8))))
    return small.resize(image.size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur((1 - share) * 14))


def encode(image: Image.Image, kind: Format, compression: int) -> bytes:
    """Encode; `compression` (0..100) is the quality of jpeg and webp."""
    out = BytesIO()
    if kind == "png":
        # Level 2 is a third of the default's time for a tenth more bytes.
        image.save(out, "PNG", compress_level=2)
    elif kind == "jpeg":
        flatten(image).save(out, "JPEG", quality=max(1, min(95, compression)))
    else:
        image.save(out, "WEBP", quality=compression, method=2)
    return out.getvalue()

"""Image headers, against Pillow and against damage."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import Any

import pytest
from normalizer_requests import image_bytes
from PIL import Image

from imagerouter.normalizer.exif import orientation
from imagerouter.normalizer.imagehead import ImageFacts, NeedMore, NotAnImage, read_head

REACH = 8 * 1024 * 1024
TURNED = {5, 6, 7, 8}


def whole(data: bytes, size: int | None = None) -> ImageFacts:
    """Read the header of a whole file."""
    return read_head(data, len(data) if size is None else size, reach=REACH)


def exif(value: int) -> bytes:
    """Return Exif data of one orientation."""
    tags = Image.Exif()
    tags[0x0112] = value
    return tags.tobytes()


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        *(("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        ("PNG", "RGB", {"transparency": (0, 0, 0)}),
        *(("JPEG", mode, {}) for mode in ("L", "RGB", "CMYK")),
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "RGB", {"icc_profile": b"x" * 200_000}),
        *(("WEBP", mode, {}) for mode in ("RGB", "RGBA")),
        *(("WEBP", mode, {"lossless": True}) for mode in ("RGB", "RGBA")),
        ("WEBP", "RGB", {"icc_profile": b"x" * 1001}),
    ],
)
@pytest.mark.parametrize("size", [(64, 48), (1, 1), (1023, 7)])
def test_headers_say_what_pillow_finds(form: str, mode: str, options: dict[str, Any], size: tuple[int, int]) -> None:
    """Type, dimensions and transparency agree with the decoder's, for every kind of file that it writes."""
    data = image_bytes(form, mode, size, **options)
    with Image.open(io.BytesIO(data)) as image:
        transparent = image.has_transparency_data
        media_type = image.get_format_mimetype()
    facts = whole(data)

    assert (facts.media_type, facts.width, facts.height, facts.size_bytes) == (media_type, *size, len(data))
    # A lossless WebP says that it may have transparency; only its pixels tell.
    assert facts.has_alpha == transparent or (form == "WEBP" and options.get("lossless"))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("value", range(1, 9))
def test_dimensions_are_as_the_viewer_shows_them(form: str, value: int) -> None:
    """Exif orientations 5 to 8 lay the picture on its side."""
    facts = whole(image_bytes(form, "RGB", (64, 48), exif=exif(value)))

    assert (facts.width, facts.height) == ((48, 64) if value in TURNED else (64, 48))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF"])
def test_animations_are_refused(form: str) -> None:
    """A picture has one frame, and GIF is not taken at all."""
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 90, 180)]
    frames[0].save(buffer, form, save_all=True, append_images=frames[1:])

    with pytest.raises(NotAnImage):
        whole(buffer.getvalue())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"II*\0" + bytes(64),
        b"\0\0\0\x1cftypavif" + bytes(64),
        b"BM" + bytes(64),
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + b"PK\x03\x04" * 20,
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff" * 10_000,
        b"RIFF\0\0\0\0WEBP",
        b"RIFF\x10\0\0\0WEBPVP8 \x04\0\0\0abcd",
        b"RIFF\x10\0\0\0WEBPwhat\x04\0\0\0abcd",
    ],
)
def test_what_is_no_image_is_refused(data: bytes) -> None:
    """Other formats, bare signatures and nonsense are not images that we take."""
    with pytest.raises(NotAnImage):
        whole(data)


def png(width: int, height: int, depth: int = 8, colour: int = 2, chunks: bytes = b"") -> bytes:
    """Return a PNG's header."""
    body = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    header = struct.pack(">I", 13) + b"IHDR" + body + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    return b"\x89PNG\r\n\x1a\n" + header + chunks + struct.pack(">I", 5) + b"IDAT" + bytes(9)


@pytest.mark.parametrize(
    "data", [png(0, 5), png(5, 0), png(5, 5, depth=3), png(5, 5, depth=16, colour=3), png(5, 5, colour=5)]
)
def test_a_png_that_cannot_be_is_refused(data: bytes) -> None:
    """No pixels, and depths that no colour type has."""
    with pytest.raises(NotAnImage):
        whole(data)


def test_a_wrong_checksum_is_refused() -> None:
    """A flipped bit in the dimensions does not pass."""
    data = bytearray(png(64, 48))
    data[18] ^= 0x40

    with pytest.raises(NotAnImage):
        whole(bytes(data))


@pytest.mark.parametrize("code", [0xC3, 0xC5, 0xC9, 0xCA, 0xCF])
def test_rare_jpegs_are_refused(code: int) -> None:
    """Lossless, hierarchical and arithmetic coding are for archives."""
    data = bytearray(image_bytes("JPEG"))
    data[data.index(b"\xff\xc0") + 1] = code

    with pytest.raises(NotAnImage, match="rare"):
        whole(bytes(data))


def test_endless_parts_are_refused() -> None:
    """Thousands of empty chunks or segments do not keep us busy."""
    with pytest.raises(NotAnImage):
        whole(png(5, 5, chunks=(struct.pack(">I", 0) + b"teXt" + bytes(4)) * 20_000))
    with pytest.raises(NotAnImage):
        whole(b"\xff\xd8" + b"\xff\xe0\0\x02" * 20_000)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_header_can_be_read_in_steps(form: str) -> None:
    """Whatever is given, it says how much more it needs, asks for more than it has, and comes to the same facts."""
    data = image_bytes(form, "RGB", (64, 48), exif=exif(6), icc_profile=b"x" * 90_001)
    asked = [16]
    while True:
        try:
            facts = read_head(data[: asked[-1]], len(data), reach=REACH)
            break
        except NeedMore as more:
            asked.append(more.length)

    assert facts == whole(data)
    assert asked == sorted(set(asked))
    assert asked[-1] <= len(data)
    assert 2 <= len(asked) < 40


def test_a_header_out_of_reach_is_refused() -> None:
    """A profile of megabytes before the pixels is nothing that we go on reading."""
    data = image_bytes("PNG", icc_profile=random.Random(1).randbytes(300_000))

    with pytest.raises(NotAnImage, match="long"):
        read_head(data[:1000], len(data), reach=100_000)


def test_only_the_orientation_of_a_long_webp_is_given_up() -> None:
    """Its Exif data are at the very end; the dimensions are at the front."""
    data = image_bytes("WEBP", "RGB", (64, 48), exif=exif(6), icc_profile=b"x" * 90_000)

    assert read_head(data[:64], len(data), reach=1000).width == 64
    assert whole(data).width == 48


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_damage_is_refused_or_read_and_never_a_crash(form: str) -> None:
    """A thousand files with flipped bytes, cut anywhere: each is facts, NotAnImage, or NeedMore within the file."""
    whole_file = image_bytes(form, "RGB", (64, 48), exif=exif(3))
    chance = random.Random(7)
    needed: list[tuple[int, int]] = []
    for _ in range(1000):
        data = bytearray(whole_file)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(min(200, len(data)))] = chance.randrange(256)
        cut = bytes(data[: chance.randrange(1, len(data) + 1)])
        try:
            facts = read_head(cut, len(data), reach=REACH)
        except NeedMore as more:
            needed.append((len(cut), more.length))
        except NotAnImage:
            pass
        else:
            assert min(facts.width, facts.height) > 0

    assert all(had < wanted <= len(whole_file) for had, wanted in needed)


@pytest.mark.parametrize("data", [b"", b"II*\0", b"MM\0*\0\0\0\x08\xff\xff", b"II*\0\xff\xff\xff\xff", b"XX" * 40])
def test_damaged_exif_is_upright(data: bytes) -> None:
    """Metadata that cannot be read change nothing."""
    assert orientation(data) == 1

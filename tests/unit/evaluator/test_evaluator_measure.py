"""Measuring, in this process: what the sandbox does with its bytes."""

from __future__ import annotations

import random

import pytest
from evaluator_pictures import LIMITS, NOT_IMAGES, animated, bomb, chunk, encoded, noise, page, png_header, scene
from PIL import Image

from imagerouter.evaluator.measure import measure
from imagerouter.evaluator.measurement import OVER_LIMIT, Measurement, Problem
from imagerouter.evaluator.structure import count_scans

BROKEN = {Problem.TRUNCATED, Problem.CORRUPT}


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("PNG", {"compress_level": 0}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_a_good_picture_is_measured(form: str, options: dict[str, object]) -> None:
    """Each format we take decodes to its size, and has texture."""
    found = measure(encoded(scene(96, 120), form, **options), LIMITS)

    assert found.problem == Problem.NONE
    assert (found.format, found.width, found.height, found.frames) == (form.lower(), 96, 120, 1)
    assert found.spread > 20
    assert found.colours > 20
    assert found.trailing_bytes == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_unusual_pixels_are_pictures_too(mode: str) -> None:
    """Bits, greys, palettes and sixteen bits a channel are decoded and not taken for blank."""
    if mode == "I;16":
        picture = Image.linear_gradient("L").convert("I").point(lambda level: level * 200).convert("I;16")
    else:
        picture = scene(256, 256).convert(mode)
    found = measure(encoded(picture), LIMITS)

    assert found.problem == Problem.NONE
    assert (found.width, found.height) == (256, 256)
    assert found.spread > 20


def test_cmyk_and_transparent_palettes_are_pictures_too() -> None:
    """Four-colour JPEGs and palettes with a transparent entry decode."""
    cmyk = measure(encoded(scene().convert("CMYK"), "JPEG"), LIMITS)
    palette = measure(encoded(scene().convert("P"), transparency=0), LIMITS)

    assert (cmyk.problem, palette.problem) == (Problem.NONE, Problem.NONE)
    assert min(cmyk.spread, palette.spread) > 20


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (257, 255)])
def test_any_shape_can_be_shrunk(size: tuple[int, int]) -> None:
    """One pixel, a line and a column are measured like all others."""
    found = measure(encoded(Image.new("RGB", size, "red")), LIMITS)

    assert (found.problem, found.width, found.height) == (Problem.NONE, *size)
    assert (found.spread, found.colours) == (0.0, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_dimensions_are_those_that_a_viewer_shows(orientation: int) -> None:
    """The EXIF orientation is applied before anybody compares the size with what was promised."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = measure(encoded(scene(40, 80), "JPEG", exif=exif), LIMITS)

    assert (found.width, found.height) == ((40, 80) if orientation < 5 else (80, 40))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_file_that_was_cut_off_is_noticed_wherever_it_was_cut(form: str) -> None:
    """No prefix of a picture passes for the picture, not even one that lacks the very last byte."""
    whole = encoded(noise(128, 40, (64, 64)), form)
    step = max(1, len(whole) // 150)
    cuts = sorted({*range(12, len(whole), step), *range(len(whole) - 24, len(whole))})

    missed = [cut for cut in cuts if measure(whole[:cut], LIMITS).problem != Problem.TRUNCATED]
    assert missed == []


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_flipped_bits_never_escape_as_an_exception(form: str) -> None:
    """Whatever single byte is damaged, there is a measurement; in a PNG the damage is always noticed."""
    whole = encoded(noise(128, 40, (48, 48)), form)
    source = random.Random(7)
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[source.randrange(len(damaged))] ^= 1 << source.randrange(8)
        found = measure(bytes(damaged), LIMITS)
        assert isinstance(found, Measurement)
        if form == "PNG":
            assert found.problem != Problem.NONE


@pytest.mark.parametrize("name", NOT_IMAGES)
def test_what_is_no_picture_reaches_no_decoder(name: str) -> None:
    """Only PNG, JPEG and WebP are opened at all; Pillow has forty other openers."""
    assert measure(NOT_IMAGES[name], LIMITS) == Measurement(Problem.NOT_AN_IMAGE)


def test_a_gif_is_none_of_ours() -> None:
    """A sound GIF is refused by its signature."""
    assert measure(encoded(scene(), "GIF"), LIMITS).problem == Problem.NOT_AN_IMAGE


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe0" + bytes(40),
        b"RIFF\x20\x00\x00\x00WEBPVP8 " + bytes(24),
        png_header(0, 10) + chunk(b"IEND", b""),
        png_header(10, 10) + chunk(b"IEND", b""),
        png_header(10, 10) + chunk(b"IDAT", b"not zlib") + chunk(b"IEND", b""),
        png_header(10, 10, depth=3) + chunk(b"IDAT", b"") + chunk(b"IEND", b""),
        chunk(b"IDAT", b"").join([b"\x89PNG\r\n\x1a\n", chunk(b"IEND", b"")]),
    ],
)
def test_a_broken_file_is_broken(data: bytes) -> None:
    """Signatures with nonsense behind them are findings."""
    assert measure(data, LIMITS).problem in BROKEN


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (bomb(20_000), Problem.SIDE_TOO_LONG),
        (bomb(13_000), Problem.TOO_MANY_PIXELS),
        (png_header(65_535, 65_535) + chunk(b"IDAT", b"") + chunk(b"IEND", b""), Problem.SIDE_TOO_LONG),
        (animated("PNG"), Problem.TOO_MANY_FRAMES),
        (animated("WEBP"), Problem.TOO_MANY_FRAMES),
        (animated("MPO"), Problem.TOO_MANY_FRAMES),
        (png_header(1, 1) + bytes(LIMITS.max_bytes), Problem.TOO_MANY_BYTES),
    ],
    ids=["20k-square", "13k-square", "header-only", "apng", "webp", "mpo", "bytes"],
)
def test_what_is_too_large_is_not_decoded(data: bytes, problem: Problem) -> None:
    """Size and frames are judged by the header."""
    found = measure(data, LIMITS)

    assert found.problem == problem
    assert found.problem in OVER_LIMIT
    assert (found.spread, found.colours) == (0.0, 0)


def test_a_jpeg_of_endless_scans_is_not_decoded() -> None:
    """Each scan is a pass over the picture: a progressive JPEG that repeats one a thousand times is a bomb."""
    whole = encoded(scene(), "JPEG", progressive=True)
    scan = whole[whole.rfind(b"\xff\xda") : -2]
    found = measure(whole[:-2] + scan * 1000 + b"\xff\xd9", LIMITS)

    assert count_scans(whole) <= 12
    assert (found.problem, found.scans) == (Problem.TOO_MANY_SCANS, count_scans(whole) + 1000)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_packed_text_is_not_unpacked_without_end(kind: bytes) -> None:
    """A compressed chunk of 64 MiB of nothing costs neither memory nor the measurement of a sound picture's size."""
    import zlib

    packed = zlib.compress(bytes(64 * 1024 * 1024), 9)
    name = b"x\x00" + (b"\x01\x00\x00\x00" if kind == b"iTXt" else b"\x00")
    whole = encoded(scene())
    found = measure(whole[:33] + chunk(kind, name + packed) + whole[33:], LIMITS)

    assert found.problem in {Problem.NONE, Problem.CORRUPT}


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_what_follows_a_picture_is_counted(form: str) -> None:
    """A file that is also a ZIP or a page is a picture with bytes after its end."""
    found = measure(encoded(scene(), form) + b"PK\x03\x04<script>", LIMITS)

    assert (found.problem, found.trailing_bytes) == (Problem.NONE, 12)


def test_texture_tells_empty_from_little() -> None:
    """A flat, a noisy flat and an invisible picture have next to no texture; a word on a page has some."""
    flat = measure(encoded(Image.new("RGB", (512, 640), (10, 120, 200))), LIMITS)
    noisy = measure(encoded(noise(128, 3, (512, 512))), LIMITS)
    invisible = measure(encoded(Image.merge("RGBA", (*scene().split(), Image.new("L", (96, 120), 0)))), LIMITS)
    word = measure(encoded(page("Hello", 40)), LIMITS)

    assert (flat.spread, flat.colours) == (0.0, 1)
    assert noisy.spread < 2
    assert noisy.colours <= 8
    assert (invisible.spread, invisible.colours) == (0.0, 1)
    assert word.spread > 4


def test_a_grey_shape_on_nothing_is_a_picture() -> None:
    """Alpha alone can carry a picture that vanishes on mid grey."""
    cutout = Image.new("RGBA", (512, 512), (128, 128, 128, 0))
    cutout.paste((128, 128, 128, 255), (100, 100, 300, 300))

    assert measure(encoded(cutout), LIMITS).spread > 50

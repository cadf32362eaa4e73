"""From a description of a picture to its bytes."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from imagerouter.emulators.render.artwork import Artwork, Unreadable, encode, make, open_picture
from imagerouter.emulators.render.edit import kind_of
from imagerouter.emulators.render.reading import read


def pixels(data: bytes) -> np.ndarray:
    """The RGB pixels of an encoded picture, as signed numbers."""
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"), dtype=np.int16)


def picture(prompt: str, width: int = 192, height: int = 192, **more: object) -> bytes:
    """The finished picture of a request."""
    return make(Artwork(prompt=prompt, width=width, height=height, seed="s", **more))[-1]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fox() -> bytes:
    """A picture to edit."""
    return picture("a fox sitting in a meadow")


@pytest.mark.parametrize(
    "prompt",
    [
        "a fox",
        'poster "JAZZ"',
        "咖啡的信息图",
        "dashboard ui",
        "4-panel comic",
        "logo",
        "business card",
        "slide",
        "flyer",
    ],
)
@pytest.mark.parametrize("size", [(192, 144), (96, 288)])
def test_dimensions_are_exact_and_the_picture_is_not_flat(prompt: str, size: tuple[int, int]) -> None:
    """Every layout fills exactly the pixels asked for, with something to see."""
    drawn = pixels(picture(prompt, *size))

    assert drawn.shape == (size[1], size[0], 3)
    assert drawn.std() > 8


@pytest.mark.parametrize(("kind", "name"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_format_is_the_one_asked_for(kind: str, name: str) -> None:
    """The bytes are of the format, whatever their label."""
    assert Image.open(BytesIO(picture("a lake", format=kind))).format == name


def test_same_request_same_bytes_and_another_index_another_picture() -> None:
    """Deterministic for each request, and n pictures of one request differ."""
    first = picture("a city at night", index=0)

    assert picture("a city at night", index=0) == first
    assert np.abs(pixels(picture("a city at night", index=1)) - pixels(first)).mean() > 3


def test_compression_changes_the_size() -> None:
    """A lower figure gives fewer bytes."""
    assert (
        len(picture("a lake", format="jpeg", compression=20))
        < len(picture("a lake", format="jpeg", compression=90)) / 2
    )


@pytest.mark.parametrize("inputs", [False, True])
def test_transparent_pictures_have_both_clear_and_solid_pixels(inputs: bool, fox: bytes) -> None:
    """Alpha is used, on new pictures and on edits."""
    data = picture("sticker of a happy fox", transparent=True, inputs=(fox,) if inputs else ())

    alpha = np.asarray(Image.open(BytesIO(data)).getchannel("A"))
    assert (alpha < 10).mean() > 0.1
    assert (alpha > 245).mean() > 0.1


def test_previews_come_nearer_to_the_picture() -> None:
    """Pictures in the making are of its size and go from vague to nearly sharp."""
    *previews, final = (pixels(stage) for stage in make(Artwork("a city", 256, 256, "s", previews=3)))
    far = [np.abs(each - final).mean() for each in previews]

    assert all(each.shape == final.shape for each in previews)
    assert far == sorted(far, reverse=True)
    assert far[-1] > 0


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("Replace the background with a snowy mountain", "background"),
        ("Remove the animal", "remove"),
        ("Make it a watercolor painting", "style"),
        ('Add the text "LAKE LIFE"', "text"),
        ("Add a red balloon", "add"),
        ("turn it into night", "light"),
        ("make the fur purple", "colour"),
        ("把天空变成紫色", "colour"),
        ("dreamier, please", "grade"),
    ],
)
def test_edits_change_the_picture_and_keep_what_it_shows(prompt: str, kind: str, fox: bytes) -> None:
    """Each kind of edit is understood, changes the picture visibly, and does not replace it by another."""
    edited = pixels(picture(prompt, inputs=(fox,)))
    difference = np.abs(edited - pixels(fox)).mean(axis=2)

    assert kind_of(read(prompt)) == kind
    assert (difference > 24).mean() > 0.015
    own = np.corrcoef(edited.mean(axis=2).ravel(), pixels(fox).mean(axis=2).ravel())[0, 1]
    assert own > 0.25


@pytest.mark.parametrize(
    "prompt",
    [
        "Add a red hat",
        "Remove it",
        "make it purple",
        'Write "HELLO"',
        "a beach background",
        "night",
        "sketch style",
        "hm",
    ],
)
def test_mask_is_respected_to_the_pixel(prompt: str, fox: bytes) -> None:
    """Outside the mask every pixel is as it was; inside, the edit can be seen."""
    mask = Image.new("RGBA", (192, 192), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (40, 50, 140, 150))

    difference = np.abs(pixels(picture(prompt, inputs=(fox,), mask=encode(mask, "png", 100))) - pixels(fox)).max(axis=2)

    inside = difference[50:150, 40:140].copy()
    difference[50:150, 40:140] = 0
    assert difference.max() == 0
    assert (inside > 24).mean() > 0.02


def test_markup_says_where_to_act(fox: bytes) -> None:
    """Outside what was painted over nothing changes."""
    markup = Image.new("RGBA", (192, 192), (0, 0, 0, 0))
    markup.paste((255, 0, 0, 180), (0, 0, 96, 96))

    difference = np.abs(
        pixels(picture("make it night", inputs=(fox,), markup=encode(markup, "png", 100))) - pixels(fox)
    )

    assert difference[96:, :].max() == 0
    assert difference[:96, :96].mean() > 10


def test_every_reference_is_seen(fox: bytes) -> None:
    """A second reference changes the picture."""
    lake = picture("a lake at night")

    assert picture("combine them", inputs=(fox, lake)) != picture("combine them", inputs=(fox,))


def test_other_ratio_extends_the_picture_instead_of_squeezing_it(fox: bytes) -> None:
    """In a sheet twice as wide, the subject keeps its width."""
    wide = pixels(picture("hm", 384, 192, inputs=(fox,)))
    centre = wide[:, 96:288]

    assert np.corrcoef(centre.mean(axis=2).ravel(), pixels(fox).mean(axis=2).ravel())[0, 1] > 0.6


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"\x00" * 40, b"GIF89a" + b"\x00" * 40])
def test_unreadable_bytes_are_told_apart(data: bytes) -> None:
    """Anything that is no png, jpeg or webp is Unreadable, whatever it makes the decoder raise."""
    with pytest.raises(Unreadable):
        open_picture(data)


def test_absurd_dimensions_are_refused_before_decoding() -> None:
    """A few bytes cannot make us allocate gigabytes."""
    bomb = BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")

    with pytest.raises(Unreadable):
        open_picture(bomb.getvalue())


@pytest.mark.parametrize(
    ("spoil", "check"),
    [("blank", "flat"), ("wrong_size", "small"), ("truncated", "broken"), ("not_an_image", "broken")],
)
def test_spoiled_pictures_are_spoiled_in_their_own_way(spoil: str, check: str) -> None:
    """Each fault of a picture is what its name says."""
    data = picture("a lake", spoil=spoil)

    if check == "broken":
        with pytest.raises(OSError):  # noqa: PT011 - Pillow's own errors have no common message
            Image.open(BytesIO(data)).load()
    else:
        drawn = pixels(data)
        assert (drawn.std() == 0) == (check == "flat")
        assert (drawn.shape[:2] == (96, 96)) == (check == "small")

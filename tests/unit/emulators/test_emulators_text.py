"""Fonts and the setting of text."""

import itertools
from importlib import resources

import numpy as np
import pytest
from PIL import Image, ImageDraw

from imagerouter.emulators.render.fonts import Face, code_points, drawable, face_for, font, font_bytes
from imagerouter.emulators.render.text import fit, wrap, write

JAPANESE = "東京デザインミートアップ、ようこそ。"
CHINESE = "咖啡历史、从埃塞俄比亚到现代都市的旅程"
KOREAN = "서울 디자인 모임에 오신 것을 환영합니다"


@pytest.mark.parametrize("text", [JAPANESE, CHINESE, KOREAN, "Crème brûlée, Łódź, Ærø, Việt Nam", "Ωμέγα Привет"])
def test_some_face_covers_each_script(text: str) -> None:
    """Latin with its accents, Greek, Cyrillic, kana, common hanzi and hangul: nothing is left out."""
    known = code_points(face_for(text, "sans"))

    assert {char for char in text if ord(char) not in known and not char.isspace()} == set()
    assert drawable(text) == text


@pytest.mark.parametrize("text", [JAPANESE, CHINESE, KOREAN, "Quick fox", "Łódź źdźbło"])
def test_every_character_has_a_glyph_of_its_own_and_no_tofu(text: str) -> None:
    """Pixels, not only the cmap: each character is drawn, none as .notdef, and different ones differ."""
    face = font(face_for(text, "sans"), 48)
    notdef = bytes(face.getmask("\ue000"))
    glyphs = {char: bytes(face.getmask(char)) for char in set(text) if not char.isspace()}

    assert all(any(glyph) and glyph != notdef for glyph in glyphs.values())
    assert all(glyphs[a] != glyphs[b] for a, b in itertools.combinations(glyphs, 2))


def test_what_no_font_has_is_left_out() -> None:
    """Emoji and rare characters are dropped, compatibility forms are decomposed: nothing comes out as a box."""
    assert drawable("Jazz 🎷 Night ﬁn") == "Jazz  Night fin"


def test_serif_gives_way_where_it_lacks_a_character() -> None:
    """A Latin-only face is not asked for Japanese."""
    assert (face_for("Menu", "serif"), face_for("Menu 東京", "serif")) == ("serif", "sans")


@pytest.mark.parametrize("text", [JAPANESE * 4, CHINESE * 4, "The quick brown fox jumps over the lazy dog " * 4])
def test_wrapped_lines_fit_and_lose_nothing(text: str) -> None:
    """Every line is within the width, and together they are the text."""
    face = font("sans", 30)

    lines = wrap(text, face, 300)

    # A closing mark may hang over by its own width: it must not begin the next line.
    assert all(face.getlength(line) <= 300 + 30 for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_lines_begin_and_end_as_kinsoku_has_it() -> None:
    """No line begins with a full stop or a closing bracket, none ends with an opening one."""
    text = "「東京」の「夏」、「秋」。「冬」と「春」、" * 6
    for width in range(90, 240, 10):
        lines = wrap(text, font("sans", 30), width)

        assert not any(line[0] in "、。」" for line in lines)
        assert not any(line[-1] == "「" for line in lines)


def test_fit_takes_the_largest_size_that_fits() -> None:
    """One pixel more would be too high, and words are not broken to fit."""
    setting = fit("Tokyo Design Meetup", "sans", 400, 150, 200)
    size = round(float(setting.font.size))
    larger = font("sans", size + 1)

    assert setting.height <= 150
    assert " ".join(setting.lines) == "Tokyo Design Meetup"
    too_wide = any(larger.getlength(line) > 400 for line in setting.lines)
    assert too_wide or len(wrap("Tokyo Design Meetup", larger, 400)) * round((size + 1) * 1.24) > 150


@pytest.mark.parametrize("text", ["x" * 5000, "漢" * 5000, "word " * 2000])
def test_text_stays_in_its_box(text: str) -> None:
    """Whatever its length, nothing is drawn outside the box."""
    image = Image.new("RGB", (300, 200), (255, 255, 255))

    write(ImageDraw.Draw(image), (50, 50, 250, 150), text, (0, 0, 0), largest=60)

    dark = np.argwhere(np.asarray(image).min(axis=2) < 128)
    assert dark.size
    (top, left), (bottom, right) = dark.min(axis=0), dark.max(axis=0)
    assert left >= 48
    assert top >= 48
    assert right <= 260
    assert bottom <= 152


@pytest.mark.parametrize("face", ["sans", "serif", "european"])
def test_fonts_are_small_and_carry_their_licence(face: Face) -> None:
    """Each file is below 2 MB, its name table still has the licence's address, and the folder has its text."""
    data = font_bytes(face)

    assert len(data) < 2_000_000
    assert "scripts.sil.org/OFL".encode("utf-16-be") in data
    licence = (resources.files("imagerouter.emulators") / "fonts" / "OFL.txt").read_text("utf-8")
    assert "SIL OPEN FONT LICENSE" in licence


def test_open_faces_are_bounded() -> None:
    """Trying many sizes does not keep them: a CJK face takes megabytes."""
    first = font("sans", 20)
    for size in range(21, 80):
        font("sans", size)

    assert font("sans", 79) is font("sans", 79)
    assert font("sans", 20) is not first

"""Edit a given picture as an instruction asks: visibly, in the place it names, and nowhere outside a mask."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from imagerouter.emulators.render import objects, restyle
from imagerouter.emulators.render.canvas import Canvas
from imagerouter.emulators.render.compose import sign
from imagerouter.emulators.render.palette import NAMED, choose
from imagerouter.emulators.render.reading import Reading, read
from imagerouter.emulators.render.regions import fill_in, opening, place_of, region_mask, subject_mask
from imagerouter.emulators.render.scene import paint
from imagerouter.emulators.render.text import Colour
from imagerouter.emulators.render.words import first_of, holds, lexicon

_SMOOTH_UP_TO = 1600


@dataclass(frozen=True)
class Work:
    """An edit under way: the framed picture, the instruction, and the mask's alpha, brought to the picture's size."""

    image: Image.Image
    reading: Reading
    rng: random.Random
    keep: Image.Image | None

    @property
    def masked(self) -> bool:
        """Whether a mask says where to act."""
        return self.keep is not None


def edit(
    prompt: str,
    inputs: Sequence[Image.Image],
    width: int,
    height: int,
    rng: random.Random,
    mask: Image.Image | None = None,
) -> Image.Image:
    """Edit `inputs[0]` (the others are set into it) as `prompt` says; RGB, exactly `width` x `height`.

    `mask` has the input's dimensions; where its alpha is 0 the picture may change, where it is 255 the pixels of the
    framed input stay exactly as they are.
    """
    base = frame(inputs[0], width, height)
    keep = None if mask is None else frame_alpha(mask, width, height)
    work = Work(base, read(prompt), rng, keep)
    changed = _EDITS[kind_of(work.reading)](work)
    if len(inputs) > 1:
        changed = _set_in(changed, inputs[1:])
    return changed if keep is None else Image.composite(base, changed, keep)


def kind_of(reading: Reading) -> str:
    """Which edit an instruction asks for: a key of the lexicon's edits, or "grade"."""
    prompt = reading.prompt
    if reading.strings and not holds(prompt, lexicon()["edits"]["background"]):
        return "text"
    if kind := first_of("edits", prompt, ""):
        return kind
    if _colours(prompt):
        return "colour"
    return "grade"


def frame(image: Image.Image, width: int, height: int) -> Image.Image:
    """Bring a picture to `width` x `height`: resized, cropped if the ratios nearly agree, else extended."""
    plain = flatten(image)
    if plain.size == (width, height):
        return plain
    ours, theirs = width / height, plain.width / plain.height
    cover = max(width / plain.width, height / plain.height)
    if 0.8 <= ours / theirs <= 1.25:
        return _resized(plain, cover, width, height)
    around = _resized(plain, cover, width, height).filter(ImageFilter.GaussianBlur(min(width, height) / 24))
    inside = min(width / plain.width, height / plain.height)
    fitted = plain.resize(
        (max(1, round(plain.width * inside)), max(1, round(plain.height * inside))), Image.Resampling.LANCZOS
    )
    around.paste(fitted, ((width - fitted.width) // 2, (height - fitted.height) // 2))
    return around


def flatten(image: Image.Image) -> Image.Image:
    """RGB on white: what is transparent in an input has no colour of its own."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        sheet = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(sheet, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def frame_alpha(mask: Image.Image, width: int, height: int) -> Image.Image:
    """The alpha of `mask`, brought to `width` x `height` as `frame` brings its picture."""
    alpha = mask.convert("RGBA").getchannel("A")
    if alpha.size == (width, height):
        return alpha
    cover = max(width / alpha.width, height / alpha.height)
    if 0.8 <= (width / height) / (alpha.width / alpha.height) <= 1.25:
        return _resized(alpha, cover, width, height)
    inside = min(width / alpha.width, height / alpha.height)
    fitted = alpha.resize(
        (max(1, round(alpha.width * inside)), max(1, round(alpha.height * inside))), Image.Resampling.NEAREST
    )
    whole = Image.new("L", (width, height), 255)
    whole.paste(fitted, ((width - fitted.width) // 2, (height - fitted.height) // 2))
    return whole


def _resized(image: Image.Image, scale: float, width: int, height: int) -> Image.Image:
    size = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    large = image.resize(size, Image.Resampling.LANCZOS)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return large.crop((left, top, left + width, top + height))


def _colours(prompt: str) -> list[Colour]:
    return [NAMED[name] for name, words in lexicon()["colours"].items() if holds(prompt, words)]


def _background(work: Work) -> Image.Image:
    behind = paint(work.reading, *work.image.size, work.rng)
    if work.masked:
        return behind
    return Image.composite(work.image, behind, subject_mask(work.image))


def _remove(work: Work) -> Image.Image:
    if work.keep is not None:
        return fill_in(work.image, work.keep.point(lambda value: 255 - value), work.rng)
    place = place_of(work.reading.prompt)
    hole = region_mask(work.image, place, 0.34) if place else subject_mask(work.image)
    return fill_in(work.image, hole.filter(ImageFilter.MaxFilter(5)), work.rng)


def _style(work: Work) -> Image.Image:
    return restyle.style(first_of("styles", work.reading.prompt, "watercolour"), work.image, work.rng)


def _light(work: Work) -> Image.Image:
    return restyle.light(work.image, work.reading.light or "sunset", work.rng)


def _text(work: Work) -> Image.Image:
    image = work.image.copy()
    area = None if work.keep is None else work.keep.point(lambda value: 255 - value).getbbox()
    for number, words in enumerate(work.reading.strings[:3] or (work.reading.title,)):
        sign(image, words, work.rng, number, area)
    return image


def _add(work: Work) -> Image.Image:
    # Doubled without smoothing and halved again, the untouched pixels come out as they were, and the new edges smooth.
    scale = 2 if max(work.image.size) <= _SMOOTH_UP_TO else 1
    size = (work.image.width * scale, work.image.height * scale)
    canvas = Canvas(*size, work.rng, choose(work.reading.prompt, work.rng))
    canvas.replace(work.image.resize(size, Image.Resampling.NEAREST))
    name = first_of("objects", work.reading.prompt, "")
    x, y = place_of(work.reading.prompt) or (work.rng.uniform(0.22, 0.78), work.rng.uniform(0.22, 0.62))
    share = 0.2
    if work.keep is not None:
        (x, y), open_share = opening(work.keep)
        share = max(0.03, open_share * 0.6)
    label = next(iter(work.reading.words), "new") if not work.reading.cjk else work.reading.prompt[:4]
    tone = (_colours(work.reading.prompt) or [canvas.palette.accent])[0]
    objects.add(canvas, name, x, y, share, tone, label)
    return canvas.image.reduce(scale) if scale > 1 else canvas.image


def _colour(work: Work) -> Image.Image:
    tone = (_colours(work.reading.prompt) or [choose(work.reading.prompt, work.rng).accent])[-1]
    tinted = restyle.tint(work.image, tone, 0.85)
    place = place_of(work.reading.prompt)
    where = region_mask(work.image, place, 0.5) if place else subject_mask(work.image)
    return tinted if work.masked else Image.composite(tinted, work.image, where)


def _grade(work: Work) -> Image.Image:
    """What no rule understands: the picture in a new light, and a trace of the words' own scene."""
    graded = restyle.light(work.image, work.reading.light or work.rng.choice(("sunset", "dawn", "day")), work.rng)
    scene = paint(work.reading, *work.image.size, work.rng)
    return Image.composite(
        Image.blend(graded, scene, 0.3), graded, Image.fromarray(255 - np.asarray(subject_mask(work.image)))
    )


def _set_in(image: Image.Image, others: Sequence[Image.Image]) -> Image.Image:
    """Set further references into the picture, along its foot."""
    result = image.copy()
    side = min(image.width, image.height) // max(3, len(others) + 1)
    for index, other in enumerate(others[:8]):
        tile = flatten(other)
        tile.thumbnail((side, side))
        edge = max(2, side // 40)
        x = round((index + 0.5) * image.width / min(8, len(others)) - tile.width / 2)
        y = image.height - tile.height - side // 6
        result.paste((250, 249, 245), (x - edge, y - edge, x + tile.width + edge, y + tile.height + edge))
        result.paste(tile, (x, y))
    return result


_EDITS: dict[str, Callable[[Work], Image.Image]] = {
    "background": _background,
    "remove": _remove,
    "style": _style,
    "text": _text,
    "add": _add,
    "light": _light,
    "colour": _colour,
    "grade": _grade,
}

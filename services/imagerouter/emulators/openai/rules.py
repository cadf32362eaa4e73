"""What the Images API accepts, by model: the checks of providers.md 1.2, with the errors of 1.7."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from PIL import Image

from imagerouter.catalogue import Mode, Model
from imagerouter.catalogue.sizing import FixedSizes, FreeSize
from imagerouter.emulators.openai.errors import USER_ERROR, bad_value, missing, not_one_of
from imagerouter.emulators.openai.parse import Form
from imagerouter.emulators.render.artwork import Format, Unreadable, open_picture
from imagerouter.emulators.render.reading import read

_BOTH = frozenset(
    {
        *("model", "prompt", "n", "size", "quality", "background", "output_format", "output_compression"),
        *("moderation", "stream", "partial_images", "safety_identifier", "user"),
    }
)
_EDIT_ONLY = frozenset({"input_fidelity"})
# Parameters that only the models with gated formats know.
_NEWEST = frozenset({"complexity", "frame_count", "frame_duration_ms", "svg"})
_LEVELS = ("low", "medium", "high")


@dataclass(frozen=True)
class Wanted:
    """A valid request, every "auto" resolved. Sizes are in pixels."""

    prompt: str
    n: int
    width: int
    height: int
    quality: str
    background: str
    format: Format
    compression: int
    partial_images: int
    stream: bool
    images: tuple[Image.Image, ...]


def check(form: Form, model: Model, *, edit: bool) -> Wanted:
    """Validate in the order in which the API is seen to. Refused (400) names the parameter."""
    _known(form, model, edit=edit)
    prompt = form.text("prompt")
    if not prompt:
        raise missing("prompt")
    longest = model.limits.prompt_characters
    if len(prompt) > longest:
        message = (
            f"Invalid 'prompt': string too long. Expected a string with maximum length {longest}, "
            f"but got a string with length {len(prompt)} instead."
        )
        raise bad_value("prompt", message, "string_above_max_length")
    n = form.number("n", 1, 1, model.limits.count)
    images = _images(form, model) if edit else ()
    _overlays(form, model, images)
    width, height = size_of(form.text("size", "auto"), model, prompt, images)
    quality = _quality(form.text("quality", "auto"), model)
    kind, compression, background = _output(form, model)
    if form.text("moderation", "auto") not in ("auto", "low"):
        raise not_one_of("moderation", form.text("moderation"), ("auto", "low"))
    partial = form.number("partial_images", 0, 0, 3)
    stream = bool(form.fields.get("stream", False))
    return Wanted(
        prompt, n, width, height, quality, background, kind, compression, partial if stream else 0, stream, images
    )


def _known(form: Form, model: Model, *, edit: bool) -> None:
    allowed = _BOTH | (_EDIT_ONLY if edit else frozenset())
    if model.output.gated_formats:
        allowed |= _NEWEST
    for name in form.fields:
        if name not in allowed:
            raise bad_value(name, f"Unknown parameter: '{name}'.", "unknown_parameter")
    fidelity = form.text("input_fidelity")
    if not fidelity:
        return
    if isinstance(model.size, FreeSize):
        message = f"The model '{model.id}' does not support the 'input_fidelity' parameter."
        raise bad_value("input_fidelity", message, "unsupported_value")
    allowed_fidelity = ("low",) if model.status == "deprecated" else ("low", "high")
    if fidelity not in allowed_fidelity:
        raise not_one_of("input_fidelity", fidelity, allowed_fidelity)


def size_of(size: str, model: Model, prompt: str, images: tuple[Image.Image, ...]) -> tuple[int, int]:
    """The pixels that a `size` means for a model; "auto" follows the first image, or what the prompt describes."""
    rule = model.size
    if isinstance(rule, FixedSizes):
        listed = tuple(f"{width}x{height}" for width, height in rule.sizes)
        if size == "auto":
            ratio = _wished_ratio(prompt, images)
            return min(rule.sizes, key=lambda each: abs(each[0] / each[1] - ratio))
        if size not in listed:
            raise not_one_of("size", size, (*listed, "auto"))
        return rule.sizes[listed.index(size)]
    rule = cast("FreeSize", rule)
    if size == "auto":
        return _nearest(_wished_ratio(prompt, images), rule, images)
    width, separator, height = size.partition("x")
    if not separator or not width.isdecimal() or not height.isdecimal():
        raise bad_value("size", f"Invalid size '{size}'. Expected 'auto' or a size of the form 'WIDTHxHEIGHT'.")
    if objection := _objection(int(width), int(height), rule):
        raise bad_value("size", f"Invalid size '{size}'. {objection}", kind=USER_ERROR)
    return int(width), int(height)


def _objection(width: int, height: int, rule: FreeSize) -> str:
    if width % rule.multiple or height % rule.multiple:
        return f"Width and height must both be divisible by {rule.multiple}."
    if max(width, height) > rule.max_edge:
        return f"The longest edge must be at most {rule.max_edge} pixels."
    if width == 0 or height == 0 or Decimal(max(width, height)) > rule.max_ratio * min(width, height):
        return f"The aspect ratio must be between 1:{rule.max_ratio} and {rule.max_ratio}:1."
    if width * height < rule.min_pixels:
        return "The requested size is below the current minimum pixel budget."
    if width * height > rule.max_pixels:
        return "The requested size is above the current maximum pixel budget."
    return ""


def _wished_ratio(prompt: str, images: tuple[Image.Image, ...]) -> float:
    if images:
        return images[0].width / images[0].height
    layout = read(prompt).layout
    return {"poster": 2 / 3, "flyer": 2 / 3, "card": 3 / 2, "slide": 3 / 2}.get(layout, 1.0)


def _nearest(ratio: float, rule: FreeSize, images: tuple[Image.Image, ...]) -> tuple[int, int]:
    if images:
        width, height = images[0].size
        if not _objection(width, height, rule):
            return width, height
    ratio = min(float(rule.max_ratio), max(1 / float(rule.max_ratio), ratio))
    pixels = 1024 * 1024 if ratio == 1 else 1536 * 1024
    step = rule.multiple
    width = round((pixels * ratio) ** 0.5 / step) * step
    height = round((pixels / ratio) ** 0.5 / step) * step
    return width, height


def _quality(quality: str, model: Model) -> str:
    names = tuple(each.name for each in model.qualities)
    if quality == "auto":
        return "medium"
    if quality not in names:
        raise not_one_of("quality", quality, (*names, "auto"))
    return quality


def _output(form: Form, model: Model) -> tuple[Format, int, str]:
    kind = form.text("output_format", "png")
    if kind in model.output.gated_formats:
        message = f"The output format '{kind}' is in preview and not enabled for your organization."
        raise bad_value("output_format", message, "unsupported_value")
    if kind not in model.output.formats:
        raise not_one_of("output_format", kind, model.output.formats)
    for name in _NEWEST - {"complexity"}:
        if name in form.fields:
            raise bad_value(name, f"'{name}' is not supported for the output format '{kind}'.", "unsupported_value")
    if form.text("complexity", "high") not in _LEVELS:
        raise not_one_of("complexity", form.text("complexity"), _LEVELS)
    compression = form.number("output_compression", 100, 0, 100)
    if kind == "png" and compression < 100:
        message = "Compression less than 100 is not supported for PNG output format"
        raise bad_value("output_compression", message, "invalid_png_output_compression", USER_ERROR)
    background = form.text("background", "auto")
    if background not in ("transparent", "opaque", "auto"):
        raise not_one_of("background", background, ("transparent", "opaque", "auto"))
    if background == "transparent" and kind == "jpeg":
        message = "Transparent background is not supported for the output format 'jpeg'."
        raise bad_value("background", message, "unsupported_value", USER_ERROR)
    return kind, compression, "opaque" if background == "auto" else background


def _images(form: Form, model: Model) -> tuple[Image.Image, ...]:
    if not form.images:
        raise missing("image")
    if len(form.images) > model.limits.references:
        message = (
            f"Invalid 'image': array too long. Expected an array with maximum length {model.limits.references}, "
            f"but got an array with length {len(form.images)} instead."
        )
        raise bad_value("image", message, "array_above_max_length")
    opened = []
    for number, data in enumerate(form.images, start=1):
        if len(data) >= model.limits.reference_bytes:
            raise bad_value("image", f"Image file {number} is too large: it must be less than 50MB.", "file_too_large")
        try:
            opened.append(open_picture(data))
        except Unreadable:
            message = f"Invalid image file or mode for image {number}, please check your image file."
            raise bad_value("image", message, "invalid_image_file", USER_ERROR) from None
    return tuple(opened)


def _overlays(form: Form, model: Model, images: tuple[Image.Image, ...]) -> None:
    if form.mask and form.markup:
        raise bad_value("markup", "The parameters 'mask' and 'markup' are mutually exclusive.", "mutually_exclusive")
    if form.markup and Mode.MARKUP not in model.modes:
        raise bad_value("markup", "Unknown parameter: 'markup'.", "unknown_parameter")
    for name, data in (("mask", form.mask), ("markup", form.markup)):
        if data:
            _overlay(name, data, model, images)


def _overlay(name: str, data: bytes, model: Model, images: tuple[Image.Image, ...]) -> None:
    code = f"invalid_{name}_image_format"
    if model.limits.mask_bytes is not None and len(data) >= model.limits.mask_bytes:
        raise bad_value(name, f"The {name} image is too large: it must be less than 4MB.", "file_too_large")
    try:
        opened = open_picture(data, ("PNG",))
    except Unreadable:
        raise bad_value(name, f"Invalid {name} image format - must be a PNG.", code, USER_ERROR) from None
    if "A" not in opened.getbands() and "transparency" not in opened.info:
        raise bad_value(name, f"Invalid {name} image format - {name} image missing alpha channel", code, USER_ERROR)
    if not images or opened.size != images[0].size:
        message = f"Invalid {name} image format - {name} size does not match image size"
        raise bad_value(name, message, code, USER_ERROR)

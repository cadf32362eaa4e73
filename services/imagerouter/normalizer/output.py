"""The output spec: what the caller said, in whichever place, made into one spec with nothing left open but quality and
background, whose "unspecified" is an answer of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from imagerouter.api.common.v1 import task_pb2
from imagerouter.normalizer import aspect
from imagerouter.normalizer.aspect import Ratio
from imagerouter.normalizer.flags import Flags
from imagerouter.normalizer.limits import Limits
from imagerouter.normalizer.notes import Notes
from imagerouter.runtime.errors import InvalidField

_ASPECT: Final = "output.aspect_ratio"
_SHORTHAND: Final = "constraints.aspect_ratio"
_FITS: Final = 0.02
"""How far width and height may lie from a ratio given beside them: models round sides to multiples of 16."""
_TIER_FROM: Final = (
    (2800, task_pb2.SIZE_TIER_4K),
    (1448, task_pb2.SIZE_TIER_2K),
    (724, task_pb2.SIZE_TIER_1K),
    (0, task_pb2.SIZE_TIER_512),
)
"""Side of the square of the same area from which a tier begins: half-way in proportion, but 3840 x 2160 is 4K."""


@dataclass(frozen=True)
class Canvas:
    """Where a canvas may come from besides the request's fields."""

    flags: Flags
    named: Ratio | None = None
    """The ratio that the prompt's words name."""
    base: Ratio | None = None
    """The ratio of the image that is edited."""


def settle_output(
    output: task_pb2.OutputSpec, shorthand: str, canvas: Canvas, limits: Limits, notes: Notes
) -> task_pb2.OutputSpec:
    """Settle a checked spec. `shorthand` is `constraints.aspect_ratio`. InvalidField for ratios that cannot be."""
    settled = task_pb2.OutputSpec()
    settled.CopyFrom(output)
    _settle_size(settled, shorthand, canvas, limits, notes)
    if not settled.count:
        settled.count = 1
        notes.defaulted("output.count", "1", "one image unless more are asked for")
    if settled.format == task_pb2.OUTPUT_FORMAT_UNSPECIFIED:
        settled.format = task_pb2.OUTPUT_FORMAT_PNG
        notes.defaulted("output.format", "png", "PNG unless another format is asked for")
    return settled


def _settle_size(settled: task_pb2.OutputSpec, shorthand: str, canvas: Canvas, limits: Limits, notes: Notes) -> None:
    asked = _asked(settled.aspect_ratio, shorthand, limits)
    flags = canvas.flags
    explicit = bool(asked or settled.width)
    if flags.width and not explicit and not settled.size_tier:
        _check_flag_size(flags, limits)
        settled.width, settled.height = flags.width, flags.height
        notes.mapped("prompt", f"--size {flags.width}x{flags.height}", f"{flags.width}x{flags.height}", "a flag")
    elif flags.width:
        _overridden("--size", f"{flags.width}x{flags.height}", notes)
    ratio = asked
    if settled.width:
        ratio = _fitting(asked, settled, shorthand, limits, notes)
    if flags.ratio and (explicit or settled.width):
        if ratio is None or not flags.ratio.close_to(ratio, _FITS):
            _overridden("--ar", str(flags.ratio), notes)
    elif flags.ratio:
        if not flags.ratio.within(limits.ratio):
            raise InvalidField("prompt", f"--ar: must be between {_bounds(limits)}")
        ratio = flags.ratio
        notes.mapped("prompt", f"--ar {ratio}", str(ratio), "a flag")
    if ratio is None:
        ratio, reason = _default_ratio(canvas)
        notes.defaulted(_ASPECT, str(ratio), reason)
    given = settled.aspect_ratio or shorthand
    settled.aspect_ratio = str(ratio)
    if asked and given.strip() != str(ratio):
        notes.mapped(_ASPECT if not shorthand else _SHORTHAND, given.strip(), str(ratio), "in lowest terms")
    _settle_tier(settled, flags, notes)


def _asked(given: str, shorthand: str, limits: Limits) -> Ratio | None:
    ratios = [_read(field, text, limits) for field, text in ((_ASPECT, given), (_SHORTHAND, shorthand)) if text]
    if len(set(ratios)) > 1:
        raise InvalidField(_SHORTHAND, f"must agree with {_ASPECT}")
    return ratios[0] if ratios else None


def _read(field: str, text: str, limits: Limits) -> Ratio:
    ratio = aspect.parse(text)
    if ratio is None:
        raise InvalidField(field, 'must be "width:height" with both above 0')
    if not ratio.within(limits.ratio):
        raise InvalidField(field, f"must be between {_bounds(limits)}")
    return ratio


def _fitting(asked: Ratio | None, settled: task_pb2.OutputSpec, shorthand: str, limits: Limits, notes: Notes) -> Ratio:
    exact = Ratio.of(settled.width, settled.height)
    if not exact.within(limits.ratio):
        raise InvalidField("output.width", f"width to height must be between {_bounds(limits)}")
    if asked is None:
        notes.defaulted(_ASPECT, str(exact), "from width and height")
        return exact
    if not asked.close_to(exact, _FITS):
        raise InvalidField(_SHORTHAND if shorthand else _ASPECT, "must agree with output.width and output.height")
    return asked


def _check_flag_size(flags: Flags, limits: Limits) -> None:
    if max(flags.width, flags.height) > limits.side:
        raise InvalidField("prompt", f"--size: sides must be 1 to {limits.side}")
    if not Ratio.of(flags.width, flags.height).within(limits.ratio):
        raise InvalidField("prompt", f"--size: width to height must be between {_bounds(limits)}")


def _default_ratio(canvas: Canvas) -> tuple[Ratio, str]:
    if canvas.named:
        return canvas.named, "the only usual ratio that the prompt's words name"
    if canvas.base:
        return canvas.base.nearest_simple(), "closest to the image that is edited"
    return Ratio.of(1, 1), "square unless a ratio is asked for"


def _settle_tier(settled: task_pb2.OutputSpec, flags: Flags, notes: Notes) -> None:
    field, asked = "output.size_tier", settled.size_tier
    if settled.width:
        side = math.sqrt(settled.width * settled.height)
        settled.size_tier = next(tier for least, tier in _TIER_FROM if side >= least)
        if asked and asked != settled.size_tier:
            notes.mapped(field, _tier(asked), _tier(settled.size_tier), "what width and height come to")
        elif not asked:
            notes.defaulted(field, _tier(settled.size_tier), "what width and height come to")
        if flags.tier:
            _overridden("--size", flags.tier, notes)
    elif asked:
        if flags.tier:
            _overridden("--size", flags.tier, notes)
    elif flags.tier:
        settled.size_tier = task_pb2.SizeTier.Value(f"SIZE_TIER_{flags.tier}")
        notes.mapped("prompt", f"--size {flags.tier}", flags.tier, "a flag")
    else:
        settled.size_tier = task_pb2.SIZE_TIER_1K
        notes.defaulted(field, "1K", "1K unless another size is asked for")


def _overridden(flag: str, value: str, notes: Notes) -> None:
    notes.dropped("prompt", f"{flag} {value}", "the request's own fields win over flags")
    notes.warn("prompt", "FLAG_OVERRIDDEN", f"The flag {flag} was left out: the request's own fields win.")


def _tier(tier: task_pb2.SizeTier.ValueType) -> str:
    return task_pb2.SizeTier.Name(tier).removeprefix("SIZE_TIER_")


def _bounds(limits: Limits) -> str:
    return f"1:{limits.ratio:g} and {limits.ratio:g}:1"

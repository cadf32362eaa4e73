"""Canvas wishes inside a prompt: trailing flags (`--ar 4:5`, `--size 1024x1536`) and ratios that the words name."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import Final

from pydantic import BaseModel, ConfigDict

from imagerouter.normalizer import aspect
from imagerouter.normalizer.aspect import Ratio
from imagerouter.normalizer.text import trim

_MOST_FLAGS: Final = 32
_FLAG: Final = re.compile(r"(?:--|\u2014)([A-Za-z][A-Za-z-]{0,15})")
_VALUE: Final = re.compile(r"[\w.:/\u00d7-]{1,24}")
_SIZE: Final = re.compile(r"(\d{2,5})[x\u00d7](\d{2,5})")
_TIERS: Final = {"512": "512", "0.5k": "512", "1k": "1K", "2k": "2K", "4k": "4K"}
_NAMED: Final = re.compile(r"(?<![\d:.,])(\d{1,2})\s?[:\uff1a]\s?(\d{1,2})(?![\d:])")


class _Named(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    ratios: tuple[str, ...]


class FlagsFile(BaseModel):
    """`flags.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    date: dt.date
    aspect_ratio: frozenset[str]
    size: frozenset[str]
    dropped: dict[str, int]
    named_ratios: _Named


@dataclass(frozen=True)
class Flags:
    """What the end of a prompt asked for. `prompt` is the rest; `dropped` are flags that mean nothing here."""

    prompt: str
    ratio: Ratio | None = None
    width: int = 0
    height: int = 0
    tier: str = ""
    dropped: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()
    """Names of known flags whose value could not be read: they stay in the prompt."""


def take_flags(prompt: str, table: FlagsFile) -> Flags:
    """Take known flags off the end of a cleaned prompt, the last one first, until something else stands there.

    Of one flag given twice the last counts, as in the tools that it comes from.
    """
    found = Flags(prompt)
    for _ in range(_MOST_FLAGS):
        step = _take_one(found, table)
        if step is None:
            break
        found = step
        if found.not_understood:
            break
    return found


def _take_one(so_far: Flags, table: FlagsFile) -> Flags | None:
    head, mark, tail = _cut(so_far.prompt)
    flag = _FLAG.fullmatch(mark)
    if flag is None:
        return None
    name, value = flag[1].lower(), unicodedata.normalize("NFKC", tail)
    rest = replace(so_far, prompt=head)
    if name in table.dropped:
        if bool(value) != bool(table.dropped[name]) or (value and not _VALUE.fullmatch(value)):
            return None
        return replace(rest, dropped=(f"--{name} {value}".rstrip(), *so_far.dropped))
    if name in table.aspect_ratio:
        ratio = aspect.parse(value)
        return replace(rest, ratio=so_far.ratio or ratio) if ratio else replace(so_far, not_understood=(name,))
    if name in table.size:
        size = _SIZE.fullmatch(value.lower())
        if size and min(int(size[1]), int(size[2])) > 0:
            kept = (so_far.width, so_far.height) if so_far.width else (int(size[1]), int(size[2]))
            return replace(rest, width=kept[0], height=kept[1])
        tier = _TIERS.get(value.lower())
        return replace(rest, tier=so_far.tier or tier) if tier else replace(so_far, not_understood=(name,))
    return None


def _cut(prompt: str) -> tuple[str, str, str]:
    """Cut the last flag off: what is before it, its mark, and its value, which may be empty."""
    words = prompt.rsplit(maxsplit=2)
    if words and _FLAG.fullmatch(words[-1]):
        return trim(prompt[: -len(words[-1])]), words[-1], ""
    if len(words) >= 2 and _FLAG.fullmatch(words[-2]):
        return (trim(words[0]) if len(words) == 3 else ""), words[-2], words[-1]
    return prompt, "", ""


def named_ratio(prompt: str, table: FlagsFile) -> Ratio | None:
    """Return the ratio that the words name, if they name exactly one of the usual ones."""
    found = {f"{int(width)}:{int(height)}" for width, height in _NAMED.findall(prompt)}
    usual = found.intersection(table.named_ratios.ratios)
    return aspect.parse(usual.pop()) if len(usual) == 1 else None


@lru_cache(maxsize=1)
def load_flags() -> FlagsFile:
    """Read the packaged table. ValueError if it is not well-formed: a defect of the release."""
    text = files("imagerouter.normalizer").joinpath("flags.toml").read_text(encoding="utf-8")
    return FlagsFile.model_validate(tomllib.loads(text))

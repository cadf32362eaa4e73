"""Subset the Noto fonts that the emulators draw with.

    python tools/subset_fonts.py NotoSansCJKsc-Regular.otf [--out services/imagerouter/emulators/fonts]

and likewise for NotoSerifCJKsc-Regular.otf (Latin only) and NotoSans-Regular.ttf (Latin, Greek and Cyrillic that the
CJK fonts lack). Needs fontTools, no dependency of ours: `python -m venv v && v/bin/pip install fonttools`. Where the
sources come from is in the folder's README. The same source and fontTools version give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "services" / "imagerouter" / "emulators" / "fonts"
LIMIT = 2_000_000

LATIN = [(0x20, 0x7E), (0xA0, 0x17F), (0x1E00, 0x1EFF), (0x2000, 0x206F), (0x20A0, 0x20BF), (0x2100, 0x2122)]
EUROPEAN = [
    (0x180, 0x24F),  # Latin Extended-B
    (0x370, 0x3FF),  # Greek
    (0x400, 0x4FF),  # Cyrillic
]
CJK = [
    (0x2150, 0x22FF),  # fractions, arrows, mathematics
    (0x2460, 0x24FF),  # enclosed figures
    (0x2500, 0x26FF),  # boxes, shapes, signs
    (0x2713, 0x2717),  # ticks
    (0x3000, 0x30FF),  # CJK punctuation, hiragana, katakana
    (0xFF00, 0xFFEF),  # full and half width forms
]
# Rows of the 94 x 94 national sets, read through Python's own codecs: (codec, first row, last row).
SETS = [
    ("euc_jp", 16, 47),  # JIS X 0208 level 1
    ("gb2312", 16, 55),  # GB 2312 level 1
    ("euc_kr", 16, 40),  # KS X 1001 hangul
]


def rows(codec: str, first: int, last: int) -> Iterator[int]:
    """Code points of the rows `first`..`last` of a 94 x 94 set."""
    for row in range(first, last + 1):
        for cell in range(1, 95):
            try:
                yield ord(bytes((0xA0 + row, 0xA0 + cell)).decode(codec))
            except UnicodeDecodeError:
                continue


def wanted(name: str) -> set[int]:
    """Code points to keep of the font of that name."""
    cjk = "SansCJK" in name
    ranges = LATIN + EUROPEAN * ("Sans" in name) + CJK * cjk
    points = {point for low, high in ranges for point in range(low, high + 1)}
    if cjk:
        for each in SETS:
            points.update(rows(*each))
    return points


def subset(source: Path, out: Path) -> Path:
    """Write the subset of `source` into the folder `out`; names and licence records are kept, as the OFL asks."""
    from fontTools import subset as ft
    from fontTools.ttLib import TTFont

    options = ft.Options()
    options.layout_features = []
    options.hinting = False
    options.desubroutinize = False
    options.name_IDs = ["*"]
    options.name_languages = [0x409]
    options.name_legacy = False
    options.notdef_outline = True
    options.drop_tables += ["DSIG", "BASE", "vmtx", "vhea", "VORG", "GPOS", "GSUB", "GDEF"]
    options.recalc_timestamp = False

    font = TTFont(source, recalcTimestamp=False)
    worker = ft.Subsetter(options)
    worker.populate(unicodes=wanted(source.name))
    worker.subset(font)

    target = out / f"{source.stem}-subset{source.suffix}"
    out.mkdir(parents=True, exist_ok=True)
    font.save(target)
    return target


def main(argv: list[str]) -> int:
    """Run the tool; 1 if a file came out too large to ship."""
    parser = argparse.ArgumentParser(description="Subset a Noto font for the emulators.")
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(argv)
    target = subset(options.source, options.out)
    data = target.read_bytes()
    print(f"{target.name} {len(data)} bytes sha256 {hashlib.sha256(data).hexdigest()}")
    return 0 if len(data) <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

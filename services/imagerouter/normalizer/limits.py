"""Bounds on what a request may ask for and refer to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The figures of the contract (`task.proto`, `images_service.proto`) and, for input images, of reliability.md
    section 5: what a decoder can be asked to hold.
    """

    prompt_characters: int = 32_000
    """Unicode code points, as given and as cleaned."""
    references: int = 16
    count: int = 32
    side: int = 8192
    """Pixels of a side of the output."""
    ratio: float = 8.0
    """Longer side to shorter."""
    models: int = 64
    instructions: int = 64
    instructions_characters: int = 128_000
    """Of all instructions of a chain together, before they are merged to one prompt."""
    reference_bytes: int = 50 * 1024 * 1024
    reference_side: int = 16_384
    reference_pixels: int = 40_000_000
    head_bytes: int = 64 * 1024
    """What is read of a reference at first; most headers are shorter."""
    header_bytes: int = 8 * 1024 * 1024
    """How far into a file its header may reach. Photo editors put previews and depth maps there."""

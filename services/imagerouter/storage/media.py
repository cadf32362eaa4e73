"""What bytes are, told by their first few and never by what an uploader said."""

from __future__ import annotations

from typing import Final

HEAD_BYTES: Final = 16
"""As many first bytes as `sniff` needs."""

UNKNOWN: Final = "application/octet-stream"


def sniff(head: bytes) -> str:
    """Name the media type of bytes that begin with `head`: image/png, image/jpeg, image/webp, image/gif, or UNKNOWN.

    Signatures: PNG third edition 5.2, JPEG ISO 10918-1 B.1.1.3, WebP RFC 9649 2.4, GIF89a section 17.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return UNKNOWN

"""What bytes are."""

import pytest

from imagerouter.storage import HEAD_BYTES, sniff


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"GIF89a\x01\x00", "image/gif"),
        (b"GIF87a\x01\x00", "image/gif"),
    ],
)
def test_an_image_is_told_by_its_first_bytes(head: bytes, expected: str) -> None:
    """HEAD_BYTES are enough for every format we tell."""
    assert sniff(head[:HEAD_BYTES]) == expected


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x89PN",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"<svg xmlns=",
        b"<!doctype html>",
        b"\xff\xd8",
        b"BM",
        b"%PDF-1.7",
    ],
)
def test_all_else_is_bytes(head: bytes) -> None:
    """What is not certain is not guessed: a browser must not be told that markup is an image."""
    assert sniff(head) == "application/octet-stream"

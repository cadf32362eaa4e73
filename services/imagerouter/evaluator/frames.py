"""Length-prefixed frames over pipes, both ends. Standard library only."""

from __future__ import annotations

import struct
from typing import IO

_LENGTH = struct.Struct(">I")


def write_frame(pipe: IO[bytes], data: bytes) -> None:
    """Write one frame and flush. OSError if nobody reads any more."""
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def read_frame(pipe: IO[bytes], max_bytes: int) -> bytes:
    """Read one frame. EOFError if the other end is gone, ValueError if the frame is longer than `max_bytes`."""
    (length,) = _LENGTH.unpack(_read(pipe, _LENGTH.size))
    if length > max_bytes:
        raise ValueError("frame too long")
    return _read(pipe, length)


def _read(pipe: IO[bytes], length: int) -> bytes:
    data = pipe.read(length)
    if len(data) != length:
        raise EOFError
    return data

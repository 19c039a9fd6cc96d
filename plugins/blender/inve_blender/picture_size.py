"""The size of a picture file from its first bytes, without decoding it. PNG, JPEG and OpenEXR; pure."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from inve_client.plugin.messages import RefusedError

_SEARCHED = 1 << 20
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG's markers that are followed by the size."""


def picture_size(path: str) -> tuple[int, int] | None:
    """Width and height in pixels; None for a kind of file that is not known here.

    Raises:
        RefusedError: it is not there, or is damaged.
    """
    try:
        with open(path, "rb") as file:
            found = _read(file)
    except OSError as error:
        raise RefusedError(
            f"The picture {os.path.basename(path)!r} must be a readable file, got: {error.strerror}; choose "
            f"it again."
        ) from error
    except (struct.error, ValueError) as error:
        raise RefusedError(
            f"The picture {os.path.basename(path)!r} must be whole, got a damaged header; save it again."
        ) from error
    return found


def _read(file: BinaryIO) -> tuple[int, int] | None:
    head = file.read(24)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if head.startswith(b"\xff\xd8"):
        file.seek(2)
        return _jpeg(file)
    if head.startswith(b"\x76\x2f\x31\x01"):
        file.seek(0)
        return _exr(file.read(_SEARCHED))
    return None


def _jpeg(file: BinaryIO) -> tuple[int, int]:
    while True:
        marker = file.read(2)
        if len(marker) < 2 or marker[0] != 0xFF:
            raise ValueError("no size before the picture's data")
        if marker[1] == 0xFF:
            file.seek(-1, os.SEEK_CUR)
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if marker[1] in _SIZES:
            _, height, width = struct.unpack(">BHH", file.read(5))
            return width, height
        file.seek(length - 2, os.SEEK_CUR)


def _exr(data: bytes) -> tuple[int, int]:
    name = b"displayWindow\0box2i\0"
    at = data.find(name)
    if at < 0:
        raise ValueError("no display window")
    left, top, right, bottom = struct.unpack_from("<iiii", data, at + len(name) + 4)
    return right - left + 1, bottom - top + 1

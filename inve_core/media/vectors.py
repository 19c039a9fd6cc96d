"""Motion vectors of a frame out of an EXR, as Nuke's VectorGenerator and VectorToMotion make them.

Such a file has the channels `forward.u`, `forward.v`, `backward.u` and `backward.v`, in one part or in
several. At a pixel, `forward` leads to where that point is in the next frame and `backward` to where it was
in the last one; in pixels, v counted upward. Here the y axis points down, as everywhere else.
"""

import os
from collections.abc import Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import OpenImageIO as oiio  # noqa: N813 - the name that its own documentation uses

from inve_core.errors import MediaError
from inve_core.media.files import (
    MAX_PARTS,
    MAX_SIDE,
    StrPath,
    check_header,
    open_picture,
    printable,
    read_channels,
)

Direction = Literal["forward", "backward"]
_AXES = ("u", "v")


class _Place(NamedTuple):
    """Where one channel is in a file, and how well its name fits."""

    part: int
    channel: int
    is_exact: bool


def check_vectors(path: StrPath, directions: Sequence[Direction]) -> tuple[int, int]:
    """Read the headers of a file of motion vectors.

    Args:
        path: an EXR.
        directions: those that it has to have.

    Returns:
        Width and height of its display window.

    Raises:
        MediaError: it is missing, damaged, no EXR, too large, or lacks a direction.
    """
    with open_picture(path) as source:
        headers = _headers(path, source)
        for direction in directions:
            _places(path, headers, direction)
        return headers[0].full_width, headers[0].full_height


def read_vectors(path: StrPath, directions: Sequence[Direction]) -> list[npt.NDArray[np.float32]]:
    """Read the motion vectors of some directions; the file is decoded once.

    Returns:
        For each direction [height, width, 2] float32 over the display window: pixels right and down. NaN
        where the file says nothing: outside its data window, where it has NaN or infinities, and where a
        vector is longer than any picture.

    Raises:
        MediaError: as `check_vectors`, and if the pixels are damaged or those of a direction say nothing at
            all.
    """
    with open_picture(path) as source:
        headers = _headers(path, source)
        places = {direction: _places(path, headers, direction) for direction in directions}
        size = headers[0].full_height, headers[0].full_width, 2
        found = {direction: np.full(size, np.nan, np.float32) for direction in directions}
        for part, header in enumerate(headers):
            wanted = [
                (found[direction][..., axis], place.channel)
                for direction in directions
                for axis, place in enumerate(places[direction])
                if place.part == part
            ]
            if wanted:
                first, end = min(index for _, index in wanted), max(index for _, index in wanted) + 1
                stored = "half" if str(header.format) == "half" else "float"
                pixels = read_channels(path, source, part, (first, end), stored)
                for target, index in wanted:
                    _put(target, pixels[..., index - first], header)
    for direction, vectors in found.items():
        # Of most files all are, and this is the quicker question.
        if not cv2.checkRange(vectors, True, -MAX_SIDE, MAX_SIDE)[0]:
            known = ((vectors >= -MAX_SIDE) & (vectors < MAX_SIDE)).all(-1)
            if not known.any():
                raise MediaError(
                    f"{os.fspath(path)!r} has no {direction} vector that is a number of pixels; render it "
                    "again."
                )
            vectors[~known] = np.nan
        np.negative(vectors[..., 1], out=vectors[..., 1])
    return [found[direction] for direction in directions]


def _headers(path: StrPath, source: oiio.ImageInput) -> list[oiio.ImageSpec]:
    """The header of every part of an open file."""
    if source.format_name() != "openexr":
        raise MediaError(
            f"{os.fspath(path)!r} is a {source.format_name()} file; motion vectors are read from EXR: "
            "write it as EXR."
        )
    count = min(source.spec().get_int_attribute("oiio:subimages", 1), MAX_PARTS)
    headers = []
    for part in range(max(1, count)):
        if not source.seek_subimage(part, 0):
            break
        headers.append(source.spec())
        check_header(path, headers[-1])
    return headers


def _places(path: StrPath, headers: Sequence[oiio.ImageSpec], direction: Direction) -> tuple[_Place, _Place]:
    """Where the u and the v of a direction are."""
    found = [_find(headers, f"{direction}.{axis}") for axis in _AXES]
    u, v = found
    if u is not None and v is not None:
        return u, v
    names = [printable(name[:40]) for header in headers for name in header.channelnames]
    listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    missing = " and ".join(
        f"{direction}.{axis}" for axis, place in zip(_AXES, found, strict=True) if place is None
    )
    raise MediaError(
        f"{os.fspath(path)!r} has the channels {listed} and no {missing}, which flow must have; write all "
        "channels of a VectorGenerator, or those of its layer `motion`."
    )


def _find(headers: Sequence[oiio.ImageSpec], wanted: str) -> _Place | None:
    """Where a channel is: by its name or its part's and its own, also behind that of a layer or view."""
    found = None
    for part, header in enumerate(headers):
        title = header.get_string_attribute("oiio:subimagename")
        for channel, name in enumerate(header.channelnames):
            for full in (name.lower(), f"{title}.{name}".lower()):
                if full != wanted and not full.endswith(f".{wanted}"):
                    continue
                place = _Place(part, channel, full == wanted)
                if found is None or (place.is_exact and not found.is_exact):
                    found = place
    return found


def _put(target: npt.NDArray[np.float32], values: npt.NDArray[np.generic], header: oiio.ImageSpec) -> None:
    """Write a part's samples over its data window into what is over the display window."""
    x, y = header.x - header.full_x, header.y - header.full_y
    height, width = values.shape
    left, right = max(x, 0), min(x + width, target.shape[1])
    top, bottom = max(y, 0), min(y + height, target.shape[0])
    if left < right and top < bottom:
        target[top:bottom, left:right] = values[top - y : bottom - y, left - x : right - x]

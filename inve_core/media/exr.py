"""EXR files out: RGBA first, then any further parts; and every part of a file back in."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import OpenImageIO as oiio  # noqa: N813 - the name that its own documentation uses

from inve_core.errors import MediaError
from inve_core.media.files import (
    MAX_BYTES,
    MAX_PARTS,
    StrPath,
    atomic_output,
    check_header,
    first_error_line,
    open_picture,
    read_channels,
    storage_error,
)
from inve_core.media.pictures import FloatArray, Picture, PictureSpec
from inve_core.media.plain_exr import SUPPORTED, header_of, write_plain

MAIN_PART = "rgba"
"""Name of the part that holds the picture itself."""

Compression = Literal["zip", "none"]
"""Both keep every bit: `zip` is small, `none` is quick to write and to read and for passing on in memory."""

_HALF_MAX = np.float32(65504)


@dataclass(frozen=True, eq=False)
class Part:
    """A further part of an EXR, over the same data window as the picture it is written with.

    Attributes:
        name: unique within the file.
        channels: the names of its channels.
        pixels: [h, w, len(channels)] float16 or float32, written in that very type.
    """

    name: str
    channels: tuple[str, ...]
    pixels: FloatArray

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != len(self.channels):
            raise ValueError(
                f"part {self.name!r} needs [h, w, {len(self.channels)}] pixels, got shape {self.pixels.shape}"
            )
        if self.pixels.dtype not in (np.float16, np.float32):
            raise ValueError(f"part {self.name!r} needs float16 or float32 pixels, got {self.pixels.dtype}")


def write_exr(
    path: StrPath,
    picture: Picture,
    *,
    bits: int | None = None,
    parts: Sequence[Part] = (),
    compression: Compression = "zip",
    synced: bool = True,
) -> None:
    """Write a picture and its further parts as one EXR, whole or not at all.

    Both windows, the pixel aspect and the kept metadata are written to every part.

    Args:
        path: the file to make or replace; its folder is made where it is missing.
        picture: becomes the first part, "rgba".
        bits: 16 or 32 for the picture's samples, None for the ones it has. Finite values too large for 16
            bits become the largest that fits. The further parts keep their own type.
        parts: each with the shape of the picture's data window.
        compression: of all parts.
        synced: False for a file that need not outlive the machine's next crash.

    Raises:
        StorageError: if the disk is full, the folder not writable, or the writing fails otherwise.
        ValueError: for other bits, two parts of one name or a part of another shape.
    """
    everything = _all_parts(picture, bits, parts)
    with atomic_output(path, synced=synced) as temporary:
        _write(temporary, path, picture, everything, compression)


def exr_bytes(
    picture: Picture,
    *,
    bits: int | None = None,
    parts: Sequence[Part] = (),
    compression: Compression = "zip",
) -> bytes:
    """The content of the file that :func:`write_exr` would write."""
    everything = _all_parts(picture, bits, parts)
    try:
        with _file_in_memory() as path:
            _write(path, path, picture, everything, compression)
            return path.read_bytes()
    except OSError as error:
        raise storage_error(tempfile.gettempdir(), error.strerror or str(error)) from error


@contextlib.contextmanager
def _file_in_memory() -> Iterator[Path]:
    """A name to write to and to read back, for OpenImageIO's Python binding writes to named files only."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        descriptor = os.memfd_create("inve-picture")
        try:
            yield Path(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryDirectory(prefix="inve-") as folder:
            yield Path(folder) / "picture.exr"


def read_parts(path: StrPath) -> dict[str, tuple[tuple[str, ...], npt.NDArray[Any]]]:
    """Every part of an EXR: its name -> (channel names, [h, w, c] pixels over its data window).

    Parts of half samples only come as float16, all others as float32. A part without a name goes by its
    number.

    Raises:
        MediaError: if the file is missing, no EXR, truncated, or too large with all its parts.
    """
    parts: dict[str, tuple[tuple[str, ...], npt.NDArray[Any]]] = {}
    decoded_bytes = 0
    with open_picture(path) as source:
        if source.format_name() != "openexr":
            raise MediaError(f"{os.fspath(path)!r} is a {source.format_name()} file; an EXR was expected.")
        number = 0
        while source.seek_subimage(number, 0):
            header = source.spec()
            check_header(path, header)
            decoded_bytes += header.width * header.height * header.pixel_bytes(True)
            if number >= MAX_PARTS or decoded_bytes > MAX_BYTES:
                raise MediaError(
                    f"{os.fspath(path)!r} has more than {MAX_PARTS} parts or takes more than "
                    f"{MAX_BYTES / 2**30:.0f} GiB once decoded; write fewer parts."
                )
            types = {str(header.channelformat(index)) for index in range(header.nchannels)}
            pixels = read_channels(
                path, source, number, (0, header.nchannels), "half" if types == {"half"} else "float"
            )
            name = header.get_string_attribute("oiio:subimagename") or str(number)
            parts[name] = (tuple(header.channelnames), pixels)
            number += 1
    return parts


def _with_bits(pixels: FloatArray, bits: int | None) -> FloatArray:
    if bits is None:
        return pixels
    if bits == 32:
        return pixels.astype(np.float32, copy=False)
    if bits != 16:
        raise ValueError(f"bits must be 16 or 32, got {bits}")
    if pixels.dtype == np.float16:
        return pixels
    fitting = np.where(np.isfinite(pixels), np.clip(pixels, -_HALF_MAX, _HALF_MAX), pixels)
    return fitting.astype(np.float16)


def _check_parts(spec: PictureSpec, parts: Sequence[Part]) -> None:
    _, _, width, height = spec.data_window
    names = [part.name for part in parts]
    for index, part in enumerate(parts):
        if part.name in names[:index]:
            raise ValueError(f"two parts are called {part.name!r}; the names must differ")
        if part.pixels.shape[:2] != (height, width):
            raise ValueError(
                f"part {part.name!r} is {part.pixels.shape[:2]}, the data window is {(height, width)}"
            )


def _all_parts(picture: Picture, bits: int | None, parts: Sequence[Part]) -> tuple[Part, ...]:
    everything = (Part(MAIN_PART, ("R", "G", "B", "A"), _with_bits(picture.pixels, bits)), *parts)
    _check_parts(picture.spec, everything)
    return everything


def _write(
    temporary: Path, path: StrPath, picture: Picture, parts: Sequence[Part], compression: Compression
) -> None:
    """Write the parts to a temporary name; errors speak of the path that was asked for."""
    headers = tuple(_header(picture, part, compression) for part in parts)
    if compression == "none" and len(parts) == 1 and SUPPORTED:
        _write_quickly(temporary, path, headers[0], parts[0].pixels)
    else:
        _write_by_library(temporary, path, headers, parts)


def _write_by_library(
    temporary: Path, path: StrPath, headers: tuple[oiio.ImageSpec, ...], parts: Sequence[Part]
) -> None:
    """Any parts in any compression. Without parts, the headers alone."""
    output = oiio.ImageOutput.create("openexr")
    if output is None:
        raise storage_error(path, f"the EXR writer is not there ({oiio.geterror()})")
    try:
        written = output.open(os.fspath(temporary), headers)
        for number, part in enumerate(parts):
            if number:
                written = written and output.open(os.fspath(temporary), headers[number], "AppendSubimage")
            written = written and output.write_image(np.ascontiguousarray(part.pixels))
    finally:
        closed = output.close()
    if not (written and closed):
        reason = first_error_line(output).replace(os.fspath(temporary), os.fspath(path))
        raise storage_error(path, reason)


def _write_quickly(temporary: Path, path: StrPath, header: oiio.ImageSpec, pixels: FloatArray) -> None:
    """One uncompressed part; the same bytes as `_write_by_library` writes."""
    _write_by_library(temporary, path, (header,), ())
    begun = header_of(temporary.read_bytes(), len(pixels))
    try:
        with open(temporary, "r+b", buffering=0) as file:
            write_plain(file.fileno(), begun, pixels, header.y)
    except OSError as error:
        raise storage_error(path, error.strerror or str(error)) from error


def _header(picture: Picture, part: Part, compression: Compression) -> oiio.ImageSpec:
    spec = picture.spec
    sample_type = "half" if part.pixels.dtype == np.float16 else "float"
    x, y, width, height = spec.data_window
    header = oiio.ImageSpec(width, height, len(part.channels), sample_type)
    header.channelnames = part.channels
    header.full_x, header.full_y = spec.origin
    header.full_width, header.full_height = spec.width, spec.height
    header.x, header.y = spec.origin[0] + x, spec.origin[1] + y
    for name, (kind, value) in picture.metadata.items():
        header.attribute(name, oiio.TypeDesc(kind), value)
    header.attribute("compression", compression)
    header.attribute("PixelAspectRatio", float(spec.pixel_aspect))
    header.attribute("oiio:subimagename", part.name)
    header.attribute("DateTime", "")  # no time of day: the same picture makes the same file
    return header

"""Picture files at the edge: opened safely, capped before they are decoded, replaced atomically when written.

Everything here turns what the operating system and OpenImageIO report into MediaError and StorageError.
"""

import contextlib
import os
import re
import shutil
import stat
import struct
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import OpenImageIO as oiio  # noqa: N813 - the name that its own documentation uses

from inve_core.errors import MediaError, StorageError

MAX_SIDE = 16384
"""Longest side in pixels of a picture that is read, for both of its windows."""

MAX_CHANNELS = 64
"""Most channels of one part."""

MAX_PARTS = 256
"""Most parts of one file."""

MAX_BYTES = 2 << 30
"""Most bytes that one picture may take once decoded."""

StrPath = str | os.PathLike[str]

# A reader that is picked by content may decode while it opens, before any cap applies; so a file must first
# look like one of these. WebP decodes at once, but cannot exceed MAX_SIDE; GIF's size is looked at before.
# JPEG 2000 and JPEG XL are left out because they decode at once whatever their headers claim.
_SIGNATURES = (
    b"\x76\x2f\x31\x01",  # EXR
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",  # JPEG
    b"II*\x00",  # TIFF
    b"MM\x00*",
    b"II+\x00",  # BigTIFF
    b"MM\x00+",
    b"SDPX",  # DPX
    b"XPDS",
    b"\x80\x2a\x5f\xd7",  # Cineon
    b"\xd7\x5f\x2a\x80",
    b"BM",  # BMP
    b"#?RADIANCE",  # HDR
    b"#?RGBE",
    b"\x01\xda",  # SGI
    b"RIFF",  # WebP
    b"GIF87a",
    b"GIF89a",
    b"8BPS",  # PSD
    b"DDS ",
    b"FOR4",  # Maya's IFF
    b"\x00\x00\x01\x00",  # ICO
    b"\x53\x80\xf6\x34",  # Softimage PIC
)
_PNM = re.compile(rb"P[1-6fF]\s")
_READERS = frozenset(
    {"openexr", "png", "jpeg", "tiff", "dpx", "cineon", "targa", "bmp", "hdr", "sgi", "webp"}
    | {"gif", "psd", "dds", "iff", "ico", "softimage", "pnm"}
)
PICTURE_SUFFIXES = frozenset(
    {
        ".exr",
        ".png",
        ".jpg",
        ".jpeg",
        ".tif",
        ".tiff",
        ".dpx",
        ".cin",
        ".tga",
        ".bmp",
        ".hdr",
        ".sgi",
        ".webp",
    }
)


def require_regular_file(path: StrPath, what: str) -> str:
    """The path as text, once it is sure to name a regular file (a pipe would block, a device never end).

    Args:
        path: the file.
        what: what it should be, for the message: "picture" or "movie".

    Raises:
        MediaError: if there is no such file, it is no regular file, or it is empty.
    """
    name = os.fspath(path)
    try:
        status = os.stat(name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(f"{name!r} cannot be read as a {what}: {reason}; check the path.") from error
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(f"{name!r} is not a {what} file but a folder or a device; name one {what} file.")
    if status.st_size == 0:
        raise MediaError(f"{name!r} is empty, a {what} was expected; write it again.")
    return name


@contextlib.contextmanager
def open_picture(path: StrPath) -> Iterator[oiio.ImageInput]:
    """Open a picture and read its header only; straight alpha is left straight (see `alpha_is_straight`).

    Raises:
        MediaError: if the file is missing, of no supported format, or its header is damaged.
    """
    name = require_regular_file(path, "picture")
    _check_signature(name)
    hints = oiio.ImageSpec()
    hints.attribute("oiio:UnassociatedAlpha", 1)
    source = oiio.ImageInput.open(name, hints)
    if source is None:
        raise MediaError(
            f"{name!r} cannot be read as a picture: {_reason(oiio.geterror)}; write the file again "
            f"(up to {MAX_SIDE}x{MAX_SIDE} pixels)."
        )
    try:
        if source.format_name() not in _READERS:
            raise MediaError(
                f"{name!r} is a {source.format_name()} file, which is not supported; convert it to EXR, PNG "
                "or TIFF."
            )
        yield source
    except UnicodeDecodeError as error:  # a name in the header, on its way from OpenImageIO to Python
        raise MediaError(f"{name!r} has a damaged header; write the file again.") from error
    finally:
        source.close()


def alpha_is_straight(spec: oiio.ImageSpec) -> bool:
    """Whether the samples of a file opened by :func:`open_picture` are not premultiplied by their alpha."""
    return bool(spec.get_int_attribute("oiio:UnassociatedAlpha", 0))


def check_header(path: StrPath, spec: oiio.ImageSpec) -> None:
    """Refuse what a header claims before a single pixel of it is decoded.

    Raises:
        MediaError: for a side over MAX_SIDE, more than MAX_CHANNELS channels, more than MAX_BYTES once
            decoded, deep or three-dimensional pictures.
    """
    name = os.fspath(path)
    if spec.deep:
        raise MediaError(f"{name!r} holds deep pixels, flat ones were expected; flatten it first.")
    sides = (spec.width, spec.height, spec.full_width, spec.full_height)
    if min(sides) < 1 or max(sides) > MAX_SIDE or max(spec.depth, spec.full_depth) > 1:
        raise MediaError(
            f"{name!r} claims {spec.width}x{spec.height} pixels in a frame of "
            f"{spec.full_width}x{spec.full_height}; sides of 1 to {MAX_SIDE} pixels are read: scale it down."
        )
    if not 1 <= spec.nchannels <= MAX_CHANNELS:
        raise MediaError(
            f"{name!r} has {spec.nchannels} channels in one part, 1 to {MAX_CHANNELS} are read; "
            "write fewer channels or split it into parts."
        )
    # What the decoder fills, what a float RGBA of the data window takes, and a float RGB of the whole frame.
    decoded = max(
        spec.width * spec.height * max(spec.pixel_bytes(True), 4 * 4),
        spec.full_width * spec.full_height * 3 * 4,
    )
    if decoded > MAX_BYTES:
        raise MediaError(
            f"{name!r} would take {decoded / 2**30:.1f} GiB once decoded, {MAX_BYTES / 2**30:.0f} GiB is the "
            "most; "
            "scale it down or write fewer channels."
        )


def read_channels(
    path: StrPath,
    source: oiio.ImageInput,
    part: int,
    channels: tuple[int, int],
    sample_type: str,
) -> npt.NDArray[np.generic]:
    """Decode the channels first..last (exclusive) of one part.

    Returns:
        [h, w, last - first] over the data window, of the asked-for OpenImageIO type.

    Raises:
        MediaError: if the file is truncated or damaged, also where a decoder would fill in what is missing.
    """
    pixels = source.read_image(part, 0, channels[0], channels[1], sample_type)
    # The error flag matters even when pixels came: a truncated JPEG decodes to half a picture and grey.
    if pixels is None or source.has_error:
        raise MediaError(
            f"{os.fspath(path)!r} is truncated or damaged: {_reason(source.geterror)}; write the file again."
        )
    shape = (pixels.shape[0], pixels.shape[1], channels[1] - channels[0])
    return np.asarray(pixels).reshape(shape)


@contextlib.contextmanager
def atomic_output(path: StrPath, *, synced: bool = True) -> Iterator[Path]:
    """A temporary name beside `path` to write to; renamed to `path` at the end, removed on failure.

    The folder is made where it is missing. The content is synced before the rename, so that `path` never
    names half a file, not even after a power cut; `synced=False` leaves that out.

    Raises:
        StorageError: if the folder cannot be made or the file cannot be written or renamed.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(target, error.strerror or str(error)) from error
    # The suffix stays last because encoders choose their format by it; the dot hides it from sequence
    # listings.
    temporary = target.with_name(f".{target.stem[:16]}.{uuid.uuid4().hex}.tmp{target.suffix}")
    try:
        yield temporary
        try:
            if synced:
                with open(temporary, "rb+") as written:
                    os.fsync(written.fileno())
            os.replace(temporary, target)
        except OSError as error:
            raise storage_error(target, error.strerror or str(error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def storage_error(path: StrPath, reason: str) -> StorageError:
    """The error for a file that could not be written, with the space left on its disk where that is known."""
    target = Path(path)
    try:
        free_bytes = shutil.disk_usage(target.parent).free
    except OSError:
        return StorageError(
            f"{str(target)!r} could not be written: {reason}; choose a folder that can be written to."
        )
    return StorageError(
        f"{str(target)!r} could not be written: {reason} ({free_bytes / 2**20:.0f} MiB are free there); "
        "free some space or choose a folder that can be written to."
    )


def first_error_line(output: oiio.ImageOutput) -> str:
    """What an OpenImageIO writer says went wrong, as one line."""
    return _reason(output.geterror)


def _check_signature(name: str) -> None:
    try:
        with open(name, "rb") as file:
            head = file.read(16)
    except OSError as error:
        raise MediaError(
            f"{name!r} cannot be read as a picture: {error.strerror}; check its permissions."
        ) from error
    # TGA has no signature, only few values that its second and third byte may have.
    maybe_tga = name.lower().endswith(".tga") and head[1:2] in b"\0\1" and head[2:3] in b"\1\2\3\x09\x0a\x0b"
    if not (maybe_tga or head.startswith(_SIGNATURES) or _PNM.match(head)):
        raise MediaError(
            f"{name!r} is not a picture of a supported format (EXR, PNG, JPEG, TIFF, DPX, Cineon, TGA, BMP, "
            "HDR, SGI, WebP, GIF, PSD, DDS, IFF, ICO, PIC, PNM); convert it to one of them."
        )
    if head.startswith(b"GIF8"):
        width, height = struct.unpack_from("<2H", head.ljust(10, b"\0"), 6)
        if not 1 <= min(width, height) <= max(width, height) <= MAX_SIDE:
            raise MediaError(
                f"{name!r} claims {width}x{height} pixels; sides of 1 to {MAX_SIDE} pixels are read: "
                "scale it down."
            )


def printable(text: str) -> str:
    """Text out of a file, fit for a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _reason(get_error: Callable[[], str]) -> str:
    """What OpenImageIO says went wrong, as one line."""
    try:
        lines = get_error().strip().splitlines()
    except UnicodeDecodeError:  # it quotes the bytes of a damaged header
        return "its header is damaged"
    # It may quote what a damaged file holds, which belongs on no terminal.
    shown = printable(lines[0][:200]) if lines else ""
    return shown.rstrip(" .") or "no reason was given"

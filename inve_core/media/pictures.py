"""Pictures in memory, and how a file of any supported format becomes one.

A picture is scene-linear RGBA with its colour premultiplied, as EXR has it, over its data window. Samples
keep their source's precision: half stays float16 and float stays float32, bit for bit; 8- and 10-bit integers
fit float16, 12- and 16-bit ones need float32.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import OpenImageIO as oiio  # noqa: N813 - the name that its own documentation uses

from inve_core.errors import MediaError
from inve_core.media.colour import curve_to_linear, linear_table
from inve_core.media.files import (
    MAX_PARTS,
    StrPath,
    alpha_is_straight,
    check_header,
    open_picture,
    read_channels,
)

SourceType = Literal["uint8", "uint10", "uint12", "uint16", "half", "float"]
FloatArray = npt.NDArray[np.float16 | np.float32]

# Header entries of an EXR that mean something to the next program and stay true when pixels are edited.
KEPT_METADATA = (
    "chromaticities",
    "whiteLuminance",
    "adoptedNeutral",
    "oiio:ColorSpace",
    "FramesPerSecond",
    "smpte:TimeCode",
    "smpte:KeyCode",
    "worldtocamera",
    "worldtoscreen",
    "Copyright",
)
# Formats whose colour is not premultiplied, which OpenImageIO does not say of them. (It divides DXT2 and DXT4
# by their alpha itself.)
STRAIGHT_FORMATS = ("bmp", "dds", "ico")


@dataclass(frozen=True)
class PictureSpec:
    """What is known of a picture from its header.

    Attributes:
        width, height: the display window, in pixels; picture coordinates refer to it.
        pixel_aspect: width of a pixel over its height.
        data_window: (x, y, width, height) of the stored pixels, relative to the display window's corner.
        source_type: the samples as the file stores them.
        colour_space: the file's own name for its colour space; "linear" for float files that name none.
        channels: the names of the file's (for EXR: the read part's) channels.
        origin: the display window's corner in the file's own coordinates, kept for writing.
        orientation: the Exif orientation 1..8. Only textures are turned by it: a plate's pixels stay where
            the host shows them.
    """

    width: int
    height: int
    pixel_aspect: float
    data_window: tuple[int, int, int, int]
    source_type: SourceType
    colour_space: str
    channels: tuple[str, ...]
    origin: tuple[int, int] = (0, 0)
    orientation: int = 1

    @property
    def dtype(self) -> type[np.float16] | type[np.float32]:
        """The type of the picture's samples in memory."""
        return sample_type(self.source_type)


def sample_type(source_type: str) -> type[np.float16] | type[np.float32]:
    """The type of samples in memory that holds a file's exactly."""
    return np.float16 if source_type in ("half", "uint8", "uint10") else np.float32


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels with their header.

    Attributes:
        spec: the header.
        pixels: [h, w, 4] float16 or float32 over the data window, RGBA, scene-linear, colour premultiplied;
            alpha is 1 where the file has none. Values below 0, above 1, NaN and infinities live through.
        metadata: entries to write back, name -> (OpenImageIO type, value).
    """

    spec: PictureSpec
    pixels: FloatArray
    metadata: Mapping[str, tuple[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _, _, width, height = self.spec.data_window
        if self.pixels.shape != (height, width, 4):
            raise ValueError(
                f"pixels must be {(height, width, 4)} by the data window, got {self.pixels.shape}"
            )
        if self.pixels.dtype not in (np.float16, np.float32):
            raise ValueError(f"pixels must be float16 or float32, got {self.pixels.dtype}")

    def display_rgb(self) -> npt.NDArray[np.float32]:
        """float32 [height, width, 3] over the display window, black outside the data window."""
        return _on_display(self.spec, self.pixels[..., :3])

    def display_rgba(self) -> npt.NDArray[np.float32]:
        """float32 [height, width, 4] over the display window, 0 outside the data window."""
        return _on_display(self.spec, self.pixels)


def integer_type(bits: int) -> SourceType:
    """The source type of integer samples of so many bits."""
    if bits <= 8:
        return "uint8"
    if bits <= 10:
        return "uint10"
    return "uint12" if bits <= 12 else "uint16"


def read_spec(path: StrPath) -> PictureSpec:
    """Read a picture's header and nothing else.

    Raises:
        MediaError: if the file is missing, unreadable, too large or has no channels that make a picture.
    """
    with open_picture(path) as source:
        _, header = _colour_part(path, source)
        return _spec(path, source, header, _colour_indices(path, source, header))


def read_picture(path: StrPath) -> Picture:
    """Read a picture, linearised and premultiplied.

    Integer samples are linearised by the colour space that the file names, sRGB where it names none; float
    samples are taken as they are. Of a multi-part EXR the first part with R, G and B is read; of the channels
    R, G, B and A, else the first layer that has R, G and B (diffuse.R and so on), else Y, else the only one.

    Raises:
        MediaError: if the file is missing, unreadable, truncated, too large, or its colour space has no known
        curve.
    """
    with open_picture(path) as source:
        part, header = _colour_part(path, source)
        indices = _colour_indices(path, source, header)
        spec = _spec(path, source, header, indices)
        stored = _without_padding(source, _read_indices(path, source, part, spec, indices))
        pixels = _linear_rgba(path, spec, stored, straight=_is_straight(source, header))
        return Picture(spec, pixels, _metadata(header, spec))


def read_display_rgb(path: StrPath) -> npt.NDArray[np.float32]:
    """`read_picture(path).display_rgb()` in single precision throughout, and faster for integer pictures.

    Returns:
        float32 [height, width, 3], scene-linear, over the display window.

    Raises:
        MediaError: as read_picture.
    """
    with open_picture(path) as source:
        part, header = _colour_part(path, source)
        indices = _colour_indices(path, source, header)
        spec = _spec(path, source, header, indices)
        stored = _without_padding(source, _read_indices(path, source, part, spec, indices))
        if np.issubdtype(stored.dtype, np.integer) and stored.shape[2] == 3:
            table = _table(path, spec, int(np.iinfo(stored.dtype).max))
            if stored.dtype == np.uint8:
                shown: npt.NDArray[np.float32] = np.asarray(cv2.LUT(stored, table), np.float32)
            else:
                shown = table.take(stored)
        else:
            rgba = _linear_rgba(path, spec, stored, straight=_is_straight(source, header))
            shown = rgba[..., :3].astype(np.float32)
        if spec.data_window == (0, 0, spec.width, spec.height):
            return shown
        return _on_display(spec, shown)


def read_matte(path: StrPath) -> npt.NDArray[np.float32]:
    """Read a matte: coverage over the display window, 0 outside the data window.

    The first of R, Y or whatever the file's first channel is; but where a colour picture comes with an alpha
    that is not the same everywhere, that alpha. Codes are taken as coverage, with no colour curve.

    Returns:
        float32 [height, width], clipped to 0..1.

    Raises:
        MediaError: as read_picture, and if the matte has a pixel that is no number.
    """
    with open_picture(path) as source:
        part, header = _colour_part(path, source)
        names = [name.upper() for name in header.channelnames]
        first = next((names.index(name) for name in ("R", "Y") if name in names), 0)
        indices = [first]
        if "A" in names and names.index("A") != first:
            indices.append(names.index("A"))
        spec = _spec(path, source, header, indices)
        stored = _read_indices(path, source, part, spec, indices)
    coverage = _unit_range(stored)
    chosen = coverage[..., 0]
    if coverage.shape[2] == 2 and np.ptp(coverage[..., 1]) > 0:
        chosen = coverage[..., 1]
    if np.isnan(chosen).any():
        raise MediaError(
            f"matte {os.fspath(path)!r} holds pixels that are NaN, 0 to 1 was expected; render it again."
        )
    return _on_display(spec, np.clip(chosen, 0.0, 1.0)[..., None])[..., 0]


def read_texture(path: StrPath) -> npt.NDArray[np.float32]:
    """Read a picture to be placed as a texture: upright by its orientation tag, over its display window.

    Colour is made linear by the file's colour space first, and premultiplied then. Whether the file holds it
    premultiplied is OpenImageIO's to say: EXR and most of what has no word for it do, PNG and TGA do not. Nor
    do BMP, DDS and ICO, of which it says nothing.

    Returns:
        float32 [height, width, 4], scene-linear, premultiplied, alpha clipped to 0..1.

    Raises:
        MediaError: as read_picture, and if a pixel is NaN or infinite.
    """
    picture = read_picture(path)
    rgba = picture.display_rgba()
    if not np.isfinite(rgba).all():
        raise MediaError(
            f"texture {os.fspath(path)!r} holds NaN or infinite pixels, finite ones were expected; "
            "clean it up first."
        )
    np.clip(rgba[..., 3], 0.0, 1.0, out=rgba[..., 3])
    return np.ascontiguousarray(_upright(rgba, picture.spec.orientation))


def _colour_part(path: StrPath, source: oiio.ImageInput) -> tuple[int, oiio.ImageSpec]:
    """The number and header of the first part with R, G and B, else of the first part; within the caps."""
    first = source.spec()
    # Only EXR's parts are pictures of their own; elsewhere they are pages, thumbnails or smaller copies.
    parts = first.get_int_attribute("oiio:subimages", 1) if source.format_name() == "openexr" else 1
    for part in range(min(parts, MAX_PARTS)):
        if not source.seek_subimage(part, 0):
            break
        header = source.spec()
        if {"R", "G", "B"} <= {name.upper() for name in header.channelnames}:
            check_header(path, header)
            return part, header
    source.seek_subimage(0, 0)
    check_header(path, first)
    return 0, first


def _colour_indices(path: StrPath, source: oiio.ImageInput, header: oiio.ImageSpec) -> list[int]:
    """Where red, green, blue and, where there is one, alpha stand among a part's channels."""
    channels = header.channelnames
    names = [name.upper() for name in channels]
    if source.format_name() != "openexr" and len(names) == 2:
        # Only EXR names its channels. Elsewhere two samples are grey and alpha, whatever a reader calls them.
        return [0, 0, 0, 1]
    if "RY" in names or "BY" in names:
        raise MediaError(
            f"{os.fspath(path)!r} stores luminance and chroma; red, green and blue were expected: "
            "write it as RGB."
        )
    for prefix in ("", *(name.removesuffix("R") for name in names if name.endswith(".R"))):
        if all(prefix + letter in names for letter in "RGB"):
            return [names.index(prefix + letter) for letter in "RGBA" if prefix + letter in names]
    greys = [name for name in names if name != "A"] or names
    if "Y" not in names and len(greys) > 1:
        listed = ", ".join(repr(name[:40]) for name in channels[:8]) + (", ..." if len(channels) > 8 else "")
        raise MediaError(
            f"{os.fspath(path)!r} has the channels {listed}; R, G and B, or Y, were expected: "
            "write it with those."
        )
    grey = names.index("Y" if "Y" in names else greys[0])
    alpha = [names.index("A")] if "A" in names and names.index("A") != grey else []
    return [grey, grey, grey, *alpha]


def _is_straight(source: oiio.ImageInput, header: oiio.ImageSpec) -> bool:
    """Whether colour is not premultiplied; a second sample that no reader calls alpha comes from painters."""
    unknown = source.format_name() != "openexr" and header.alpha_channel < 0
    return unknown or source.format_name() in STRAIGHT_FORMATS or alpha_is_straight(header)


def _without_padding(source: oiio.ImageInput, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Samples without an alpha that is no alpha: of BMP and ICO the fourth byte is often unused, and zero."""
    padded = source.format_name() in ("bmp", "ico") and stored.shape[2] == 4 and not stored[..., 3].any()
    return np.ascontiguousarray(stored[..., :3]) if padded else stored


def _spec(
    path: StrPath, source: oiio.ImageInput, header: oiio.ImageSpec, indices: Sequence[int]
) -> PictureSpec:
    source_type = _source_type(path, header, indices)
    colour_space = header.get_string_attribute("oiio:ColorSpace")
    if not colour_space:
        colour_space = "linear" if source_type in ("half", "float") else "srgb_rec709_scene"
    aspect = header.get_float_attribute("PixelAspectRatio", 1.0)
    if source.format_name() == "openexr":
        origin = (header.full_x, header.full_y)
        size = (header.full_width, header.full_height)
        window = (header.x - origin[0], header.y - origin[1], header.width, header.height)
    else:  # a page position or a scan offset is no data window
        origin = (0, 0)
        size = (header.width, header.height)
        window = (0, 0, *size)
    return PictureSpec(
        width=size[0],
        height=size[1],
        pixel_aspect=aspect if math.isfinite(aspect) and aspect > 0 else 1.0,
        data_window=window,
        source_type=source_type,
        colour_space=colour_space,
        channels=tuple(header.channelnames),
        origin=origin,
        orientation=header.get_int_attribute("Orientation", 1),
    )


def _source_type(path: StrPath, header: oiio.ImageSpec, indices: Sequence[int]) -> SourceType:
    """How a file stores the channels that are read of it."""
    types = {str(header.channelformat(index)) for index in indices}
    if types <= {"half"}:
        return "half"
    if types <= {"half", "float", "double"}:
        return "float"
    if types <= {"uint8", "uint16"}:
        return integer_type(header.get_int_attribute("oiio:BitsPerSample", 16 if "uint16" in types else 8))
    raise MediaError(
        f"{os.fspath(path)!r} stores {', '.join(sorted(types))} samples; 8- to 16-bit unsigned integers, "
        "half or float were expected: convert it to EXR."
    )


def _read_indices(
    path: StrPath, source: oiio.ImageInput, part: int, spec: PictureSpec, indices: Sequence[int]
) -> npt.NDArray[Any]:
    """Decode the channels at `indices`, in that order, in the file's own type: [h, w, len(indices)].

    OpenImageIO spreads 10- and 12-bit codes over the 16-bit range.
    """
    sample_type = {"uint8": "uint8", "half": "half", "float": "float"}.get(spec.source_type, "uint16")
    first, end = min(indices), max(indices) + 1
    stored = read_channels(path, source, part, (first, end), sample_type)
    wanted = [index - first for index in indices]
    return stored if wanted == list(range(end - first)) else stored[..., wanted]


def _linear_rgba(path: StrPath, spec: PictureSpec, stored: npt.NDArray[Any], *, straight: bool) -> FloatArray:
    """Scene-linear premultiplied RGBA of stored RGB or RGBA samples, in the picture's own precision."""
    if not np.issubdtype(stored.dtype, np.integer):
        return _with_alpha(stored, premultiply=straight)
    table = _table(path, spec, int(np.iinfo(stored.dtype).max))
    if stored.shape[2] == 3:
        return _with_alpha(table[stored].astype(spec.dtype, copy=False), premultiply=False)
    alpha = _unit_range(stored[..., 3:])
    if straight:
        colour = table[stored[..., :3]] * alpha
    else:
        # The curve is meant for the colour itself, so the encoded colour is divided by its alpha before it.
        curve = curve_to_linear(spec.colour_space)
        assert curve is not None  # linear_table has just used it
        covered = np.where(alpha > 0, alpha, np.float32(1))
        colour = curve(_unit_range(stored[..., :3]) / covered) * covered
    rgba: FloatArray = np.concatenate([colour, alpha], axis=2).astype(spec.dtype, copy=False)
    return rgba


def _table(path: StrPath, spec: PictureSpec, code_max: int) -> npt.NDArray[np.float32]:
    """Linear light of each integer code, by the picture's colour space."""
    try:
        return linear_table(spec.colour_space, code_max)
    except ValueError as error:
        raise MediaError(
            f"{os.fspath(path)!r} is in the colour space {spec.colour_space!r}, whose curve is not known; "
            "convert it to a scene-linear EXR."
        ) from error


def _with_alpha(pixels: npt.NDArray[Any], *, premultiply: bool) -> FloatArray:
    if pixels.shape[2] == 3:
        opaque = np.empty((*pixels.shape[:2], 4), pixels.dtype)
        opaque[..., :3] = pixels
        opaque[..., 3] = 1
        return opaque
    if premultiply:
        pixels = pixels.copy()
        pixels[..., :3] *= pixels[..., 3:]
    return np.ascontiguousarray(pixels)


def _unit_range(stored: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Samples as float32; integer codes become 0..1."""
    if np.issubdtype(stored.dtype, np.integer):
        return stored.astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)
    return stored.astype(np.float32)


def _on_display(spec: PictureSpec, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """float32 [height, width, c] over the display window of pixels over the data window, 0 elsewhere."""
    x, y, width, height = spec.data_window
    shown = np.zeros((spec.height, spec.width, pixels.shape[2]), np.float32)
    left, right = max(x, 0), min(x + width, spec.width)
    top, bottom = max(y, 0), min(y + height, spec.height)
    if left < right and top < bottom:
        shown[top:bottom, left:right] = pixels[top - y : bottom - y, left - x : right - x]
    return shown


def _metadata(header: oiio.ImageSpec, spec: PictureSpec) -> Mapping[str, tuple[str, Any]]:
    """What is written back with the picture's pixels once they are scene-linear."""
    if spec.source_type in ("half", "float"):
        kept = {
            entry.name: (str(entry.type), entry.value)
            for entry in header.extra_attribs
            if entry.name in KEPT_METADATA
        }
    elif spec.colour_space.endswith("rec709_scene"):
        kept = {"oiio:ColorSpace": ("string", "lin_rec709_scene")}
    else:
        kept = {}
    return kept


def _upright(pixels: npt.NDArray[np.float32], orientation: int) -> npt.NDArray[np.float32]:
    """Turn stored rows into what is seen, by the Exif orientation 1..8 (an unknown one means upright)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels

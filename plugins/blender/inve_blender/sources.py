"""Which pictures a strip shows: files, their numbers, mattes. Says in a sentence what cannot be used.

Reads Blender's data only. The daemon looks at the files; a slow disk must not hold Blender up.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass

import bpy

from inve_client.plugin.messages import RefusedError

from . import compat
from .properties import InveStrip

_NUMBER = re.compile(r"(\d+)(?!.*\d)")
_KINDS = {
    "SOUND": "sound",
    "SCENE": "a scene",
    "META": "a meta strip",
    "CLIP": "a movie clip",
    "MASK": "a mask",
    "COLOR": "a colour",
    "TEXT": "a text",
    "ADJUSTMENT": "an adjustment layer",
    "MULTICAM": "a multicam selector",
}


@dataclass(frozen=True)
class Source:
    """The pictures behind a strip.

    Attributes:
        pattern: absolute; `shot.%04d.exr`, or a movie's path.
        frame_range: first and last number of the pictures; None is all of a movie.
        is_movie: whether frames are counted from 0 in a movie.
        first_frame: the number of the strip's first picture: its element 0, a movie's frame 0.
    """

    pattern: str
    frame_range: tuple[int, int] | None
    is_movie: bool
    first_frame: int


def source_of(strip: bpy.types.bpy_struct) -> Source:
    """The pictures of a strip.

    Raises:
        RefusedError: it shows no movie and no numbered pictures.
    """
    if strip.type == "MOVIE":
        return _movie(strip)
    if strip.type == "IMAGE":
        return _sequence(strip)
    what = _KINDS.get(strip.type, "an effect")
    raise RefusedError(
        f"The strip {strip.name!r} must be a movie or an image sequence, got {what}; select the "
        f"strip below it."
    )


def mattes_of(
    strip: bpy.types.bpy_struct, settings: InveStrip, editor: bpy.types.SequenceEditor
) -> tuple[str, ...]:
    """Patterns of a strip's mattes, front to back; empty where it has none.

    Raises:
        RefusedError: the strip or folder is missing or cannot be a matte.
    """
    if settings.matte_source == "strip":
        return (_strip_pattern(strip, settings.matte_strip, editor),)
    if settings.matte_source == "folder":
        if not settings.matte_folder:
            raise RefusedError("The matte folder must be chosen, got none; choose it, or set Matte to None.")
        return (os.path.normpath(_absolute(settings.matte_folder, strip)),)
    return ()


def shot_name(strip: bpy.types.bpy_struct, source: Source, mattes: tuple[str, ...]) -> str:
    """The daemon's name for these pictures: the file's or folder's, and a digest of all that counts.

    The same pictures get the same name in every file, so that they are learned once.
    """
    told = "\n".join([source.pattern, str(source.frame_range), *mattes])
    digest = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    stem = re.sub(r"%\d*d", "", os.path.splitext(os.path.basename(source.pattern))[0])
    for name in (stem, os.path.basename(os.path.dirname(source.pattern)), "shot"):
        readable = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:50]
        if readable:
            break
    return f"{readable}-{digest}"


def _strip_pattern(strip: bpy.types.bpy_struct, name: str, editor: bpy.types.SequenceEditor) -> str:
    matte = compat.all_strips(editor).get(name) if name else None
    if matte is None:
        raise RefusedError(
            f"The matte strip must be one of this scene's, got {name or 'none'!r}; choose it again."
        )
    if matte == strip:
        raise RefusedError(f"The matte of {strip.name!r} must be another strip, got itself; choose another.")
    return source_of(matte).pattern


def _movie(strip: bpy.types.bpy_struct) -> Source:
    if not strip.filepath:
        raise RefusedError(
            f"The strip {strip.name!r} must have a movie file, got none; choose it in its properties."
        )
    if getattr(strip, "use_multiview", False):
        raise RefusedError(
            f"The strip {strip.name!r} must have one view, got several; switch Use Multi-View off."
        )
    return Source(os.path.normpath(_absolute(strip.filepath, strip)), None, True, 0)


def _sequence(strip: bpy.types.bpy_struct) -> Source:
    if getattr(strip, "use_multiview", False):
        raise RefusedError(
            f"The strip {strip.name!r} must have one view, got several; switch Use Multi-View off."
        )
    if len(strip.elements) < 2:
        raise RefusedError(
            f"The strip {strip.name!r} must show a movie or numbered pictures, got a single one; "
            f"add the whole "
            f"sequence, or choose another strip."
        )
    head, digits, tail, first = _split(strip, strip.elements[0].filename)
    # 5,000 of them must be looked at within a few milliseconds: nothing but what is needed in this loop.
    expected = f"{head}%0{digits}d{tail}"
    for number, element in enumerate(strip.elements, first):
        if element.filename != expected % number:
            raise RefusedError(
                f"Picture {number - first + 1} of {strip.name!r} must be {expected % number!r}, got "
                f"{element.filename!r}; add the sequence again, sorted by name and with no picture missing."
            )
    last = first + len(strip.elements) - 1
    folder = os.path.normpath(_absolute(strip.directory, strip))
    return Source(os.path.join(folder, expected), (first, last), False, first)


def _split(strip: bpy.types.bpy_struct, name: str) -> tuple[str, int, str, int]:
    """What stands before a file name's number, its digits, what stands after it, and the number."""
    stem, extension = os.path.splitext(name)
    number = _NUMBER.search(stem)
    if number is None:
        raise RefusedError(
            f"The pictures of {strip.name!r} must have numbers, as shot.1001.exr has, got {name!r}; rename "
            f"them, or choose another strip."
        )
    if "%" in name:
        raise RefusedError(
            f"The pictures of {strip.name!r} must have no % in their names, got {name!r}; rename them."
        )
    return stem[: number.start()], len(number[1]), stem[number.end() :] + extension, int(number[1])


def _absolute(path: str, strip: bpy.types.bpy_struct) -> str:
    if path.startswith("//") and not bpy.data.filepath:
        raise RefusedError(
            f"The path of {strip.name!r} is relative to the .blend, which has not been saved "
            f"({path!r}); save it first."
        )
    return bpy.path.abspath(path, library=strip.id_data.library)

"""A strip's edited pictures as an image-sequence strip above it, kept where the source is.

Source and result have a `link_id` in common, so that either may be renamed. The result has one picture for
each of the scene's frames that the source is shown on, whatever the source's handles, offsets and direction
are, so its own timing is plain. Where a frame has no file yet nothing covers the source. The source itself is
read and never changed, but for the add-on's own properties.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bpy

from inve_client.plugin.messages import RefusedError, Shot
from inve_client.plugin.result_names import frame_of, pending_name

from . import animation, compat, placement
from .properties import shot_of

if TYPE_CHECKING:
    from .geometry import StripTiming

TOP_CHANNEL = 128
_FLOAT_FILES = (".exr", ".hdr")
_LIKE_SOURCE = {
    "": ("use_flip_x", "use_flip_y", "blend_alpha", "color_saturation", "color_multiply"),
    "transform": ("offset_x", "offset_y", "scale_x", "scale_y", "rotation", "origin", "filter"),
    "crop": ("min_x", "max_x", "min_y", "max_y"),
}
"""What a result has of its source, by the part of the strip that it is in; 3.4 has no filter."""
_REPLACING = frozenset(("REPLACE", "CROSS", "ALPHA_OVER"))


@dataclass(frozen=True)
class Linked:
    """A source with its result, where it has one."""

    scene: bpy.types.Scene
    source: bpy.types.bpy_struct
    result: bpy.types.bpy_struct | None

    @property
    def key(self) -> str:
        """What the two have in common."""
        return str(shot_of(self.source).link_id)


# Which strips belong together


def linked() -> list[Linked]:
    """All sources of the file that have a link, each with its result."""
    found = []
    for scene in bpy.data.scenes:
        ours = [strip for strip in _strips(scene) if shot_of(strip).link_id]
        results = {shot_of(strip).link_id: strip for strip in ours if shot_of(strip).is_result}
        found += [
            Linked(scene, strip, results.get(shot_of(strip).link_id))
            for strip in ours
            if not shot_of(strip).is_result
        ]
    return found


def source_of(strip: bpy.types.bpy_struct) -> bpy.types.bpy_struct:
    """The strip that one means: a result's source, where it is still there, else the strip itself."""
    if not shot_of(strip).is_result:
        return strip
    one = find(shot_of(strip).link_id)
    return strip if one is None else one.source


def active_source(context: bpy.types.Context) -> bpy.types.bpy_struct | None:
    """The active strip, or its source where a result is active: results lie on top, where one clicks."""
    strip = compat.active_strip(context)
    return None if strip is None else source_of(strip)


def find(key: str) -> Linked | None:
    """The source of a link with its result; None where it was removed."""
    return next((one for one in linked() if one.key == key), None)


def link(strip: bpy.types.bpy_struct) -> Linked:
    """Give a strip a link of its own, and tell what belongs to it.

    Raises:
        RefusedError: it is a result whose source is gone.
    """
    if shot_of(strip).is_result:
        raise RefusedError(
            f"{strip.name!r} shows the result of a strip that was removed; select the strip with the source."
        )
    if not shot_of(strip).link_id:
        shot_of(strip).link_id = _new_link()
    tidy()
    one = find(shot_of(strip).link_id)
    assert one is not None
    return one


def tidy() -> None:
    """Tell apart what was duplicated, cut or copied to another scene, and so has one link for several.

    Of several sources the one with the largest common time with a result keeps the link; each other one gets
    a new link, and with it the result that lies over it, if one does. A result that is left over becomes a
    strip like any other.
    """
    groups: dict[str, list[bpy.types.bpy_struct]] = {}
    for scene in bpy.data.scenes:
        for strip in _strips(scene):
            if shot_of(strip).link_id:
                groups.setdefault(shot_of(strip).link_id, []).append(strip)
    for members in groups.values():
        if len(members) > 1:
            _tell_apart(
                [strip for strip in members if not shot_of(strip).is_result],
                [strip for strip in members if shot_of(strip).is_result],
            )


def _tell_apart(sources: list[bpy.types.bpy_struct], results: list[bpy.types.bpy_struct]) -> None:
    if not sources or (len(sources) == 1 and len(results) < 2):
        return
    overlaps = [
        (_common_frames(source, result), -i, -j)
        for i, source in enumerate(sources)
        for j, result in enumerate(results)
        if source.id_data == result.id_data
    ]
    result_for: dict[int, int] = {}
    for _, i, j in sorted(overlaps, reverse=True):
        if -i not in result_for and -j not in result_for.values():
            result_for[-i] = -j
    keeper = next(iter(result_for), 0)
    for i, source in enumerate(sources):
        key = shot_of(source).link_id if i == keeper else _new_link()
        shot_of(source).link_id = key
        if i in result_for:
            shot_of(results[result_for[i]]).link_id = key
    for j, result in enumerate(results):
        if j not in result_for.values():
            release(result)


def release(result: bpy.types.bpy_struct) -> None:
    """Make a result a strip like any other, which is changed no more."""
    shot_of(result).link_id = ""
    shot_of(result).is_result = False


# Showing


def folder_of(one: Linked, cache: str) -> str:
    """Where a result's files are, or will be."""
    if one.result is not None:
        return os.path.normpath(bpy.path.abspath(one.result.directory))
    return os.path.join(cache, one.key)


def show(
    one: Linked,
    folder: str,
    files: Mapping[int, str],
    known: Shot | None,
    until: float,
    news: Collection[int] | None = None,
) -> set[str] | None:
    """Put files on the result, which is made where there is none, and the result where its source is.

    Args:
        one: the source and its result.
        folder: absolute, where the files are.
        files: the source's frame -> name in the folder. What is not in here stays as it is.
        known: the shot.
        until: `time.monotonic()` by which to be done; what a result lacks then is for the next call.
        news: the frames that are others than at the last call; None is all of them.

    Returns:
        The paths that were shown before in the place of these; None where it is not done.

    Raises:
        RefusedError: the source cannot be followed, or there is no room above it.
    """
    timing = placement.timing_of(one.scene, one.source, known)
    result, shot = one.result, shot_of(one.source).shot
    if result is None:
        # Blender reads a picture that is there to make a strip of it, which may take long.
        missing = pending_name(shot, timing.to_source(timing.first))
        result = _make(one, timing, os.path.join(folder, missing))
    if _stands(one.source, result, timing):
        places = range(timing.last - timing.first + 1) if news is None else _places(timing, news)
        shown = {}
    else:
        shown = {frame_of(element.filename): element.filename for element in result.elements}
        if not _fit(one, result, timing, until):
            return None
        places = range(timing.last - timing.first + 1)
    gone = set()
    elements = result.elements
    for index in places:
        element, frame = elements[index], timing.to_source(timing.first + index)
        had = element.filename
        name = files.get(frame) or shown.get(frame) or (had if not shown else pending_name(shot, frame))
        if had != name:
            element.filename = name
            gone.add(os.path.join(folder, shown.get(frame) or had))
    return gone - {os.path.join(folder, name) for name in files.values()} if gone else gone


def _places(timing: StripTiming, frames: Collection[int]) -> Iterable[int]:
    """Which of a result's elements show frames of the source; those at its ends may be held for longer."""
    length = timing.last - timing.first + 1
    ends = {timing.to_source(timing.first), timing.to_source(timing.last)}
    if ends.intersection(frames):
        return range(length)
    shown = (timing.to_scene(frame) for frame in frames if timing.is_shown(frame))
    return [frame - timing.first for frame in shown if frame is not None]


def is_astray(one: Linked) -> bool:
    """Whether a result is not where its source is by now, or does not show the pictures that it shows."""
    if one.result is None or one.result.lock:
        return False
    try:
        return not _stands(one.source, one.result, placement.timing_of(one.scene, one.source))
    except RefusedError:
        # The source cannot be painted on as it is now; the next request says why.
        return False


def shown_paths() -> frozenset[str]:
    """The edited frames that strips of this .blend show, absolute; results that were released too."""
    paths: set[str] = set()
    for scene in bpy.data.scenes:
        for strip in _strips(scene):
            if strip.type == "IMAGE" and frame_of(strip.elements[0].filename) is not None:
                folder = os.path.normpath(bpy.path.abspath(strip.directory))
                paths.update(os.path.join(folder, element.filename) for element in strip.elements)
    return frozenset(paths)


def cautions(one: Linked) -> list[str]:
    """What about a source may make its result look other than it should, a sentence each."""
    source, said = one.source, []
    if not source.mute and (source.blend_type not in _REPLACING or source.blend_alpha < 1):
        said.append(
            f"{source.name!r} is mixed with what is below it, and so shows through its result; mute it."
        )
    if len(source.modifiers):
        said.append(f"The modifiers of {source.name!r} are not on its result; add them there.")
    space = source.colorspace_settings.name
    if not _is_float(source) and space not in ("", "sRGB", "Rec.709", "Rec.1886"):
        said.append(
            f"The daemon reads {source.name!r} as sRGB, Blender as {space}; the result differs by that."
        )
    if one.result is not None:
        between = [
            other.name
            for other in compat.container(one.scene.sequence_editor, source)
            if source.channel < other.channel < one.result.channel and _common_frames(other, source)
        ]
        if between:
            said.append(f"The result lies over {between[0]!r}; move that to a channel above it.")
    return said


def _make(one: Linked, timing: StripTiming, path: str) -> bpy.types.bpy_struct:
    source = one.source
    container = compat.container(one.scene.sequence_editor, source)
    result = container.new_image(
        name=f"{source.name} edited",
        filepath=path,
        channel=_free_channel(container, source, timing, None),
        frame_start=timing.first,
        fit_method="ORIGINAL",
    )
    shot_of(result).link_id, shot_of(result).is_result = one.key, True
    # As the daemon writes EXR: scene-linear, and premultiplied.
    result.colorspace_settings.name = (
        source.colorspace_settings.name if _is_float(source) else compat.LINEAR_COLOR_SPACE
    )
    result.alpha_mode = "PREMUL"
    result.blend_type = "ALPHA_OVER" if source.blend_type in _REPLACING else source.blend_type
    result.select = False
    return result


def _fit(one: Linked, result: bpy.types.bpy_struct, timing: StripTiming, until: float) -> bool:
    """Give a result its source's time, place and look; False where that has taken all the time."""
    source, length = one.source, timing.last - timing.first + 1
    container = compat.container(one.scene.sequence_editor, source)
    # First the channel, as Blender moves a strip aside that would overlap another one.
    if result.channel <= source.channel or _is_taken(container, result.channel, timing, result):
        result.channel = _free_channel(container, source, timing, result)
    for name in ("frame_offset_start", "frame_offset_end", "animation_offset_start", "animation_offset_end"):
        if getattr(result, name):
            setattr(result, name, 0)
    grown = len(result.elements) != length
    while len(result.elements) != length:
        if len(result.elements) > length:
            result.elements.pop(index=len(result.elements) - 1)
        else:
            frame = timing.to_source(timing.first + len(result.elements))
            result.elements.append(pending_name(shot_of(source).shot, frame))
        if time.monotonic() > until:
            return False
    if round(result.frame_start) != timing.first:
        result.frame_start = timing.first
    for owner, name in _differing(source, result):
        setattr(_part(result, owner), name, getattr(_part(source, owner), name))
    for owner, names in _LIKE_SOURCE.items():
        for name in names:
            if hasattr(_part(source, owner), name):
                animation.copy(one.scene, _part(source, owner), _part(result, owner), name)
    # Names are for the next call, where this one has taken its time.
    return not grown or time.monotonic() < until


def _stands(source: bpy.types.bpy_struct, result: bpy.types.bpy_struct, timing: StripTiming) -> bool:
    """Whether a result is where its source is, and shows the pictures in its order."""
    if (result.frame_final_start, result.frame_final_end - 1) != (timing.first, timing.last):
        return False
    if len(result.elements) != timing.last - timing.first + 1 or result.channel <= source.channel:
        return False
    # Its first and last picture tell of a source that was slipped or turned round.
    for index, frame in ((0, timing.first), (-1, timing.last)):
        if frame_of(result.elements[index].filename) != timing.to_source(frame):
            return False
    return next(_differing(source, result), None) is None


def _differing(source: bpy.types.bpy_struct, result: bpy.types.bpy_struct) -> Iterator[tuple[str, str]]:
    for owner, names in _LIKE_SOURCE.items():
        ours, theirs = _part(result, owner), _part(source, owner)
        for name in names:
            if not hasattr(theirs, name):
                continue
            mine, its = getattr(ours, name), getattr(theirs, name)
            if (tuple(mine) != tuple(its)) if name == "origin" else mine != its:
                yield owner, name


def _part(strip: bpy.types.bpy_struct, owner: str) -> bpy.types.bpy_struct:
    return getattr(strip, owner) if owner else strip


def _free_channel(
    container: bpy.types.bpy_prop_collection,
    source: bpy.types.bpy_struct,
    timing: StripTiming,
    result: bpy.types.bpy_struct | None,
) -> int:
    for channel in range(source.channel + 1, TOP_CHANNEL + 1):
        if not _is_taken(container, channel, timing, result):
            return channel
    raise RefusedError(
        f"The result of {source.name!r} must have a free channel between {source.channel + 1} and "
        f"{TOP_CHANNEL} on frames {timing.first}-{timing.last}, got none; move strips aside."
    )


def _is_taken(
    container: bpy.types.bpy_prop_collection,
    channel: int,
    timing: StripTiming,
    result: bpy.types.bpy_struct | None,
) -> bool:
    # Also where the result is now, from where it may have to come.
    first, last = timing.first, timing.last
    if result is not None:
        first, last = min(first, result.frame_final_start), max(last, result.frame_final_end - 1)
    return any(
        other.channel == channel
        and other != result
        and other.frame_final_start <= last
        and other.frame_final_end > first
        for other in container
    )


def _common_frames(one: bpy.types.bpy_struct, other: bpy.types.bpy_struct) -> int:
    first = max(one.frame_final_start, other.frame_final_start)
    return max(0, min(one.frame_final_end, other.frame_final_end) - first)


def _is_float(source: bpy.types.bpy_struct) -> bool:
    if source.type != "IMAGE" or not len(source.elements):
        return False
    return source.elements[0].filename.lower().endswith(_FLOAT_FILES)


def _strips(scene: bpy.types.Scene) -> Iterator[bpy.types.bpy_struct]:
    if scene.sequence_editor is not None:
        yield from compat.all_strips(scene.sequence_editor)


def _new_link() -> str:
    return uuid.uuid4().hex[:12]

"""What Blender knows of a strip, as the plain values that `geometry.py` calculates with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import bpy

from inve_client.plugin.messages import RefusedError, Shot

from . import compat, sources

if TYPE_CHECKING:
    # The first to ask for a place or a timing loads it: registering has no time for it.
    from .geometry import StripGeometry, StripTiming

_COUNT_SLACK = 1
"""Containers of movies are a frame off now and then; a playback rate is off by many."""


def geometry_of(
    scene: bpy.types.Scene,
    strip: bpy.types.bpy_struct,
    known: Shot | None,
    *,
    preview_scale: float = 1.0,
    proxies: bool = False,
) -> StripGeometry:
    """Where a strip's picture stands in the preview on the scene's current frame.

    Args:
        scene: whose sequencer has the strip.
        strip: a movie or an image sequence.
        known: its shot; without one the size is what Blender has read last.
        preview_scale, proxies: of the preview, see `StripGeometry`.

    Raises:
        RefusedError: a place in the preview is no place in its picture.
    """
    from .geometry import StripGeometry

    width, height = _size(strip, known)
    render, move, crop = scene.render, strip.transform, strip.crop
    return StripGeometry(
        name=strip.name,
        render_width=render.resolution_x,
        render_height=render.resolution_y,
        picture_width=width,
        picture_height=height,
        pixel_aspect=render.pixel_aspect_x / render.pixel_aspect_y,
        preview_scale=preview_scale,
        proxies=proxies,
        crop=(crop.min_x, crop.max_x, crop.min_y, crop.max_y),
        offset=(move.offset_x, move.offset_y),
        scale=(move.scale_x, move.scale_y),
        rotation=move.rotation,
        origin=tuple(move.origin),
        flip=(strip.use_flip_x, strip.use_flip_y),
    )


def geometry_by_frame(
    scene: bpy.types.Scene, strip: bpy.types.bpy_struct, known: Shot | None
) -> Callable[[int], StripGeometry]:
    """The same for any frame of the scene, with the strip's transform as it is animated there.

    Raises:
        NotInvertible: a place in the preview is no place in its picture, here or by what is returned.
    """
    still = geometry_of(scene, strip, known)
    curves = {
        name: compat.fcurve(scene, strip.transform.path_from_id(name))
        for name in ("offset_x", "offset_y", "scale_x", "scale_y", "rotation")
    }
    moving = {name: curve for name, curve in curves.items() if curve is not None}
    if not moving:
        return lambda frame: still

    def at(frame: int) -> StripGeometry:
        now = {name: curve.evaluate(frame) for name, curve in moving.items()}
        return replace(
            still,
            offset=(now.get("offset_x", still.offset[0]), now.get("offset_y", still.offset[1])),
            scale=(now.get("scale_x", still.scale[0]), now.get("scale_y", still.scale[1])),
            rotation=now.get("rotation", still.rotation),
        )

    return at


def timing_of(scene: bpy.types.Scene, strip: bpy.types.bpy_struct, known: Shot | None = None) -> StripTiming:
    """Which source frame a strip shows when.

    Args:
        scene: whose sequencer has the strip.
        strip: a movie or an image sequence.
        known: its shot, by whose number of frames a movie that plays at another rate is found out.

    Raises:
        RefusedError: it has no pictures, or does not show one picture for each of the scene's frames.
    """
    from .geometry import StripTiming, check_strip

    source = sources.source_of(strip)
    cut, cut_end = strip.animation_offset_start, strip.animation_offset_end
    # Frames of the content: with what animation offsets cut away, without what handles hide.
    count = strip.frame_duration
    rate = 1.0
    if source.is_movie and known is not None:
        whole = known.last_frame - known.first_frame + 1 - cut - cut_end
        rate = whole / max(1, count) if abs(whole - count) > _COUNT_SLACK else 1.0
    # Up to 3.6 the count is that of the file, and another rate shows in what is played.
    played = strip.frame_final_duration + strip.frame_offset_start + strip.frame_offset_end
    if abs(count - played) > _COUNT_SLACK:
        rate = count / played
    retiming = getattr(strip, "retiming_keys", ())
    check_strip(
        strip.name,
        strip.type,
        effects=_effects_on(scene, strip),
        retiming_keys=len(retiming),
        playback_rate=rate,
        strobe=strip.strobe,
        multiview=getattr(strip, "use_multiview", False),
    )
    first = source.first_frame + cut
    return StripTiming(
        name=strip.name,
        start=round(strip.frame_start),
        first=strip.frame_final_start,
        last=strip.frame_final_end - 1,
        source_frames=range(first, first + count),
        reverse=strip.use_reverse_frames,
    )


def _size(strip: bpy.types.bpy_struct, known: Shot | None) -> tuple[int, int]:
    # Only the first element's is set when strips are made by scripts.
    element = strip.elements[0] if len(strip.elements) else None
    seen = (0, 0) if element is None else (element.orig_width, element.orig_height)
    if known is None:
        return seen
    if 0 not in seen and seen != (known.width, known.height):
        raise RefusedError(
            f"The pictures of {strip.name!r} must be {known.width}x{known.height} as the daemon has them, "
            f"Blender has {seen[0]}x{seen[1]}; reload the strip, or prepare it again."
        )
    return known.width, known.height


def _effects_on(scene: bpy.types.Scene, strip: bpy.types.bpy_struct) -> list[str]:
    return [
        other.type
        for other in compat.all_strips(scene.sequence_editor)
        if not other.mute and strip in (getattr(other, "input_1", None), getattr(other, "input_2", None))
    ]

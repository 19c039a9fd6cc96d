"""The preview under the mouse, and the way from there to pixels of the source picture."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bpy

from inve_client.plugin import session
from inve_client.plugin.messages import RefusedError, Shot

from . import compat
from .placement import geometry_of, timing_of
from .properties import shot_of

if TYPE_CHECKING:
    from .geometry import StripGeometry, StripTiming

_recent: tuple[tuple, float, StripTiming] | None = None


@dataclass(frozen=True, eq=False)
class Preview:
    """A preview region of a window, and the editor that it belongs to."""

    area: bpy.types.Area
    region: bpy.types.Region
    space: bpy.types.SpaceSequenceEditor


@dataclass(frozen=True, eq=False)
class Canvas:
    """A strip's picture in a preview, at the scene's current frame, to draw on.

    Attributes:
        strip: whose picture it is.
        frame: the source's number of the frame that is shown.
        geometry: where it stands.
        region: where it is seen; None where nothing is seen, in background mode.
    """

    strip: bpy.types.bpy_struct
    frame: int
    geometry: StripGeometry
    region: bpy.types.Region | None = None

    def to_source(self, mouse_x: float, mouse_y: float) -> tuple[float, float]:
        """A place in the window, in its pixels, as a place in the source picture."""
        assert self.region is not None
        x, y = mouse_x - self.region.x, mouse_y - self.region.y
        return self.geometry.to_source(*self.region.view2d.region_to_view(x, y))

    @property
    def pixels_per_dot(self) -> float:
        """How many pixels of the source one of the screen is."""
        assert self.region is not None
        left, _ = self.region.view2d.region_to_view(0, 0)
        right, _ = self.region.view2d.region_to_view(1, 0)
        return abs(right - left) / self.geometry.view_per_pixel


def preview_at(window: bpy.types.Window, mouse_x: int, mouse_y: int) -> Preview | None:
    """The preview at a place in a window; None where a sidebar or something else lies there."""
    for area in window.screen.areas:
        if area.type != "SEQUENCE_EDITOR":
            continue
        # Sidebars and headers may lie over the preview.
        over = [region for region in area.regions if _holds(region, mouse_x, mouse_y)]
        if over and all(region.type == "PREVIEW" for region in over):
            return Preview(area, over[0], area.spaces.active)
    return None


def any_preview(window: bpy.types.Window) -> Preview:
    """A preview of a window.

    Raises:
        RefusedError: it has none.
    """
    for area in window.screen.areas:
        if area.type == "SEQUENCE_EDITOR":
            for region in area.regions:
                if region.type == "PREVIEW" and region.width > 1 and region.height > 1:
                    return Preview(area, region, area.spaces.active)
    raise RefusedError(
        "There must be a preview to draw in, got none; switch the sequencer to Preview or "
        "Sequencer & Preview."
    )


def canvas_of(
    context: bpy.types.Context,
    strip: bpy.types.bpy_struct,
    preview: Preview | None = None,
    *,
    recent_s: float = 0.0,
) -> Canvas:
    """A strip's picture at the current frame.

    Args:
        context: of Blender.
        strip: the one to draw on.
        preview: where it is seen; without one, only its frame and its size count.
        recent_s: how old what is known of its frames may be: thousands of files take milliseconds to look
            at, which is too long for every redraw.

    Raises:
        RefusedError: it is not shown, or a place in the preview is not a place in its picture.
    """
    scene = compat.sequencer_scene(context)
    shot = known_shot(strip)
    frame = _timing_of(scene, strip, shot, recent_s).to_source(scene.frame_current)
    if preview is None:
        return Canvas(strip, frame, geometry_of(scene, strip, shot))
    scale, proxies = _scale_of(preview.space, scene)
    geometry = geometry_of(scene, strip, shot, preview_scale=scale, proxies=proxies and strip.use_proxy)
    return Canvas(strip, frame, geometry, preview.region)


def _timing_of(
    scene: bpy.types.Scene, strip: bpy.types.bpy_struct, shot: Shot | None, recent_s: float
) -> StripTiming:
    """What `placement.timing_of` says, or said a moment ago of a strip of that name and place."""
    global _recent
    start = strip.frame_final_start, strip.frame_final_end, strip.frame_duration
    key = (scene.name, strip.name, strip.inve.shot, start)
    now = time.monotonic()
    if _recent is not None and _recent[0] == key and now - _recent[1] < recent_s:
        return _recent[2]
    timing = timing_of(scene, strip, shot)
    _recent = (key, now, timing)
    return timing


def known_shot(strip: bpy.types.bpy_struct) -> Shot | None:
    """What the daemon says of a strip's shot, if it has said anything."""
    return session.current().shots.get(shot_of(strip).shot)


def _scale_of(space: bpy.types.SpaceSequenceEditor, scene: bpy.types.Scene) -> tuple[float, bool]:
    """The preview's scale, and whether it may show proxies."""
    from .geometry import PREVIEW_SCALES

    if space.display_mode != "IMAGE":
        raise RefusedError(
            f"The preview must show the image, got {space.display_mode.replace('_', ' ').lower()}; set its "
            "Display Mode to Image."
        )
    size = space.proxy_render_size
    if size == "NONE":
        raise RefusedError("The preview must show a picture, got No Display; set its Preview Resolution.")
    scale = scene.render.resolution_percentage / 100 if size == "SCENE" else PREVIEW_SCALES[size]
    return scale, bool(space.use_proxies)


def _holds(region: bpy.types.Region, x: int, y: int) -> bool:
    return (
        region.width > 1
        and region.x <= x < region.x + region.width
        and region.y <= y < region.y + region.height
    )

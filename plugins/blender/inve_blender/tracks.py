"""Tracked points as Blender's own animation: an empty, a strip that follows, F-curves of any property.

Only frames that the source is shown on get keys. Positions go from the source's pixels to the preview's units
(pixels of the render about its middle, y up, x times the pixel aspect) as `geometry.py` has it, with the
source's transform as it is on each frame. From there:

- An empty in the *plane* space lies in the world's XY plane: the middle of the picture is the origin, and the
  render is one unit high, whatever its resolution.
- An empty in the *camera* space is the camera's child, at a distance before it, where the camera sees the
  point in its picture.
- A strip gets the offsets that put its middle there, or keep the distance to the point that it has now.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import bpy

from inve_client.plugin.messages import RefusedError, Shot
from inve_client.plugin.points import Track

from . import animation, placement
from .geometry import StripGeometry

_DATA_PATH = re.compile(
    r"""^bpy\.data\.(?P<kind>[a-z_]+)\[(?P<quote>["'])(?P<name>.*?)(?P=quote)\]\.(?P<path>.+)$"""
)
_INDEX = re.compile(r"^(?P<path>.+)\[(?P<index>\d+)\]$")
EMPTY_SIZE = 0.05
"""Of an empty in the plane, in heights of the render."""


@dataclass(frozen=True)
class Place:
    """A tracked point on one of the scene's frames.

    Attributes:
        frame: the scene's.
        geometry: of the source on that frame.
        x, y: pixels of the source.
        visible: whether nothing is in front of it.
    """

    frame: int
    geometry: StripGeometry
    x: float
    y: float
    visible: bool

    @property
    def share(self) -> tuple[float, float]:
        """Shares of the render from its lower left corner."""
        view_x, view_y = self.geometry.to_preview(self.x, self.y)
        width = self.geometry.render_width * self.geometry.pixel_aspect
        return view_x / width + 0.5, view_y / self.geometry.render_height + 0.5


@dataclass(frozen=True)
class Property:
    """A number of a data-block that can be animated."""

    owner: bpy.types.ID
    path: str
    index: int


UNITS: dict[str, Callable[[Place], tuple[float, float]]] = {
    "SOURCE": lambda place: (place.x, place.y),
    "PREVIEW": lambda place: place.geometry.to_preview(place.x, place.y),
    "SHARE": lambda place: place.share,
}
"""What a property can be given: pixels of the source (y down), the preview's units, shares of the render."""


def places_of(
    scene: bpy.types.Scene, strip: bpy.types.bpy_struct, track: Track, known: Shot | None
) -> list[Place]:
    """A track on the scene's frames, rising.

    Raises:
        RefusedError: the strip shows none of its frames, or its picture cannot be followed.
    """
    timing = placement.timing_of(scene, strip, known)
    geometry_at = placement.geometry_by_frame(scene, strip, known)
    places = []
    for number, x, y, visible in track.places():
        frame = timing.to_scene(number)
        if frame is not None and timing.is_shown(number):
            places.append(Place(frame, geometry_at(frame), x, y, visible))
    if not places:
        raise RefusedError(
            f"{strip.name!r} must show frames of the track {track.point.id!r} "
            f"({track.frames[0]}-{track.frames[-1]}), got none; move its handles, or track the point again."
        )
    return sorted(places, key=lambda place: place.frame)


def to_empty(scene: bpy.types.Scene, name: str, places: list[Place]) -> bpy.types.Object:
    """An empty in the world's XY plane that follows: the render is one unit high, its middle the origin."""
    empty = _empty(scene, name, EMPTY_SIZE)
    keys = []
    for place in places:
        view_x, view_y = place.geometry.to_preview(place.x, place.y)
        height = place.geometry.render_height
        keys.append((place.frame, view_x / height, view_y / height))
    for axis in (0, 1):
        animation.animate(empty, "location", axis, [(key[0], key[1 + axis]) for key in keys])
    return empty


def to_camera_empty(
    scene: bpy.types.Scene, name: str, places: list[Place], distance: float
) -> bpy.types.Object:
    """An empty that the scene's camera sees where the point is, `distance` units before it.

    The camera's lens and shift are those of the current frame.

    Raises:
        RefusedError: the scene has no camera, or one whose picture is no plane.
    """
    camera = scene.camera
    if camera is None or camera.type != "CAMERA":
        raise RefusedError("The scene must have a camera for this, got none; add one, or use the plane.")
    if camera.data.type == "PANO":
        raise RefusedError(
            f"The camera {camera.name!r} must be perspective or orthographic, got panoramic; use the plane."
        )
    corners = camera.data.view_frame(scene=scene)
    left, right = min(one.x for one in corners), max(one.x for one in corners)
    below, above = min(one.y for one in corners), max(one.y for one in corners)
    scale = distance / -corners[0].z if camera.data.type == "PERSP" else 1.0
    empty = _empty(scene, name, EMPTY_SIZE * (above - below) * scale)
    empty.parent = camera
    shares = [place.share for place in places]
    values = (
        [(left + (right - left) * x) * scale for x, _ in shares],
        [(below + (above - below) * y) * scale for _, y in shares],
    )
    for axis in (0, 1):
        animation.animate(
            empty,
            "location",
            axis,
            [(place.frame, value) for place, value in zip(places, values[axis], strict=True)],
        )
    empty.location.z = -distance
    return empty


def to_strip(
    scene: bpy.types.Scene,
    target: bpy.types.bpy_struct,
    places: list[Place],
    *,
    keep_distance: bool,
    hide: bool,
) -> None:
    """Have a strip follow: its offsets are animated, and where asked its opacity.

    Args:
        scene: whose strip it is.
        target: a strip with a transform: text, image, movie, colour, and so on.
        places: of the point.
        keep_distance: keep it as far from the point as on the current frame; else its middle goes there.
        hide: opacity 0 where something is in front of the point.

    Raises:
        RefusedError: the strip has no transform.
    """
    if not hasattr(target, "transform"):
        raise RefusedError(
            f"{target.name!r} must have a transform to follow, got a {target.type.lower()} strip; choose a "
            f"text, an image or another picture."
        )
    offsets = [place.geometry.to_offset(place.x, place.y) for place in places]
    move = (0.0, 0.0)
    if keep_distance:
        now = min(range(len(places)), key=lambda index: abs(places[index].frame - scene.frame_current))
        had = (target.transform.offset_x, target.transform.offset_y)
        move = (had[0] - offsets[now][0], had[1] - offsets[now][1])
    for axis, name in enumerate(("offset_x", "offset_y")):
        keys = [
            (place.frame, offset[axis] + move[axis]) for place, offset in zip(places, offsets, strict=True)
        ]
        animation.animate(scene, target.transform.path_from_id(name), 0, keys)
    if hide:
        keys = [(place.frame, float(place.visible)) for place in places]
        animation.animate(scene, target.path_from_id("blend_alpha"), 0, keys, animation.CONSTANT)


def to_properties(places: list[Place], unit: str, x: Property | None, y: Property | None) -> None:
    """Animate any numbers by a track.

    Args:
        places: of the point.
        unit: of `UNITS`.
        x, y: what gets the one and the other; None is left alone.
    """
    values = [UNITS[unit](place) for place in places]
    for axis, wanted in enumerate((x, y)):
        if wanted is not None:
            keys = [(place.frame, value[axis]) for place, value in zip(places, values, strict=True)]
            animation.animate(wanted.owner, wanted.path, wanted.index, keys)


def find_property(text: str) -> Property:
    """The property of a path as *Copy Full Data Path* gives it: bpy.data.objects["Cube"].location[0].

    Nothing is evaluated: the text is taken apart and looked up.

    Raises:
        RefusedError: there is no such number, or it cannot be animated.
    """
    found = _DATA_PATH.match(text.strip())
    blocks = getattr(bpy.data, found["kind"], None) if found is not None else None
    if found is None or not isinstance(blocks, bpy.types.bpy_prop_collection):
        raise RefusedError(
            f'The data path must be as *Copy Full Data Path* gives it, bpy.data.objects["Cube"].location[0], '
            f"got {text!r}; right-click on a property to copy it."
        )
    owner = blocks.get(found["name"])
    if owner is None:
        raise RefusedError(
            f"The data path {text!r} must name what there is, got no {found['name']!r} in "
            f"bpy.data.{found['kind']}; copy it again."
        )
    indexed = _INDEX.match(found["path"])
    path, index = (indexed["path"], int(indexed["index"])) if indexed else (found["path"], 0)
    try:
        value = owner.path_resolve(path)
        value = value[index] if indexed else value
    except (ValueError, IndexError, KeyError, TypeError):
        raise RefusedError(
            f"The data path {text!r} must name what there is, got no {found['path']!r} in "
            f"{found['name']!r}; copy it again."
        ) from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        what = "several numbers" if hasattr(value, "__len__") and not isinstance(value, str) else "none"
        raise RefusedError(
            f"The data path {text!r} must name one number, got {what}; add an index such as [0]."
        )
    return Property(owner, path, index)


def _empty(scene: bpy.types.Scene, name: str, size: float) -> bpy.types.Object:
    empty = bpy.data.objects.new(name, None)
    empty.empty_display_type = "PLAIN_AXES"
    empty.empty_display_size = size
    scene.collection.objects.link(empty)
    return empty

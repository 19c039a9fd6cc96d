"""F-curves: keys for a property of any data-block, and the same animation for another property."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import bpy

from . import compat

CONSTANT, LINEAR = 0, 1
"""Numbers of `Keyframe.interpolation`, as foreach_set takes them."""
_KEY_FIELDS = (("co", 2), ("handle_left", 2), ("handle_right", 2))
_KEY_ENUMS = ("interpolation", "handle_left_type", "handle_right_type")


def animate(
    owner: bpy.types.ID,
    path: str,
    index: int,
    keys: Sequence[tuple[float, float]],
    interpolation: int = LINEAR,
) -> None:
    """Give a property keys, in the place of those that it has.

    Args:
        owner: the data-block with the animation.
        path: from the data-block, as `path_from_id` has it.
        index: of an array's item, 0 for a plain number.
        keys: frame and value of each, frames rising.
        interpolation: between them.
    """
    compat.remove_fcurve(owner, path, index)
    points = compat.fcurve(owner, path, index, create=True).keyframe_points
    points.add(len(keys))
    points.foreach_set("co", list(chain.from_iterable(keys)))
    points.foreach_set("interpolation", [interpolation] * len(keys))
    compat.fcurve(owner, path, index).update()


def copy(owner: bpy.types.ID, source: bpy.types.bpy_struct, target: bpy.types.bpy_struct, name: str) -> None:
    """Animate a property of one struct as that of another of the same data-block is, or not at all."""
    theirs, ours = source.path_from_id(name), target.path_from_id(name)
    array = getattr(source, name)
    for index in range(len(array) if hasattr(array, "__len__") and not isinstance(array, str) else 1):
        curve = compat.fcurve(owner, theirs, index)
        if curve is None:
            compat.remove_fcurve(owner, ours, index)
            continue
        fields = {}
        for field, size in _KEY_FIELDS:
            fields[field] = [0.0] * size * len(curve.keyframe_points)
            curve.keyframe_points.foreach_get(field, fields[field])
        for field in _KEY_ENUMS:
            fields[field] = [0] * len(curve.keyframe_points)
            curve.keyframe_points.foreach_get(field, fields[field])
        extrapolation = curve.extrapolation
        compat.remove_fcurve(owner, ours, index)
        copied = compat.fcurve(owner, ours, index, create=True)
        copied.keyframe_points.add(len(fields["interpolation"]))
        for field, values in fields.items():
            copied.keyframe_points.foreach_set(field, values)
        copied.extrapolation = extrapolation
        copied.update()

"""What the tools make: edits as EDITS.json has them, and the layer that they go to. No bpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inve_client.plugin.messages import RefusedError

if TYPE_CHECKING:
    from inve_client.plugin.document import EditDocument

    from .drawing import DrawnLine

LAYER_NAMES = {"sketch": "Paint", "texture": "Texture", "adjustment": "Adjustment"}
"""A kind of layer -> what a new one is called."""

_NEUTRAL = {"hue": 0.0, "saturation": 1.0, "brightness": 0.0, "exposure": 0.0}
_DECIMALS = 6
"""Blender's numbers are short; what they say beyond these is noise."""


def layer_for(document: EditDocument, kind: str, active: str) -> str:
    """The name of the layer that a new edit goes to: the active one if it can hold it, else the topmost that
    can and is enabled, else a new one's.
    """
    rows = [row for row in document.rows() if row.kind == kind]
    for row in rows:
        if row.name == active:
            return row.name
    for row in rows:
        if row.enabled:
            return row.name
    return document.free_name(LAYER_NAMES[kind])


def strokes(
    lines: Sequence[DrawnLine],
    frame: int,
    *,
    width: float,
    hardness: float,
    color: Sequence[float],
    opacity: float,
) -> list[dict[str, Any]]:
    """A stroke for each line.

    Args:
        lines: in pixels of the source.
        frame: the source's number of the frame that they were drawn on.
        width: pixels of the source.
        hardness, opacity: 0 to 1.
        color: [3] scene-linear.
    """
    return [
        {
            "type": "stroke",
            "frame": frame,
            "width": _short(width),
            "hardness": _short(hardness),
            "color": [*map(_short, color), _short(opacity)],
            **line.fields(),
        }
        for line in lines
    ]


def adjustments(
    lines: Sequence[DrawnLine],
    frame: int,
    *,
    closed: bool,
    width: float,
    hardness: float,
    changes: Mapping[str, float],
) -> list[dict[str, Any]]:
    """An adjustment for each line.

    Args:
        lines: in pixels of the source; outlines where `closed`.
        frame: the source's number of the frame that they were drawn on.
        closed: whether what they enclose is adjusted, else what a brush along them passes over.
        width: pixels of the source; where `closed`, of the soft edge.
        hardness: 0 to 1.
        changes: hue, saturation, brightness, exposure.

    Raises:
        RefusedError: they change nothing.
    """
    changed = changed_values(changes)
    made = []
    for line in lines:
        edit = {"type": "adjustment", "frame": frame, "width": _short(width), "hardness": _short(hardness)}
        made.append({**edit, "closed": closed, **changed, **line.fields()})
    return made


def changed_values(changes: Mapping[str, float]) -> dict[str, float]:
    """Those values of an adjustment that change something.

    Raises:
        RefusedError: none does.
    """
    changed = {name: _short(value) for name, value in changes.items() if _short(value) != _NEUTRAL[name]}
    if not changed:
        raise RefusedError(
            "An adjustment must change something, got hue 0, saturation 1, brightness 0 and exposure 0; set "
            "one of them."
        )
    return changed


def readjusted(edit: Mapping[str, Any], changes: Mapping[str, float]) -> dict[str, Any]:
    """An adjustment with other values in the same place.

    Raises:
        RefusedError: they change nothing.
    """
    kept = {name: value for name, value in edit.items() if name not in _NEUTRAL}
    return {**kept, **changed_values(changes)}


def _short(value: float) -> float:
    return round(float(value), _DECIMALS)

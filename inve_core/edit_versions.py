"""Versions of EDITS.json, and how a document passes between them.

Version 1 is that of the first release. Version 2 adds fields, all of them optional; without them a document
means what it meant. A version that changes a meaning gets a function here that rewrites documents of the one
before it.
"""

from typing import Any, Literal

CURRENT: Literal[2] = 2
"""What this release writes where it must. It reads all from 1 on."""

_LINE: dict[str, Any] = {
    "point_widths": None,
    "point_opacities": None,
    "smooth": False,
    "space": "frame",
}
ADDED: dict[str, dict[str, Any]] = {
    "stroke": {**_LINE, "closed": False, "blend": "over"},
    "adjustment": {
        **_LINE,
        "exposure": 0.0,
        "contrast": 1.0,
        "pivot": 0.18,
        "gamma": 1.0,
        "cdl": {"slope": (1.0,) * 3, "offset": (0.0,) * 3, "power": (1.0,) * 3, "saturation": 1.0},
        "opacity": 1.0,
    },
    "texture": {
        "anchor": (0.5, 0.5),
        "corners": None,
        "flip": "none",
        "opacity": 1.0,
        "space": "frame",
    },
    "layer": {"solo": False, "video_layer": "auto"},
}
"""What version 2 added: the fields, and what they are where a document of version 1 leaves them out."""


def lowest(plain: dict[str, Any]) -> dict[str, Any]:
    """A document of the current version in the lowest that can say the same.

    Args:
        plain: the whole stack as plain data, with every field; it is changed.
    """
    version = 1
    for layer in plain["layers"]:
        version = max(version, lowest_layer(layer), *(lowest_edit(edit) for edit in layer["edits"]))
    return {**plain, "version": version}


def lowest_layer(layer: dict[str, Any]) -> int:
    """Leave out of a layer's own fields what says nothing; returns the version that the rest needs."""
    version = _without_defaults(layer, "layer")
    return version if layer["blend"] == "over" else 2


def lowest_edit(edit: dict[str, Any]) -> int:
    """Leave out of an edit what says nothing; returns the version that the rest needs."""
    version = _without_defaults(edit, edit["type"])
    return max(version, _without_place(edit)) if edit["type"] == "texture" else version


def _without_defaults(item: dict[str, Any], kind: str) -> int:
    """Leave out what says nothing; returns the version that the rest needs."""
    version = 1
    for name, default in ADDED[kind].items():
        if item[name] == default:
            del item[name]
        else:
            version = 2
    return version


def _without_place(texture: dict[str, Any]) -> int:
    """A texture that is placed by its corners has no place of the other kind."""
    absent = [name for name in ("x", "y", "width", "height") if texture[name] is None]
    for name in absent:
        del texture[name]
    return 2 if absent or texture["tracking"] == "corner" else 1

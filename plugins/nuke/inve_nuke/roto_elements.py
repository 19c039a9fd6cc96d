"""One stroke or shape on the frame that it was drawn on, as the fields of an edit, or why not. Pure.

`roto.py` says what is read, and walks through the layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inve_client.plugin.messages import RefusedError
from inve_client.plugin.polyline import clip_outline

from .curve_script import OPEN, RELATIVE_TANGENTS, RENDERABLE, Layer, Points, Shape, Stroke
from .curve_values import Curve, NotEvaluated, Value, at, first_time
from .geometry import Picture, whole_frame
from .roto_lines import EDGE_PX, picture_lines
from .roto_shapes import Knot, region

NEUTRAL: Mapping[str, float] = {
    "hue": 0.0,
    "saturation": 1.0,
    "brightness": 0.0,
    "exposure": 0.0,
    "contrast": 1.0,
    "pivot": 0.18,
    "gamma": 1.0,
}
"""What an adjustment may change, and the values that change nothing; `pivot` alone never does."""

DEFAULTS: Mapping[str, float] = {"r": 1, "g": 1, "b": 1, "opc": 1, "bs": 25, "h": 0.2, "vis": 1, "fo": 1}
"""Of attributes that Nuke leaves out of the script; those that are not here are 0. Not verified in Nuke."""

_TRANSFORM = (None, None, None, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0)
"""Values of a transform that changes nothing: any pivot, translation, rotation, scale, skew."""

_PIVOT = 3  # how many of them are the pivot's

_DECIMALS = 3
_MAX_POINTS = 100_000
_MAX_WIDTH_PX = 32_768
_MAX_LIGHT = 65_504
_HARD_EDGE_PX = 1.0  # a width must be above 0, and beside a hard edge it has no effect

_COLOUR, _ERASER = 0, 2  # of the attribute `src`
_ALL_FRAMES, _SINGLE_FRAME = 0, 2  # of the attribute `ltt`

# Overlays of the viewer, motion blur, the transform of a clone's source, write-on-less defaults, tools and
# trackers: nothing of it shows in a stroke's colour or a shape's inside.
_HARMLESS_NAMES = (
    "ro go bo ao a mbo mb mbs mbsot mbso ft ff osw osf str stx sty spx spy sr ssx ssy sskx ssky sso sf sb "
    "sto stt tt pt ab bsp bsh ltm nv"
)
_HARMLESS = frozenset(_HARMLESS_NAMES.split())
_READ = frozenset(
    ["r", "g", "b", "opc", "bs", "h", "bu", "src", "bm", "inv", "vis", "fo", "fx", "fy", "ltn", "ltt", "bt"]
)


@dataclass(frozen=True)
class AttributeNames:
    """Names of attributes that no script of others' shows; the host knows its own
    (`AnimAttributes.kDynamicSizeAttribute` ...). Those here are guesses.
    """

    pressure_size: str = "ds"
    pressure_opacity: str = "dt"
    pressure_hardness: str = "dh"


@dataclass(frozen=True)
class RotoSettings:
    """What the text of the curves does not say.

    Attributes:
        owner: an id of the INVE node that stays, in all sessions.
        name: of the paint node; the edit layer of its root gets it.
        picture: of the plate, and so of the paint node.
        first, last: frames of the shot.
        reference_frame: where an element was drawn that does not say.
        adjustment: of the node's grade knobs, names of `NEUTRAL`.
        names: of attributes.
    """

    owner: str
    name: str
    picture: Picture
    first: int
    last: int
    reference_frame: int
    adjustment: Mapping[str, float] = field(default_factory=dict)
    names: AttributeNames = AttributeNames()


class ElementRefused(RefusedError):
    """An element that cannot be carried; the message is the end of a sentence that begins with its path."""


class ElementReader:
    """One element on the frame that it was drawn on."""

    def __init__(self, element: Stroke | Shape, around: tuple[Layer, ...], settings: RotoSettings) -> None:
        self._element = element
        self._around = around
        self._settings = settings
        self.frame = self._drawn_on()

    @property
    def is_hidden(self) -> bool:
        """Whether it, or a layer that it is in, is switched off."""
        hidden_layer = any(at(layer.attributes.get("vis", 1.0), self.frame) == 0 for layer in self._around)
        return hidden_layer or self._get("vis") == 0 or not self._element.flags & RENDERABLE

    def check(self) -> None:
        """Refuse what edits cannot say.

        Raises:
            RefusedError: it says what.
        """
        settings = self._settings
        lifetime = self._get("ltt")
        if lifetime not in (_ALL_FRAMES, _SINGLE_FRAME):
            raise ElementRefused(
                "begins or ends in the middle of the shot, and an edit holds on all of its frames; set its "
                "lifetime to all frames or to a single frame"
            )
        if not settings.first <= self.frame <= settings.last:
            raise ElementRefused(
                f"was drawn on frame {self.frame}, and the shot has {settings.first}-{settings.last}; set "
                "its lifetime's frame to one of these"
            )
        for owner in (self._element, *self._around):
            self._check_transform(owner)
        if self._get("bm") != 0:
            raise ElementRefused(
                f"has blending mode {self._get('bm'):g}, and only over (0) can be carried; set it to over, "
                "and the blending of its edit layer in the INVE panel"
            )
        if self._get("inv") != 0:
            raise ElementRefused("is inverted, and a region is what lies inside; draw what is to be painted")

    def paint(self) -> dict[str, Any]:
        """The fields of a stroke that are neither place nor width."""
        source = self._get("src")
        opacity = round(min(max(self._get("opc"), 0.0), 1.0), 6)
        is_eraser = source == _ERASER and isinstance(self._element, Stroke)
        if self._get("bt") != 0 or not (source == _COLOUR or is_eraser):
            raise ElementRefused(
                "paints with the picture itself (clone, reveal, blur, sharpen, smear, dodge or burn), and an "
                "edit has a colour of its own; paint with the Brush, or use a layer named adjust"
            )
        if is_eraser:
            return {"color": [0.0, 0.0, 0.0, opacity], "blend": "erase"}
        colour = [self._get(name) for name in "rgb"]
        if max(map(abs, colour)) > _MAX_LIGHT:
            raise ElementRefused(f"has a colour beyond {_MAX_LIGHT}; choose another")
        return {"color": [*(round(one, 6) for one in colour), opacity]}

    def adjustment(self) -> dict[str, Any]:
        """The fields of an adjustment that are neither place nor width."""
        changes = {
            name: float(value)
            for name, value in self._settings.adjustment.items()
            if round(value, 6) != NEUTRAL[name]
        }
        if not changes.keys() - {"pivot"}:
            raise ElementRefused(
                "is an adjustment, and the node's grade changes nothing; set its hue, or another of them"
            )
        if self._get("src") != _COLOUR:
            raise ElementRefused("is no brush's stroke, as an adjustment must be; paint it with the Brush")
        opacity = round(min(max(self._get("opc"), 0.0), 1.0), 6)
        return {**changes, **({"opacity": opacity} if opacity != 1 else {})}

    def lines(self, stroke: Stroke) -> list[dict[str, Any]]:
        """A stroke's places and widths: one line for each time that it is in the picture."""
        if stroke.kind != "catmullrom":
            raise ElementRefused(
                f"is a curve of the kind {stroke.kind}, and strokes are catmullrom; paint it with the Brush"
            )
        width = self._get("bs")
        if not 0 < width <= _MAX_WIDTH_PX:
            raise ElementRefused(
                f"has brush size {width:g}, which must be above 0 and at most {_MAX_WIDTH_PX}; set another"
            )
        rows = self._rows(stroke.points)
        shared = {
            "width": round(width, _DECIMALS),
            "hardness": round(min(max(self._get("h"), 0.0), 1.0), 6),
        }
        return [
            {**line, **shared}
            for line in picture_lines(rows, width, self._by_pressure(), self._settings.picture)
        ]

    def region(self, shape: Shape) -> dict[str, Any]:
        """A shape's outline and soft edge."""
        if shape.kind != "bezier":
            raise ElementRefused(
                f"is a {shape.kind}, and only Beziers can be carried; draw it with the Bezier tool"
            )
        if shape.curve_flags & OPEN:
            raise ElementRefused("is open, and a region must be closed; close it, or paint it with the Brush")
        if not shape.curve_flags & RELATIVE_TANGENTS:
            raise ElementRefused("has tangents in a form that is not known; draw it again")
        feathered = self._get("fo") != 0
        across, up = (self._get(name) if feathered else 0.0 for name in ("fx", "fy"))
        if abs(across - up) > 0.01:
            raise ElementRefused(
                f"has a feather of {across:g} across and {up:g} up, which must be the same; make them so"
            )
        feather = self._knots(shape.feather) if shape.feather is not None and feathered else None
        outline, soft_px = region(self._knots(shape.points), feather, across)
        width = max(soft_px, _HARD_EDGE_PX)
        picture = self._settings.picture
        placed = [(*picture.to_wire(x, y), 1.0) for x, y in outline]
        inside = clip_outline(placed, picture.with_margin(width / 2 - EDGE_PX))
        if not inside:
            raise ElementRefused("lies outside of the picture, or encloses nothing; move it in, or delete it")
        _check_count(len(inside))
        return {
            "points": [[round(x, _DECIMALS), round(y, _DECIMALS)] for x, y, _ in inside],
            "width": round(width, _DECIMALS),
            "hardness": 0.0 if soft_px else 1.0,
            "closed": True,
        }

    def notes(self) -> list[str]:
        """What comes over otherwise than Nuke shows it."""
        notes = []
        names = self._settings.names
        pressure = {names.pressure_size, names.pressure_opacity, names.pressure_hardness}
        for name, value in self._element.attributes.items():
            if name not in _HARMLESS and name not in _READ and name not in pressure and value != 0.0:
                notes.append(f"has the attribute {name!r}, which is not known and was left out")
        if isinstance(self._element, Stroke):
            if self._get("bu") != 0 and self._get("opc") < 1:
                notes.append("builds up where it crosses itself in Nuke, and has one opacity here")
            if self._get(names.pressure_hardness) != 0:
                notes.append("has a hardness that follows the pressure in Nuke, and one hardness here")
        elif self._get("ff") not in (0.0, 1.0) and self._get("fo") != 0:
            notes.append("has a feather with a fall-off of its own, and an even one here")
        if self._is_animated():
            notes.append(f"is animated in Nuke, and is taken here as it is on frame {self.frame}")
        return notes

    # Reading

    def _get(self, name: str) -> float:
        """An attribute on the frame."""
        value = self._element.attributes.get(name)
        if value is None:
            return float(DEFAULTS.get(name, 0.0))
        return self._at(value, self.frame)

    def _at(self, value: Value, frame: float) -> float:
        try:
            return at(value, frame)
        except NotEvaluated as error:
            raise ElementRefused(error.problem.message) from error

    def _drawn_on(self) -> int:
        """The frame that it was drawn on, as the top of this file has it."""
        element, reference = self._element, self._settings.reference_frame
        lifetime = element.attributes.get("ltn")
        if lifetime is not None:
            frame = whole_frame(self._at(lifetime, reference))
            # 0 is what it is where nobody set it.
            if frame or self._settings.first <= 0 <= self._settings.last:
                return frame
        keyed = [element.transform.time, *map(first_time, element.transform.values), element.points.time]
        if not element.points.plain:
            keyed += [first_time(value) for point in element.points.points[:1] for value in point]
        return next((whole_frame(time) for time in keyed if time is not None), reference)

    def _is_animated(self) -> bool:
        """Whether what is read of it, or of the layers that it is in, is another on another frame."""
        element, names = self._element, self._settings.names
        feather = element.feather if isinstance(element, Shape) else None
        values = [
            value
            for points in (element.points, feather)
            if points is not None and not points.plain
            for row in points.points
            for value in row
        ]
        read = _READ | {names.pressure_size, names.pressure_opacity}
        values += [value for name, value in element.attributes.items() if name in read]
        for owner in (element, *self._around):
            values += owner.transform.values[_PIVOT:]
        values += [layer.attributes.get("vis", 1.0) for layer in self._around]
        return any(isinstance(value, Curve) and value.is_animated for value in values)

    def _check_transform(self, owner: Layer | Stroke | Shape) -> None:
        whose = "is" if owner is self._element else f"lies in the layer {owner.name!r}, which is"
        values = owner.transform.values
        for index, value in enumerate(values):
            neutral = _TRANSFORM[index] if index < len(_TRANSFORM) else 0.0
            if neutral is not None and abs(self._at(value, self.frame) - neutral) > 1e-6:
                raise ElementRefused(
                    f"{whose} moved, turned or scaled by its transform; move the points instead"
                )
        for name, value in owner.attributes.items():
            if name.startswith("ptex") and self._at(value, self.frame) != 0:
                raise ElementRefused(f"{whose} moved by a planar track; take it out of that layer")

    def _rows(self, points: Points) -> Sequence[tuple[float, ...]]:
        """A stroke's points on the frame, in Nuke's places."""
        rows: Any = points.points
        if not points.plain:
            rows = [tuple(self._at(value, self.frame) for value in row) for row in rows]
        if not rows:
            raise ElementRefused("has no points; delete it")
        _check_count(len(rows))
        return rows

    def _knots(self, points: Points) -> list[Knot]:
        rows = [tuple(self._at(value, self.frame) for value in row) for row in points.points]
        if len(rows) % 3 or any(len(row) < 2 for row in rows):
            raise ElementRefused(
                f"has {len(rows)} places, which must be three for each of its points; draw it again"
            )
        places = [(row[0], row[1]) for row in rows]
        return list(zip(places[::3], places[1::3], places[2::3]))

    def _by_pressure(self) -> list[str]:
        """The fields of this stroke that follow the pen's pressure."""
        names = self._settings.names
        fields = {"point_widths": names.pressure_size, "point_opacities": names.pressure_opacity}
        return [field for field, name in fields.items() if self._get(name) != 0]


def _check_count(count: int) -> None:
    if count > _MAX_POINTS:
        raise ElementRefused(f"has {count} points, and an edit has {_MAX_POINTS} at most; divide it")

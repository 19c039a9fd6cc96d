"""The checks of `selfcheck.py` that have Nuke paint, and look at the pixels.

Everything is painted white, 40 pixels wide, about the middle of a picture of 400 by 300 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .curve_script import Layer, Points, Shape, Stroke, Values
from .curve_values import Value
from .curve_writing import write
from .selfcheck_types import Differs, Scratch, Unchecked

FORMAT = "400 300 0 0 400 300 1 inve_selfcheck"
CENTER = (200.0, 200.0)
"""Not in the middle of the height, so that up and down differ."""

_WIDTH = 40.0
_HARD = {"bs": _WIDTH, "h": 1.0, "opc": 1.0, "bu": 0.0, "ltn": 1.0}
_OPEN_STROKE = 2080
_STEP_PX = 0.5
_REACH_PX = 60.0


def _stroke(
    name: str = "Brush1",
    *,
    moved: Sequence[float] = (),
    points: Sequence[tuple[float, float]] = ((150.0, 200.0), (250.0, 200.0)),
    **attributes: float,
) -> Stroke:
    rows = tuple((x, y, 1.0) for x, y in points)
    own: dict[str, Value] = {**_HARD, **attributes}
    return Stroke(name, 512, "catmullrom", _OPEN_STROKE, Points(rows), Values(tuple(moved) or (0.0,)), own)


def _painted(scratch: Scratch, *elements: Stroke | Shape) -> Callable[..., float]:
    """A RotoPaint with these elements; gives what samples its alpha, or another channel."""
    host = scratch.host
    ground = scratch.node("Constant", format=FORMAT)
    node = scratch.node("RotoPaint", inputs=[ground])
    host.set_script(node, "curves", write(Layer("Root", 0, Values(CENTER), {}, elements)))

    def sampled(x: float, y: float, channel: str = "red", frame: int = 1) -> float:
        return host.sample(node, channel, x, y, frame)

    return sampled


def _half(sampled: Callable[..., float], full: float) -> float:
    """How far above the centre half of the full coverage is left, in pixels."""
    distance, before = 0.0, sampled(*CENTER)
    while distance < _REACH_PX:
        after = sampled(CENTER[0], CENTER[1] + distance + _STEP_PX)
        if after < full / 2 <= before:
            return distance + _STEP_PX * (before - full / 2) / (before - after)
        distance, before = distance + _STEP_PX, after
    raise Unchecked(f"the paint reaches further than {_REACH_PX:g} pixels")


def _need_paint(value: float) -> None:
    if value < 0.5:
        raise Differs(f"a white stroke gives {value:.3g} in the middle of it")


def _from_below(scratch: Scratch) -> str:
    sampled = _painted(scratch, _stroke())
    at, mirrored = sampled(*CENTER), sampled(CENTER[0], 300 - CENTER[1])
    if mirrored > at:
        raise Differs("places count from the top")
    _need_paint(at)
    return "places count pixels from the lower left corner"


def _brush_size(scratch: Scratch) -> str:
    sampled = _painted(scratch, _stroke())
    _need_paint(sampled(*CENTER))
    width = 2 * _half(sampled, 1.0)
    if abs(width - _WIDTH) > 1.5:
        raise Differs(f"a hard stroke of brush size {_WIDTH:g} is {width:.1f} pixels wide")
    return f"a hard stroke of brush size {_WIDTH:g} is {width:.1f} pixels wide"


def _hardness(scratch: Scratch) -> str:
    said, off = [], False
    for hardness in (0.8, 0.5, 0.2):
        sampled = _painted(scratch, _stroke(h=hardness))
        full = sampled(*CENTER)
        width = 2 * _half(sampled, full)
        off = off or abs(width - _WIDTH) > 0.1 * _WIDTH or full < 0.95
        said.append(f"at {hardness:g} {full:.2f} in the middle and {width:.1f} pixels at half of it")
    if off:
        raise Differs(f"hardness of a stroke of brush size {_WIDTH:g}: {', '.join(said)}")
    return ", ".join(said)


def _opacity(scratch: Scratch) -> str:
    value = _painted(scratch, _stroke(opc=0.5))(*CENTER)
    if abs(value - 0.5) > 0.02:
        raise Differs(f"opacity 0.5 without build-up gives {value:.3g}")
    return "opacity is the share of the colour, without build-up"


def _order(scratch: Scratch) -> str:
    sampled = _painted(scratch, _stroke("First", g=0.0, b=0.0), _stroke("Second", r=0.0, b=0.0))
    red, green = sampled(*CENTER, "red"), sampled(*CENTER, "green")
    if green > red:
        raise Differs("the last element is on top")
    _need_paint(red)
    return "the first element is on top"


def _lifetime(scratch: Scratch) -> str:
    sampled = _painted(scratch, _stroke(ltt=2.0, ltn=5.0, ltm=5.0))
    there, away = sampled(*CENTER, frame=5), sampled(*CENTER, frame=6)
    if there < 0.5 or away > 0.5:
        raise Differs(f"lifetime 2 at frame 5 gives {there:.3g} on frame 5 and {away:.3g} on frame 6")
    return "lifetime 2 is a single frame, which is in ltn"


def _transform(scratch: Scratch) -> str:
    moved = (*CENTER, 0.0, 0.0, 50.0)
    sampled = _painted(scratch, _stroke(moved=moved))
    there, away = sampled(CENTER[0], CENTER[1] + 50), sampled(*CENTER)
    if there < 0.5 or away > 0.5:
        raise Differs("the fifth number of a transform is not the way up")
    pivot = _painted(scratch, _stroke(moved=(300.0, 100.0)))(*CENTER)
    if pivot < 0.5:
        raise Differs("the first two numbers of a transform move the stroke, and are no pivot alone")
    return "a transform's numbers begin with the pivot, then the way"


def _square(**attributes: float) -> Shape:
    corners = ((150.0, 150.0), (250.0, 150.0), (250.0, 220.0), (150.0, 220.0))
    points = tuple(place for corner in corners for place in ((0.0, 0.0), corner, (0.0, 0.0)))
    own: dict[str, Value] = {"ltn": 1.0, **attributes}
    return Shape("Bezier1", 512, "bezier", 8192, Points(points), None, Values((0.0,)), own)


def _shape(scratch: Scratch) -> str:
    edge = _half(_painted(scratch, _square()), 1.0)
    if abs(edge - 20) > 1:
        raise Differs(f"a shape's edge 20 pixels above the centre is at {edge:.1f}")
    return "a shape is filled up to its points"


def _feather(scratch: Scratch) -> str:
    edge = _half(_painted(scratch, _square(fx=20.0, fy=20.0)), 1.0)
    if abs(edge - 30) > 3:
        raise Differs(f"with a feather of 20 pixels half of the colour is {edge - 20:.1f} pixels outside")
    return f"with a feather of 20 pixels half of the colour is {edge - 20:.1f} pixels outside"


def _eraser(scratch: Scratch) -> str:
    value = _painted(scratch, _stroke("Eraser1", src=2.0), _stroke())(*CENTER)
    if value > 0.5:
        raise Differs(f"an eraser (src 2) over a stroke leaves {value:.3g}")
    return "source 2 is an eraser"


CHECKS: Sequence[tuple[str, Callable[[Scratch], str]]] = (
    ("where places count from", _from_below),
    ("brush size", _brush_size),
    ("hardness", _hardness),
    ("opacity", _opacity),
    ("order of elements", _order),
    ("lifetime", _lifetime),
    ("transform", _transform),
    ("inside of a shape", _shape),
    ("feather", _feather),
    ("eraser", _eraser),
)
"""In order: name, check."""

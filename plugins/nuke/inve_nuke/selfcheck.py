"""A checklist for whoever has a licensed Nuke: what the plugin relies on and no documentation says, tried.

    import inve_nuke.selfcheck
    inve_nuke.selfcheck.run()

Each item makes nodes of its own, looks at what Nuke does with them, and takes them out again; the script
stays as it was, its undo list too. A line for each item goes to the terminal, and all of them are returned.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inve_client.plugin.points import Point, Track

from . import selfcheck_paint
from .curve_script import OPEN, RELATIVE_TANGENTS, RENDERABLE, Layer, Points, Stroke, Values, parse
from .curve_writing import write
from .geometry import Picture
from .node import GRADE, TOOLSET
from .roto_elements import DEFAULTS, AttributeNames
from .selfcheck_types import Differs, Scratch, Unchecked
from .tracker_script import COLUMNS, append, read

if TYPE_CHECKING:
    from .host import NukeHost

OK, DIFFERS, NOT_CHECKED = "ok", "differs", "not checked"

_NAMES = {
    "kRedAttribute": "r",
    "kGreenAttribute": "g",
    "kBlueAttribute": "b",
    "kOpacityAttribute": "opc",
    "kBrushSizeAttribute": "bs",
    "kBrushTypeAttribute": "bt",
    "kHardnessAttribute": "h",
    "kBuildUpAttribute": "bu",
    "kSourceAttribute": "src",
    "kBlendingModeAttribute": "bm",
    "kInvertedAttribute": "inv",
    "kVisibleAttribute": "vis",
    "kFeatherOnAttribute": "fo",
    "kFeatherXAttribute": "fx",
    "kFeatherYAttribute": "fy",
    "kFeatherFallOffAttribute": "ff",
    "kLifeTimeTypeAttribute": "ltt",
    "kLifeTimeNAttribute": "ltn",
    "kLifeTimeMAttribute": "ltm",
    "kDynamicSizeAttribute": AttributeNames().pressure_size,
    "kDynamicTransparencyAttribute": AttributeNames().pressure_opacity,
    "kDynamicHardnessAttribute": AttributeNames().pressure_hardness,
}
_FLAGS = {"eOpenFlag": OPEN, "eRenderableFlag": RENDERABLE, "eRelativeTangentFlag": RELATIVE_TANGENTS}


@dataclass(frozen=True)
class Item:
    """One line of the checklist; `state` is OK, DIFFERS or NOT_CHECKED, `said` what was seen."""

    name: str
    state: str
    said: str

    def __str__(self) -> str:
        return f"{self.state:11}  {self.name}: {self.said}"


Check = Callable[[Scratch], str]
"""Gives what it saw, or raises `Differs` or `Unchecked`."""


def run(host: NukeHost | None = None) -> tuple[Item, ...]:
    """Check this Nuke, from its main thread.

    Args:
        host: made anew by default.

    Returns:
        An item for each check, in order.
    """
    if host is None:
        from .host import NukeHost

        host = NukeHost()
    items = []
    host.log(f"INVE checks Nuke {host.version} with Python {sys.version.split()[0]}")
    for name, check in CHECKS:
        items.append(_item(host, name, check))
        host.log(str(items[-1]))
    counts = (f"{sum(item.state == state for item in items)} {state}" for state in (OK, DIFFERS, NOT_CHECKED))
    host.log(
        f"INVE has checked {len(items)} items: {', '.join(counts)}. Please send these lines with a report."
    )
    return tuple(items)


def _item(host: NukeHost, name: str, check: Check) -> Item:
    scratch = Scratch(host)
    try:
        with host.unrecorded():
            try:
                return Item(name, OK, check(scratch))
            finally:
                scratch.clear()
    except Differs as found:
        return Item(name, DIFFERS, str(found))
    except Unchecked as reason:
        return Item(name, NOT_CHECKED, str(reason))
    except Exception as error:  # noqa: BLE001 - whatever this Nuke has not got is what is asked
        return Item(name, NOT_CHECKED, f"{type(error).__name__}: {error}")


# The checks that need no picture


def _libraries(_: Scratch) -> str:
    import msgpack
    import zmq

    version = ".".join(map(str, msgpack.version))
    return f"pyzmq {zmq.__version__} from {zmq.__file__}, msgpack {version} from {msgpack.__file__}"


def _qt(scratch: Scratch) -> str:
    if not scratch.host.is_gui:
        raise Unchecked("there is no window")
    from .panel.qt import QtCore

    return f"{QtCore.__name__} {QtCore.qVersion()}"


def _attribute_names(scratch: Scratch) -> str:
    return _compared(scratch.host.curve_constants("AnimAttributes"), _NAMES)


def _flags(scratch: Scratch) -> str:
    found = {
        name: 1 << int(bit) for name, bit in scratch.host.curve_constants("FlagType").items() if bit >= 0
    }
    return _compared(found, _FLAGS)


def _compared(found: Mapping[str, object], expected: Mapping[str, object]) -> str:
    missing = [name for name in expected if name not in found]
    other = [
        f"{name} is {found[name]!r}" for name in expected if name in found and found[name] != expected[name]
    ]
    if other:
        raise Differs(", ".join(other))
    if missing:
        raise Unchecked(f"this Nuke has no {', '.join(missing)}")
    return f"all {len(expected)} as expected"


def _own_curves(scratch: Scratch) -> str:
    text = scratch.host.script(scratch.node("RotoPaint"), "curves")
    root = parse(text)
    if root.name != "Root":
        raise Differs(f"the root layer of a new RotoPaint is called {root.name!r}")
    return f"a new RotoPaint has {len(text)} characters, with a layer {root.name}"


def _curves_come_back(scratch: Scratch) -> str:
    points = Points(((10.5, 20.25, 0.5), (30.0, 40.0, 1.0)))
    stroke = Stroke(
        "Brush1", 512, "catmullrom", 2080, points, Values((0.0,)), {"bs": 12.0, "opc": 0.5, "ltn": 7.0}
    )
    layer = Layer("Layer1", 512, Values((0.0, 0.0)), {}, (stroke,))
    node = scratch.node("RotoPaint")
    scratch.host.set_script(node, "curves", write(Layer("Root", 0, Values((0.0, 0.0)), {}, (layer,))))
    elements = parse(scratch.host.script(node, "curves")).elements
    found = (
        elements[0].elements[0]
        if elements and isinstance(elements[0], Layer) and elements[0].elements
        else None
    )
    if not isinstance(found, Stroke):
        raise Differs("a layer with a stroke, set with fromScript, is not in toScript")
    for name, value in stroke.attributes.items():
        if found.attributes.get(name, value) != value:
            raise Differs(f"attribute {name} was set to {value}, and is {found.attributes[name]}")
    if found.points.points != points.points:
        raise Differs(f"points were set to {points.points}, and are {found.points.points}")
    return "a stroke set with fromScript comes back from toScript"


def _no_pressure(scratch: Scratch) -> str:
    points = Points(((10.0, 20.0, 0.0), (30.0, 40.0, 1.0), (50.0, 60.0)))
    node = scratch.node("RotoPaint")
    stroke = Stroke("Brush1", 512, "catmullrom", 2080, points, Values((0.0,)), {"bs": 12.0})
    scratch.host.set_script(node, "curves", write(Layer("Root", 0, Values((0.0, 0.0)), {}, (stroke,))))
    found = parse(scratch.host.script(node, "curves")).elements[0]
    if not isinstance(found, Stroke) or len(found.points.points) != 3:
        raise Unchecked("the stroke did not come back")
    first, middle, last = (point[2:] for point in found.points.points)
    if middle == () or 1.0 in (*first, *last):
        raise Differs(f"pressures 0, 1 and none come back as {first}, {middle} and {last}")
    return "a pressure that is left out is 0"


def _defaults(scratch: Scratch) -> str:
    node = scratch.node("RotoPaint")
    stroke = Stroke("Brush1", 512, "catmullrom", 2080, Points(((1.0, 2.0, 1.0),)), Values((0.0,)), {})
    scratch.host.set_script(node, "curves", write(Layer("Root", 0, Values((0.0, 0.0)), {}, (stroke,))))
    found, unknown = {}, []
    for name in (*DEFAULTS, "src", "bm", "inv", "ltt", "bu", "fx", "fy"):
        try:
            found[name] = scratch.host.paint_number(node, "Brush1", name, 1)
        except Exception:  # noqa: BLE001 - Nuke may have no value where the script has none
            unknown.append(name)
    other = [
        f"{name} is {value:g}" for name, value in found.items() if abs(value - DEFAULTS.get(name, 0)) > 1e-6
    ]
    if other:
        raise Differs(", ".join(other))
    if not found:
        raise Unchecked("no attribute has a value where the script has none")
    return f"{', '.join(found)} as expected" + (f"; {', '.join(unknown)} have no value" if unknown else "")


def _tracker(scratch: Scratch) -> str:
    node = scratch.node("Tracker4")
    host = scratch.host
    frames = (1, 2, 3)
    track = Track(
        Point("inve", 1, 10.0, 20.0),
        frames,
        (10.0, 11.5, 13.0),
        (20.0, 21.0, 22.0),
        (True, False, True),
        (1.0,) * 3,
    )
    host.set_script(node, "tracks", append(host.script(node, "tracks"), [track], Picture(100, 100)))
    found = read(host.script(node, "tracks"))
    if [one.name for one in found] != ["inve"]:
        raise Differs(f"one track was added, and there are {[one.name for one in found]}")
    own = [found[0].at(frame) for frame in frames]
    if own != [(10, 80, True), (11.5, 79, False), (13, 78, True)]:
        raise Differs(f"the track comes back as {own}")
    x = host.number_at(node, "tracks", 2, COLUMNS.index("track_x"))
    if abs(x - 11.5) > 1e-4:
        raise Differs(f"getValueAt gives {x:g} for track_x on frame 2, which is 11.5")
    return "a track set with fromScript comes back, and getValueAt finds it"


def _corners(scratch: Scratch) -> str:
    node = scratch.node("CornerPin2D")
    corners = [
        tuple(scratch.host.number_at(node, f"to{k}", 1, axis) for axis in (0, 1)) for k in (1, 2, 3, 4)
    ]
    if len(set(corners)) == 1:
        raise Unchecked(f"all of them begin at {corners[0]}")
    (left, bottom), (right, low), (far, top), (near, high) = corners
    if not (left == near < right == far and bottom == low < top == high):
        raise Differs(f"to1 to to4 begin at {corners}, and not around from the lower left")
    return "to1 to to4 go around from the lower left"


def _write(scratch: Scratch) -> str:
    node = scratch.node("Write", file_type="exr")
    wishes = {"datatype": "32 bit float", "compression": "Zip (1 scanline)"}
    other = [
        f"{name} offers no {wish!r}"
        for name, wish in wishes.items()
        if not scratch.host.choose(node, name, wish)
    ]
    if other:
        raise Differs(", ".join(other))
    scratch.host.set_value(node, "raw", True)
    return "an EXR Write offers 32 bit float and Zip, and raw"


def _read_knobs(scratch: Scratch) -> str:
    node = scratch.node("Read")
    wanted = ("file", "first", "last", "origfirst", "origlast", "reload", "colorspace", "raw", "on_error")
    missing = [name for name in wanted if not scratch.host.has_knob(node, name)]
    if missing:
        raise Differs(f"a Read has no {', '.join(missing)}")
    return f"a Read has {', '.join(wanted)}"


def _proxy(scratch: Scratch) -> str:
    return f"the root says whether proxy mode is on: {scratch.host.proxy_is_on}"


def _toolset(scratch: Scratch) -> str:
    node = scratch.pasted(TOOLSET)
    missing = [f"inve_{name}" for name in GRADE if not scratch.host.has_knob(node, f"inve_{name}")]
    if missing or scratch.host.class_name(node) != "Group":
        raise Differs(
            f"INVE.nk gives a {scratch.host.class_name(node)} without {', '.join(missing) or 'a group'}"
        )
    return f"INVE.nk gives a Group with {len(scratch.host.knobs(node))} knobs"


CHECKS: Sequence[tuple[str, Check]] = (
    ("pyzmq and msgpack", _libraries),
    ("Qt", _qt),
    ("names of paint attributes", _attribute_names),
    ("flags of curves", _flags),
    ("curves of a new RotoPaint", _own_curves),
    ("curves there and back", _curves_come_back),
    ("pressure left out", _no_pressure),
    ("attributes left out", _defaults),
    *selfcheck_paint.CHECKS,
    ("tracks of a Tracker4", _tracker),
    ("corners of a CornerPin2D", _corners),
    ("choices of a Write", _write),
    ("knobs of a Read", _read_knobs),
    ("proxy mode", _proxy),
    ("the INVE node", _toolset),
)
"""In order: name, check."""

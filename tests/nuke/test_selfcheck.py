"""The checklist for a licensed Nuke, in the stand-in, and in ones that paint or do otherwise."""

from __future__ import annotations

import math
from typing import Any

import pytest

from inve_nuke import selfcheck
from inve_nuke.curve_script import Shape, Stroke, parse
from inve_nuke.curve_values import at
from inve_nuke.host import NukeHost
from inve_nuke.roto_elements import DEFAULTS
from inve_nuke.selfcheck import DIFFERS, NOT_CHECKED, OK, Item
from stage import Stage


class PaintingHost(NukeHost):
    """A Nuke that paints as the plugin relies on. What `otherwise` names it does in another way."""

    otherwise = ""

    def sample(self, node: Any, channel: str, x: float, y: float, frame: int) -> float:
        if self.otherwise == "upside down":
            y = 300 - y
        elements = parse(self.script(node, "curves")).elements
        if self.otherwise == "last on top":
            elements = elements[::-1]
        value = 0.0
        for element in reversed(elements):
            assert isinstance(element, (Stroke, Shape))
            get = {**DEFAULTS, **{name: at(one, frame) for name, one in element.attributes.items()}}
            if get.get("ltt") == 2 and get["ltn"] != frame and self.otherwise != "no lifetime":
                continue
            cover = self.cover(element, get, x, y) * get["opc"]
            colour = 0.0 if get.get("src") == 2 else get[channel[0]]
            value += (colour - value) * cover
        return value

    def cover(self, element: Stroke | Shape, get: dict[str, float], x: float, y: float) -> float:
        way = [at(one, 1) for one in element.transform.values] + [0.0] * 5
        if self.otherwise == "pivot moves":
            way[4] = way[0]
        x, y = x - way[3], y - way[4]
        rows = [(at(row[0], 1), at(row[1], 1)) for row in element.points.points]
        if isinstance(element, Shape):
            corners = rows[1::3]
            inside = min(x - corners[0][0], corners[2][0] - x, y - corners[0][1], corners[2][1] - y)
            feather = get.get("fx", 0.0)
            return min(max(inside / feather + 1 if feather else inside + 0.5, 0), 1)
        width = get["bs"] * (0.5 if self.otherwise == "radius" else 1)
        # All of its strokes are level.
        (left, level), (right, _) = rows[0], rows[-1]
        distance = abs(y - level) if left <= x <= right else math.inf
        soft = max((1 - get["h"]) * width / 2, 0.5)
        return min(max((width / 2 - distance) / (2 * soft) + 0.5, 0), 1)

    def paint_number(self, node: Any, element: str, attribute: str, frame: float) -> float:
        if self.otherwise == "another default" and attribute == "h":
            return 1.0
        return float(DEFAULTS.get(attribute, 0.0))


def checked(host: NukeHost) -> dict[str, Item]:
    items = selfcheck.run(host)
    assert len({item.name for item in items}) == len(items) == len(selfcheck.CHECKS)
    return {item.name: item for item in items}


def test_in_the_stand_in_what_needs_no_picture_is_ok(stage: Stage) -> None:
    items = checked(NukeHost())
    states = {name: item.state for name, item in items.items()}
    pictures = {name for name, _ in selfcheck.selfcheck_paint.CHECKS}
    assert {name for name, state in states.items() if state == DIFFERS} == set()
    assert {name for name, state in states.items() if state == NOT_CHECKED} >= pictures
    for name in ("names of paint attributes", "flags of curves", "curves there and back", "the INVE node"):
        assert (name, states[name]) == (name, OK)


def test_it_leaves_nothing_in_the_script_and_tells_line_by_line(stage: Stage) -> None:
    host = NukeHost()
    selfcheck.run(host)
    assert stage.root.nodes() == []
    assert stage.undo_steps == []
    lines = [line for line in stage.printed if line.strip()]
    assert lines[0].startswith("INVE checks Nuke 15.1v4")
    assert len(lines) == len(selfcheck.CHECKS) + 2
    assert any(line.startswith("ok           curves there and back: ") for line in lines)
    assert lines[-1].endswith("Please send these lines with a report.")


def test_without_a_window_there_is_no_qt_to_check(terminal: Stage) -> None:
    item = checked(NukeHost())["Qt"]
    assert (item.state, item.said) == (NOT_CHECKED, "there is no window")


def test_a_nuke_that_paints_as_relied_on_is_ok(stage: Stage) -> None:
    items = checked(PaintingHost())
    for name, _ in selfcheck.selfcheck_paint.CHECKS:
        assert (name, items[name].state) == (name, OK), items[name].said
    assert items["attributes left out"].state == OK
    assert items["brush size"].said == "a hard stroke of brush size 40 is 40.0 pixels wide"


@pytest.mark.parametrize(
    ("otherwise", "name", "said"),
    [
        ("upside down", "where places count from", "places count from the top"),
        ("last on top", "order of elements", "the last element is on top"),
        ("radius", "brush size", "a hard stroke of brush size 40 is 20.0 pixels wide"),
        ("no lifetime", "lifetime", "lifetime 2 at frame 5 gives 1 on frame 5 and 1 on frame 6"),
        ("pivot moves", "transform", "the fifth number of a transform is not the way up"),
        ("another default", "attributes left out", "h is 1"),
    ],
)
def test_a_nuke_that_does_otherwise_is_told(stage: Stage, otherwise: str, name: str, said: str) -> None:
    host = PaintingHost()
    host.otherwise = otherwise
    item = checked(host)[name]
    assert (item.state, item.said) == (DIFFERS, said)


class RenamingHost(NukeHost):
    """A Nuke whose constants are others."""

    def curve_constants(self, class_name: str) -> dict[str, Any]:
        found = super().curve_constants(class_name)
        if class_name == "FlagType":
            return {name: bit for name, bit in found.items() if name != "eOpenFlag"}
        return {**found, "kDynamicSizeAttribute": "dynsize"}


def test_other_names_and_missing_ones_are_told(stage: Stage) -> None:
    items = checked(RenamingHost())
    assert items["names of paint attributes"] == Item(
        "names of paint attributes", DIFFERS, "kDynamicSizeAttribute is 'dynsize'"
    )
    assert items["flags of curves"] == Item("flags of curves", NOT_CHECKED, "this Nuke has no eOpenFlag")


class ForgettingHost(NukeHost):
    """A Nuke that rounds what is set on its curves and tracks knobs."""

    def script(self, node: Any, name: str) -> str:
        return super().script(node, name).replace("x41a20000", "20").replace("11.5", "11")


def test_a_knob_that_gives_back_something_else_is_told(stage: Stage) -> None:
    items = checked(ForgettingHost())
    assert items["curves there and back"].state == DIFFERS
    assert "points were set to ((10.5, 20.25, 0.5)" in items["curves there and back"].said
    assert items["tracks of a Tracker4"].state == DIFFERS

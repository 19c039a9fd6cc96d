"""Strokes and shapes as edits, and what cannot be one."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from inve_nuke.curve_script import parse
from inve_nuke.geometry import Picture
from inve_nuke.roto import Painted, convert, prefix_of
from inve_nuke.roto_elements import AttributeNames, RotoSettings
from inve_nuke.script_words import ScriptError

GOLDEN = Path(__file__).parent / "golden"
HEIGHT = 540
SETTINGS = RotoSettings(
    owner="node-1",
    name="RotoPaint1",
    picture=Picture(960, HEIGHT),
    first=1001,
    last=1010,
    reference_frame=1003,
    adjustment={"hue": -20.0, "saturation": 1.0, "brightness": 0.1},
)


def golden(name: str, **changes: Any) -> Painted:
    return convert((GOLDEN / f"{name}.curves").read_text(), replace(SETTINGS, **changes))


def strokes(*elements: str, **changes: Any) -> Painted:
    text = "{{v x3f99999a} {f 0} {n {layer Root {f 0} {t 480 270} {a} " + " ".join(elements) + "}}}"
    return convert(text, replace(SETTINGS, **changes))


def brush(attributes: str = "", points: str = "{10 20 1} {30 40 1}", name: str = "Brush1") -> str:
    return (
        f"{{cubiccurve {name} 512 catmullrom {{cc {{f 2080}} {{p {points}}}}} {{t 0}} "
        f"{{a bs 4 ltn 1001 {attributes}}}}}"
    )


def shape(attributes: str, *points: str, flags: int = 8192) -> str:
    """A shape with straight sides."""
    places = " ".join(f"{{0 0}} {{{point}}} {{0 0}}" for point in points)
    return (
        f"{{curvegroup S 512 bezier {{{{cc {{f {flags}}} {{p {places}}}}} idem}} {{t 0}} "
        f"{{a ltn 1001 {attributes}}}}}"
    )


def only_edit(painted: Painted) -> dict[str, Any]:
    assert painted.refusals == ()
    ((edit,),) = [layer.edits for layer in painted.layers]
    return edit


def refusal(painted: Painted) -> str:
    assert painted.layers == ()
    (sentence,) = painted.refusals
    assert sentence.endswith(".")
    assert ";" in sentence
    return sentence


def test_a_stroke_as_nuke_saves_it() -> None:
    painted = golden("strokes_hexadecimal")
    (layer,) = painted.layers
    assert (layer.name, layer.kind) == ("RotoPaint1", "sketch")
    lower, upper = layer.edits
    assert {name: value for name, value in upper.items() if name != "id"} == {
        "type": "stroke",
        "frame": 1002,
        "points": [[400.0, HEIGHT - 300.0], [430.0, HEIGHT - 320.0], [460.0, HEIGHT - 340.0]],
        "smooth": True,
        "width": 20.0,
        "hardness": round(struct.unpack(">f", bytes.fromhex("3f4ccccd"))[0], 6),
        "color": [1.0, 0.5, 0.25, 0.75],
    }
    assert {name: value for name, value in lower.items() if name != "id"} == {
        "type": "stroke",
        "frame": 1001,
        "points": [[100.0, HEIGHT - 200.0], [150.5, HEIGHT - 210.25]],
        "width": 40.0,
        "hardness": 1.0,
        "color": [0.0, 1.0, 0.0, 1.0],
    }
    assert painted.refusals == ()


# Layers and their order


def test_the_first_element_is_on_top_and_layers_are_their_own() -> None:
    painted = golden("layers")
    assert painted.refusals == ()
    assert [(layer.name, layer.kind, len(layer.edits)) for layer in painted.layers] == [
        ("RotoPaint1", "sketch", 2),
        ("Adjust warm", "adjustment", 2),
        ("Hair", "sketch", 1),
        ("Hair/Strands", "sketch", 1),
        ("RotoPaint1 2", "sketch", 1),
    ]
    bottom, eraser = painted.layers[0].edits
    assert "blend" not in bottom
    assert (eraser["blend"], eraser["color"]) == ("erase", [0.0, 0.0, 0.0, 1.0])


def test_what_is_switched_off_is_left_out_and_told() -> None:
    assert golden("layers").hidden == ("Hair/Hidden1", "Hair/Hidden2")
    layer = "{layer Off {f 512} {t 0} {a vis 0} " + brush() + "}"
    assert strokes(layer).hidden == ("Off/Brush1",)


def test_new_strokes_come_on_top_and_leave_the_names_of_the_layers_below() -> None:
    hair = "{layer Hair {f 512} {t 0} {a} " + brush() + "}"
    before = strokes(hair, brush(name="Low"))
    after = strokes(brush(name="High"), hair, brush(name="Low"))
    assert [layer.name for layer in before.layers] == ["RotoPaint1", "Hair"]
    assert [layer.name for layer in after.layers] == ["RotoPaint1", "Hair", "RotoPaint1 2"]
    assert after.layers[:2] == before.layers


def test_adjustments_take_the_nodes_grade() -> None:
    shape, stroke = golden("layers").layers[1].edits
    assert (shape["type"], stroke["type"]) == ("adjustment", "adjustment")
    for edit in (shape, stroke):
        assert (edit["hue"], edit["brightness"]) == (-20.0, 0.1)
        assert "saturation" not in edit
        assert "color" not in edit
    assert (stroke["opacity"], stroke["width"], stroke["hardness"]) == (0.5, 12.0, 0.5)
    assert shape["closed"] is True
    assert shape["points"] == [[200, 440], [300, 440], [300, 340], [200, 340]]


def test_an_adjustment_that_changes_nothing_is_refused() -> None:
    painted = golden("layers", adjustment={"hue": 0.0, "saturation": 1.0, "pivot": 0.5})
    assert [layer.name for layer in painted.layers] == ["RotoPaint1", "Hair", "Hair/Strands", "RotoPaint1 2"]
    sentence = "is an adjustment, and the node's grade changes nothing; set its hue, or another of them."
    assert painted.refusals == (f"'Adjust warm/Brush1' {sentence}", f"'Adjust warm/Bezier1' {sentence}")


# Ids


def test_ids_stay_with_their_elements() -> None:
    one, two = brush(name="Brush1"), brush(name="Brush2")
    first = {edit["width"]: edit["id"] for edit in strokes(brush("bs 5"), two).layers[0].edits}
    again = {
        edit["width"]: edit["id"]
        for edit in strokes(brush("bs 6", name="New"), brush("bs 5"), two).layers[0].edits
    }
    assert first.items() <= again.items()
    assert len(set(again.values())) == 3
    ids = [edit["id"] for edit in strokes(one, one, two).layers[0].edits]
    assert len(set(ids)) == 3


def test_ids_fit_the_daemon_and_begin_with_their_owner() -> None:
    for owner in ("node-1", "a node of another name, ü"):
        edits = [edit for layer in golden("layers", owner=owner).layers for edit in layer.edits]
        assert all(edit["id"].startswith(prefix_of(owner)) and len(edit["id"]) <= 64 for edit in edits)
    assert prefix_of("node-1") != prefix_of("node-2")


def test_an_element_that_becomes_an_adjustment_is_another_edit() -> None:
    painted = only_edit(strokes("{layer x {f 512} {t 0} {a} " + brush() + "}"))
    adjusted = only_edit(strokes("{layer adjust {f 512} {t 0} {a} " + brush() + "}"))
    assert painted["id"] != adjusted["id"]


# The frame


@pytest.mark.parametrize(
    ("points", "transform", "attributes", "frame"),
    [
        ("px 1005 {1 2} {3 4}", "tx 1004 0 0", "ltn 1006", 1006),
        ("px 1005 {1 2} {3 4}", "tx 1004 0 0", "", 1004),
        ("px 1005 {1 2} {3 4}", "t 0", "", 1005),
        ("p {{{1007 1}} 2} {3 4}", "t 0", "", 1007),
        ("p {1 2} {3 4}", "t {{1008 5}}", "", 1008),
        ("p {1 2} {3 4}", "t 0", "", 1003),
        ("p {1 2} {3 4}", "t 0", "ltn 0", 1003),
    ],
)
def test_the_frame_is_the_lifetimes_or_a_keys_or_the_reference(
    points: str, transform: str, attributes: str, frame: int
) -> None:
    curve = f"{{cc {{f 2080}} {{{points}}}}}"
    element = f"{{cubiccurve B 512 catmullrom {curve} {{{transform}}} {{a bs 4 {attributes}}}}}"
    assert only_edit(strokes(element))["frame"] == frame


@pytest.mark.parametrize(
    "element",
    [
        shape("", "10 10", "{{1001 50} {1009 90}} 10", "50 60"),
        brush("opc {{1001 1} {1009 0}}"),
        brush(points="{{{1001 10} {1009 30}} 20 1} {30 40 1}"),
        "{layer Moving {f 512} {t 0 0 0 {{1001 0} {1009 30}}} {a} " + brush() + "}",
        "{layer Blinking {f 512} {t 0} {a vis {{1001 1} {1009 0}}} " + brush() + "}",
    ],
)
def test_what_is_animated_is_told_with_its_frame(element: str) -> None:
    painted = strokes(element)
    assert painted.refusals == ()
    (note,) = painted.notes
    assert re.fullmatch(
        r"'(\w+/)?(S|Brush1)' is animated in Nuke, and is taken here as it is on frame 1001\.", note
    )


def test_one_key_is_no_animation() -> None:
    element = shape("opc {{1001 0.5}} bs {{1001 4} {1009 4}}", "{{1001 10}} 10", "50 10", "50 60")
    assert strokes(element).notes == ()


def test_animation_is_worked_out_on_that_frame() -> None:
    keyed = golden("shapes").layers[0].edits[0]
    assert keyed["frame"] == 1006
    assert keyed["points"] == [[105, 440], [205, 440], [205, 340]]
    # A step holds the first value up to the second key.
    assert keyed["color"] == [1.0, 1.0, 1.0, 0.0]


# Pressure


@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        ("", []),
        ("ds 1", ["point_widths"]),
        ("dt 1", ["point_opacities"]),
        ("ds 1 dt 1", ["point_opacities", "point_widths"]),
    ],
)
def test_pressure_does_what_the_stroke_says(attributes: str, fields: list[str]) -> None:
    edit = only_edit(strokes(brush(attributes, "{10 20 x3f000000} {30 40 1} {50 60}")))
    assert sorted({"point_widths", "point_opacities"} & edit.keys()) == fields
    assert all(edit[field] == [0.5, 1.0, 0.0] for field in fields)


def test_the_host_may_know_the_attributes_names() -> None:
    stroke = brush("dynsize 1", "{10 20 x3f000000} {30 40 1}")
    edit = only_edit(strokes(stroke, names=AttributeNames(pressure_size="dynsize")))
    assert edit["point_widths"] == [0.5, 1.0]


def test_a_mouse_has_one_pressure() -> None:
    assert "point_widths" not in only_edit(strokes(brush("ds 1")))


# What Nuke leaves out


def test_attributes_that_are_left_out_have_nukes_defaults() -> None:
    text = "{cubiccurve B 512 catmullrom {cc {p {100 100 1}}} {t 0} {a}}"
    edit = only_edit(strokes(text))
    assert (edit["width"], edit["hardness"], edit["color"]) == (25.0, 0.2, [1.0, 1.0, 1.0, 1.0])
    assert edit["points"] == [[100.0, 440.0]]
    assert "smooth" not in edit


def test_what_is_not_quite_the_same_is_told_once() -> None:
    painted = strokes(
        brush("bu 1 opc x3f000000", name="A"), brush("bu 1 opc x3f000000", name="B"), brush("wob 2", name="C")
    )
    assert painted.notes == (
        "'A' (and 1 more) builds up where it crosses itself in Nuke, and has one opacity here.",
        "'C' has the attribute 'wob', which is not known and was left out.",
    )
    assert len(painted.layers[0].edits) == 3


def test_an_eraser_above_other_layers_is_told() -> None:
    hair = "{layer Hair {f 512} {t 0} {a} " + brush() + "}"
    eraser = brush("src 2", name="Eraser1")
    above = strokes(eraser, brush(name="Top"), hair)
    assert above.notes == (
        "'Eraser1' erases what layers below have in Nuke too, and here what its own layer has.",
    )
    assert strokes(eraser, brush(name="Only")).notes == ()


# Lines that leave the picture


def test_a_line_that_leaves_the_picture_is_cut_half_a_width_outside() -> None:
    edit = only_edit(strokes(brush(points="{100 100 1} {-900 100 0}")))
    assert edit["points"][0] == [100, 440]
    assert edit["points"][1] == pytest.approx([-2, 440], abs=0.01)
    weak = only_edit(strokes(brush("ds 1", "{100 100 1} {-900 100}")))
    assert weak["point_widths"] == pytest.approx([1, 1 - 102 / 1000], abs=1e-4)


def test_a_curve_that_leaves_the_picture_stays_the_curve_it_was() -> None:
    inside = only_edit(strokes(brush(points="{300 400 1} {500 460 1} {700 400 0}")))
    assert (inside["smooth"], len(inside["points"])) == (True, 3)
    stroke = brush("ds 1 dt 1", "{300 500 x3f000000} {500 560 1} {700 500}")
    left, right = strokes(stroke).layers[0].edits
    for edit in (left, right):
        assert "smooth" not in edit
        assert len(edit["points"]) > 3
        assert min(y for _, y in edit["points"]) == pytest.approx(-2, abs=0.01)
        assert len(edit["point_widths"]) == len(edit["points"])
        assert edit["point_opacities"] == edit["point_widths"]
    # Halfway to the top the curve is above the straight way.
    assert max(y for x, y in left["points"] if x >= 380) < HEIGHT - 526
    assert right["point_widths"][-1] == 0


def test_a_line_that_comes_back_is_two_with_their_own_ids() -> None:
    painted = strokes(brush(points="{100 100 1} {-900 100 1} {-900 300 1} {100 300 1}"))
    first, second = painted.layers[0].edits
    assert second["id"] == f"{first['id']}.1"
    assert (first["points"][0], second["points"][-1]) == ([100, 440], [100, 240])


# Refusals

REFUSED = {
    "Expression": "'Expression' is driven by the expression 'parent.input.to4.x'; bake it to keys.",
    "Driven": (
        "'Driven' is driven by the expression 'clamp(parent.lineSpacing, 0.05, 10000)'; bake it to keys."
    ),
    "Clone1": (
        "'Clone1' paints with the picture itself (clone, reveal, blur, sharpen, smear, dodge or "
        "burn), and an edit has a colour of its own; paint with the Brush, or use a layer named "
        "adjust."
    ),
    "Reveal1": (
        "'Reveal1' paints with the picture itself (clone, reveal, blur, sharpen, smear, dodge or "
        "burn), and an edit has a colour of its own; paint with the Brush, or use a layer named "
        "adjust."
    ),
    "Moved": "'Moved' is moved, turned or scaled by its transform; move the points instead.",
    "Tracked/Carried": (
        "'Tracked/Carried' lies in the layer 'Tracked', which is moved, turned or scaled by its "
        "transform; move the points instead."
    ),
    "Planar/Flat": (
        "'Planar/Flat' lies in the layer 'Planar', which is moved by a planar track; take it out "
        "of that layer."
    ),
    "Range": (
        "'Range' begins or ends in the middle of the shot, and an edit holds on all of its "
        "frames; set its lifetime to all frames or to a single frame."
    ),
    "Early": (
        "'Early' was drawn on frame 990, and the shot has 1001-1010; set its lifetime's frame to "
        "one of these."
    ),
    "Max": (
        "'Max' has blending mode 4, and only over (0) can be carried; set it to over, and the "
        "blending of its edit layer in the INVE panel."
    ),
    "Outside": "'Outside' lies outside of the picture; move it in, or delete it.",
    "NoSize": "'NoSize' has brush size 0, which must be above 0 and at most 32768; set another.",
    "Empty": "'Empty' has no points; delete it.",
    "Damaged": "'Damaged' cannot be read (braces must stand where '10' does); draw it again.",
    "Open": "'Open' is open, and a region must be closed; close it, or paint it with the Brush.",
    "Spline": "'Spline' is a bspline, and only Beziers can be carried; draw it with the Bezier tool.",
    "Inverted": "'Inverted' is inverted, and a region is what lies inside; draw what is to be painted.",
    "Uneven": (
        "'Uneven' has a feather of 0 to 15 pixels, and only an even one can be carried; make it "
        "even, or remove it."
    ),
    "Two": "'Two' has 2 points, and a region needs three; add some.",
}


def test_each_refusal_is_a_sentence_and_the_others_come_over() -> None:
    painted = golden("refused")
    assert painted.refusals == tuple(REFUSED.values())
    assert [(layer.name, len(layer.edits)) for layer in painted.layers] == [("RotoPaint1", 1), ("Tracked", 1)]


def test_an_eraser_is_no_adjustment_and_no_shape_is_an_eraser() -> None:
    layer = "{layer adjust {f 512} {t 0} {a} " + brush("src 2") + "}"
    assert "no brush's stroke" in refusal(strokes(layer))
    assert "paints with the picture itself" in refusal(strokes(shape("src 2", "9 9", "60 9", "60 60")))


@hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_is_damaged_is_refused_in_sentences(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([path.stem for path in sorted(GOLDEN.glob("*.curves"))]))
    text = (GOLDEN / f"{name}.curves").read_text()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        junk = data.draw(
            st.sampled_from(("", "0", "-1", "x7f7fffff", "{1 2}", "{{1 5}}", "=a", "{curve x1 3}", "idem"))
        )
        text = f"{text[:start]} {junk} {text[end:]}"
    try:
        painted = convert(text, SETTINGS)
    except ScriptError as refusal:
        told = [refusal.problem.message]
    else:
        told = [*painted.refusals, *painted.notes]
    assert [sentence for sentence in told if not sentence.endswith(".") or "\n" in sentence] == []


# Shapes


def shape_named(name: str) -> dict[str, Any]:
    elements = parse((GOLDEN / "shapes.curves").read_text()).elements
    names = [element.name for element in elements]
    edits = golden("shapes").layers[0].edits
    return edits[::-1][names.index(name)]


def test_a_bezier_is_flattened_to_less_than_a_tenth_of_a_pixel() -> None:
    circle = shape_named("Circle")
    assert (circle["closed"], circle["hardness"], circle["color"]) == (True, 1.0, [1.0, 0.0, 0.0, 0.5])
    points = circle["points"]
    # Four cubics are within 0.0273 % of a circle of radius 100.
    for x, y in points:
        assert math.hypot(x - 200, y - (HEIGHT - 200)) == pytest.approx(100, abs=0.04)
    for index, (x, y) in enumerate(points):
        before_x, before_y = points[index - 1]
        middle = math.hypot((x + before_x) / 2 - 200, (y + before_y) / 2 - (HEIGHT - 200))
        assert middle == pytest.approx(100, abs=0.1)
    assert len(points) < 120


def test_an_even_feather_is_a_soft_edge_halfway_out() -> None:
    soft = shape_named("Soft")
    assert (soft["width"], soft["hardness"]) == (10.0, 0.0)
    assert soft["points"] == [[95, 445], [205, 445], [205, 335], [95, 335]]


def test_feathered_points_that_are_even_are_a_soft_edge_too() -> None:
    feathered = shape_named("Feathered")
    assert (feathered["width"], feathered["hardness"]) == (8.0, 0.0)
    assert feathered["points"] == [[96, 444], [204, 444], [204, 336], [96, 336]]


@pytest.mark.parametrize(
    ("attributes", "width", "corner"),
    [("fx -10 fy -10", 10.0, [105, 435]), ("fx 10 fy 10 fo 0", 1.0, [100, 440])],
)
def test_a_feather_may_lead_in_or_be_off(attributes: str, width: float, corner: list[float]) -> None:
    edit = only_edit(strokes(shape(attributes, "100 100", "100 200", "200 200", "200 100")))
    assert (edit["width"], edit["points"][0]) == (width, corner)


def test_a_feather_that_is_not_one_width_is_refused() -> None:
    text = shape("fx 10 fy 4", "100 100", "200 100", "200 200")
    assert "feather of 10 across and 4 up" in refusal(strokes(text))


def test_a_region_is_cut_to_the_picture() -> None:
    text = shape("", "-500 100", "200 100", "200 200", "-500 200")
    points = only_edit(strokes(text))["points"]
    assert min(x for x, _ in points) == pytest.approx(-0.5, abs=0.01)
    assert max(x for x, _ in points) == 200


def test_tangents_of_an_unknown_form_are_refused() -> None:
    text = shape("", "100 100", "200 100", "200 200", flags=0)
    assert "tangents in a form that is not known" in refusal(strokes(text))

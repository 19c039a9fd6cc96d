"""Edit stacks: what is accepted, what is refused and in which words, and holding one against a shot."""

import copy
import itertools
import json
import os
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inve_core import edit_versions
from inve_core.edits import (
    Adjustment,
    ColorDecision,
    EditLayer,
    EditStack,
    Stroke,
    Texture,
    check_stack,
    parse_stack,
    stack_to_builtins,
    with_ids,
)
from inve_core.errors import EditError
from inve_core.strict import MAX_DOCUMENT_BYTES

NAN, INF = float("nan"), float("inf")
SHOT: dict[str, Any] = {
    "width": 500,
    "height": 300,
    "frames": range(5),
    "video_layers": ("foreground", "background"),
}


EXAMPLE: dict[str, Any] = {
    "version": 1,
    "layers": [
        {
            "name": "paint",
            "kind": "sketch",
            "blend": "over",
            "opacity": 1.0,
            "enabled": True,
            "edits": [
                {
                    "type": "stroke",
                    "frame": 0,
                    "points": [[10, 20], [30.5, 40]],
                    "width": 6.0,
                    "hardness": 0.8,
                    "color": [1.5, -0.25, 0, 1],
                    "video_layer": "auto",
                }
            ],
        },
        {
            "name": "sign",
            "kind": "texture",
            "edits": [
                {
                    "type": "texture",
                    "image": "logo.png",
                    "frame": 0,
                    "x": 400,
                    "y": 210,
                    "width": 120,
                    "height": 80,
                    "rotation": 0,
                    "tracking": "similarity",
                    "video_layer": "auto",
                }
            ],
        },
        {
            "name": "grade",
            "kind": "adjustment",
            "edits": [
                {
                    "type": "adjustment",
                    "frame": 0,
                    "points": [[1, 2], [3, 4], [1, 4]],
                    "width": 40,
                    "closed": False,
                    "hardness": 0.5,
                    "hue": -20,
                    "saturation": 1.2,
                    "brightness": 0.1,
                    "video_layer": "auto",
                }
            ],
        },
    ],
}
"""The example of the design, section 4."""


@pytest.fixture
def document() -> dict[str, Any]:
    return copy.deepcopy(EXAMPLE)


def changed(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy with the value at a path such as `layers.0.name` set."""
    result = copy.deepcopy(document)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    holder: Any = result
    for step in steps:
        holder = holder[step]
    holder[last] = value
    return result


def without(document: dict[str, Any], path: str) -> dict[str, Any]:
    result = copy.deepcopy(document)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    holder: Any = result
    for step in steps:
        holder = holder[step]
    del holder[last]
    return result


def written_out(stack: EditStack) -> dict[str, Any]:
    """The stack as it is read from a file."""
    return dict(json.loads(json.dumps(stack_to_builtins(stack))))


# --- what is accepted -------------------------------------------------------------------------------------


def test_the_example_of_the_design(document: dict[str, Any]) -> None:
    stack = parse_stack(document)
    stroke, texture, adjustment = (layer.edits[0] for layer in stack.layers)
    assert stroke == Stroke(
        frame=0, points=((10.0, 20.0), (30.5, 40.0)), width=6.0, color=(1.5, -0.25, 0.0, 1.0), hardness=0.8
    )
    assert texture == Texture(
        image="logo.png", frame=0, x=400.0, y=210.0, width=120.0, height=80.0, tracking="similarity"
    )
    assert adjustment == Adjustment(
        frame=0,
        points=((1.0, 2.0), (3.0, 4.0), (1.0, 4.0)),
        width=40.0,
        hardness=0.5,
        hue=-20.0,
        saturation=1.2,
        brightness=0.1,
    )
    assert [
        (layer.name, layer.kind, layer.blend, layer.opacity, layer.enabled) for layer in stack.layers
    ] == [
        ("paint", "sketch", "over", 1.0, True),
        ("sign", "texture", "over", 1.0, True),
        ("grade", "adjustment", "over", 1.0, True),
    ]


def test_json_and_plain_data_are_the_same(document: dict[str, Any]) -> None:
    text = json.dumps(document).encode()
    assert parse_stack(text) == parse_stack(document)
    assert parse_stack(b"\xef\xbb\xbf" + text) == parse_stack(document)


def test_an_empty_stack() -> None:
    assert parse_stack(b'{"version": 1, "layers": []}') == EditStack()


def test_a_stack_cannot_be_changed(document: dict[str, Any]) -> None:
    stack = parse_stack(document)
    with pytest.raises(AttributeError):
        stack.layers[0].opacity = 0.5  # type: ignore[misc]
    assert hash(stack) == hash(parse_stack(document))


coordinates = st.floats(-1e6, 1e6)
points = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=6).map(tuple)
unit = st.floats(0, 1)
lengths = st.floats(0, 32768, exclude_min=True)
light = st.floats(-65504, 65504)
common: dict[str, Any] = {
    "frame": st.integers(-(2**31), 2**31 - 1),
    "video_layer": st.sampled_from(["auto", "foreground", "foreground2"]),
}
factors = st.floats(0, 1_000)
exponents = st.floats(0.01, 100)


def three(values: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[float, ...]]:
    return st.tuples(values, values, values)


@st.composite
def lines(draw: st.DrawFn, kind: type, **fields: st.SearchStrategy) -> Any:
    """A stroke or an adjustment whose fields go together, each of them left out now and then."""
    chosen = {name: draw(values) for name, values in {**common, **fields}.items() if draw(st.booleans())}
    chosen |= {"frame": draw(common["frame"]), "points": draw(points), "width": draw(lengths)}
    chosen |= {"closed": draw(st.booleans()), "smooth": draw(st.booleans()), "hardness": draw(unit)}
    if kind is Stroke:
        chosen["color"] = draw(st.tuples(light, light, light, unit))
    count = len(chosen["points"])
    if not chosen["closed"] and draw(st.booleans()):
        chosen["point_widths"] = draw(st.tuples(*[st.floats(0, 16)] * count))
    if not chosen["closed"] and draw(st.booleans()):
        chosen["point_opacities"] = draw(st.tuples(*[unit] * count))
    if chosen.get("video_layer", "auto") != "auto":
        chosen["space"] = draw(st.sampled_from(["frame", "atlas"]))
    return kind(**chosen)


@st.composite
def placed_textures(draw: st.DrawFn) -> Texture:
    """A texture, by its middle or by its corners."""
    fields: dict[str, Any] = {name: draw(values) for name, values in common.items()}
    if draw(st.booleans()):
        fields |= {"x": draw(coordinates), "y": draw(coordinates)}
        fields |= {"width": draw(lengths), "height": draw(lengths), "rotation": draw(st.floats(-360, 360))}
    else:
        x, y = draw(st.floats(-500, 500)), draw(st.floats(-500, 500))
        # Moved by less than half their distance the corners of a rectangle stay convex and in order.
        moved = [draw(st.tuples(st.floats(-20, 20), st.floats(-20, 20))) for _ in range(4)]
        square = ((x, y), (x + 100, y), (x + 100, y + 100), (x, y + 100))
        pairs = zip(square, moved, strict=True)
        fields["corners"] = tuple((px + dx, py + dy) for (px, py), (dx, dy) in pairs)
    if draw(st.booleans()):
        fields |= {"anchor": draw(st.tuples(unit, unit)), "opacity": draw(unit)}
        fields["flip"] = draw(st.sampled_from(["none", "horizontal", "vertical", "both"]))
    atlas = fields["video_layer"] != "auto" and draw(st.booleans())
    fields["space"] = "atlas" if atlas else "frame"
    ways = ["surface"] if atlas else ["surface", "point", "similarity", "corner"]
    fields["tracking"] = draw(st.sampled_from(ways))
    image = draw(st.sampled_from(["a b/ü.png", "sha256:" + "0a" * 32, "C:\\logo.exr"]))
    return Texture(image=image, **fields)


strokes = lines(Stroke, blend=st.sampled_from(["over", "add", "multiply", "screen", "erase"]))
textures = placed_textures()
adjustments = lines(
    Adjustment,
    hue=st.floats(-360, 360),
    saturation=st.floats(0, 10),
    brightness=light,
    exposure=st.floats(-32, 32),
    contrast=exponents,
    pivot=st.floats(1e-4, 65504),
    gamma=exponents,
    cdl=st.builds(
        ColorDecision, slope=three(factors), offset=three(light), power=three(exponents), saturation=factors
    ),
    opacity=unit,
)


def layers_of(kind: str, items: st.SearchStrategy) -> st.SearchStrategy[EditLayer]:
    return st.builds(
        EditLayer,
        name=st.text("abc äß.-_", min_size=1, max_size=8),
        kind=st.just(kind),
        edits=st.lists(items, max_size=3).map(tuple),
        blend=st.sampled_from(["over"] if kind == "adjustment" else ["over", "add", "multiply", "screen"]),
        opacity=unit,
        enabled=st.booleans(),
        solo=st.booleans(),
        video_layer=common["video_layer"],
    )


layers = layers_of("sketch", strokes) | layers_of("texture", textures) | layers_of("adjustment", adjustments)
stacks = st.lists(layers, max_size=4, unique_by=lambda layer: layer.name).map(
    lambda found: EditStack(layers=tuple(found))
)


@given(stacks)
def test_round_trip(stack: EditStack) -> None:
    plain = stack_to_builtins(stack)
    assert parse_stack(plain) == stack
    assert parse_stack(json.dumps(plain).encode()) == stack
    assert parse_stack(msgspec.msgpack.decode(msgspec.msgpack.encode(plain))) == stack


@given(stacks)
def test_ids_are_given_once(stack: EditStack) -> None:
    numbers = itertools.count()

    def make_id() -> str:
        return f"e{next(numbers)}"

    identified = with_ids(stack, make_id)
    ids = [item.id for layer in identified.layers for item in (layer, *layer.edits)]
    assert None not in ids
    assert len(set(ids)) == len(ids)
    assert with_ids(identified, make_id) == identified
    assert parse_stack(stack_to_builtins(identified)) == identified
    bare = stack_to_builtins(identified)
    for layer in bare["layers"]:
        for item in (layer, *layer["edits"]):
            del item["id"]
    assert parse_stack(bare) == stack


def test_given_ids_are_kept_and_not_given_again(document: dict[str, Any]) -> None:
    stack = parse_stack(changed(document, "layers.1.edits.0.id", "mine"))
    numbers = itertools.count()
    made = with_ids(stack, lambda: f"n{next(numbers)}")
    assert made.layers[1].edits[0].id == "mine"
    with pytest.raises(ValueError, match="'mine'"):
        with_ids(stack, lambda: "mine")


# --- versions ---------------------------------------------------------------------------------------------


def test_both_versions_are_read_and_mean_the_same(document: dict[str, Any]) -> None:
    stack = parse_stack(document)
    assert stack == parse_stack({**document, "version": 2}) == parse_stack({"layers": document["layers"]})
    assert stack.version == 2
    assert stack_to_builtins(stack)["version"] == 1


VERSION_2 = [
    ("layers.0.blend", "add"),
    ("layers.0.solo", True),
    ("layers.0.video_layer", "foreground"),
    ("layers.0.edits.0.point_widths", [1.0, 0.5]),
    ("layers.0.edits.0.point_opacities", [1.0, 0.5]),
    ("layers.0.edits.0.smooth", True),
    ("layers.0.edits.0.blend", "erase"),
    ("layers.1.edits.0.anchor", [0.0, 1.0]),
    ("layers.1.edits.0.flip", "both"),
    ("layers.1.edits.0.opacity", 0.5),
    ("layers.1.edits.0.tracking", "corner"),
    ("layers.2.edits.0.smooth", True),
    ("layers.2.edits.0.exposure", 1.0),
    ("layers.2.edits.0.contrast", 1.1),
    ("layers.2.edits.0.pivot", 0.5),
    ("layers.2.edits.0.gamma", 2.2),
    (
        "layers.2.edits.0.cdl",
        {"slope": [1.0, 1.0, 1.1], "offset": [0.0] * 3, "power": [1.0] * 3, "saturation": 1.0},
    ),
    ("layers.2.edits.0.opacity", 0.5),
]


@pytest.mark.parametrize(("path", "value"), VERSION_2, ids=lambda part: str(part)[:30])
def test_what_version_1_cannot_say_is_written_as_version_2(
    document: dict[str, Any], path: str, value: object
) -> None:
    stack = parse_stack(changed(document, path, value))
    written = written_out(stack)
    assert written["version"] == 2
    assert parse_stack(written) == stack
    old = written_out(parse_stack(document))
    # Nothing else is said than in version 1, and that one thing.
    assert written == {**changed(old, path, value), "version": 2}


def test_closed_strokes_atlas_space_and_corners_are_version_2(document: dict[str, Any]) -> None:
    outline = changed(document, "layers.0.edits.0.points", [[1, 2], [3, 4], [1, 4]])
    atlas = changed(document, "layers.0.edits.0.video_layer", "background")
    for one in (
        changed(outline, "layers.0.edits.0.closed", True),
        changed(atlas, "layers.0.edits.0.space", "atlas"),
        by_corners(document, CORNERS),
    ):
        stack = parse_stack(one)
        written = written_out(stack)
        assert written["version"] == 2
        assert parse_stack(written) == stack
    assert stack_to_builtins(parse_stack(outline))["version"] == 1
    placed = stack_to_builtins(parse_stack(by_corners(document, CORNERS)))["layers"][1]["edits"][0]
    assert not {"x", "y", "width", "height"} & placed.keys()


FIELDS_OF_VERSION_1 = {
    "stack": {"version", "layers"},
    "layer": {"name", "kind", "edits", "blend", "opacity", "enabled", "id"},
    "stroke": {"type", "frame", "points", "width", "color", "hardness", "video_layer", "id"},
    "texture": {
        *("type", "image", "frame", "x", "y", "width", "height", "rotation", "tracking", "video_layer", "id")
    },
    "adjustment": {
        *("type", "frame", "points", "width", "closed", "hardness", "hue", "saturation", "brightness"),
        *("video_layer", "id"),
    },
}
"""What the first release knew; it refuses everything else."""


@given(stacks)
def test_a_document_of_version_1_has_only_what_the_first_release_knew(stack: EditStack) -> None:
    plain = stack_to_builtins(stack)
    known = plain.keys() <= FIELDS_OF_VERSION_1["stack"]
    for layer in plain["layers"]:
        known &= layer.keys() <= FIELDS_OF_VERSION_1["layer"] and layer["blend"] == "over"
        for edit in layer["edits"]:
            known &= edit.keys() <= FIELDS_OF_VERSION_1[edit["type"]]
            known &= edit.get("tracking") != "corner"
            known &= edit["type"] != "texture" or {"x", "y", "width", "height"} <= edit.keys()
    assert (plain["version"] == 1) is known


def test_every_field_is_of_a_version() -> None:
    """A field that is added to a type must be said to be of a version, or older releases get it unasked."""
    for name, kind in {
        "layer": EditLayer,
        "stroke": Stroke,
        "texture": Texture,
        "adjustment": Adjustment,
    }.items():
        fields = {field.encode_name for field in msgspec.structs.fields(kind)}
        added = edit_versions.ADDED[name].keys()
        assert fields == (FIELDS_OF_VERSION_1[name] - {"type"}) | added
        assert not FIELDS_OF_VERSION_1[name] & added
        for field in msgspec.structs.fields(kind):
            if field.name in added:
                default = msgspec.to_builtins(field.default)
                assert edit_versions.ADDED[name][field.name] == default


STORED_BY_THE_FIRST_RELEASE = (
    b'{"version":1,"layers":[{"name":"paint","kind":"sketch","edits":[{"type":"stroke","frame":0,'
    b'"points":[[10.0,20.0],[30.5,40.0]],"width":6.0,"color":[1.5,-0.25,0.0,1.0],"hardness":0.8,'
    b'"video_layer":"auto","id":"0123456789ab"}],"blend":"over","opacity":1.0,"enabled":true,"id":"ba9876543210"},'
    b'{"name":"sign","kind":"texture","edits":[{"type":"texture","image":"sha256:' + b"0a" * 32 + b'",'
    b'"frame":0,"x":400.0,"y":210.0,"width":120.0,"height":80.0,"rotation":0.0,"tracking":"similarity",'
    b'"video_layer":"auto","id":"111111111111"}],"blend":"over","opacity":1.0,"enabled":true,"id":"222222222222"}]}'
)
"""As its daemon kept a stack."""


def test_a_stack_that_the_first_release_stored_opens() -> None:
    stack = parse_stack(STORED_BY_THE_FIRST_RELEASE)
    assert [edit.id for layer in stack.layers for edit in layer.edits] == ["0123456789ab", "111111111111"]
    assert written_out(stack) == json.loads(STORED_BY_THE_FIRST_RELEASE)


# --- which layers are rendered ----------------------------------------------------------------------------


def test_what_is_rendered(document: dict[str, Any]) -> None:
    def rendered(*changes: tuple[str, object]) -> list[str]:
        one = document
        for path, value in changes:
            one = changed(one, path, value)
        return [layer.name for layer in parse_stack(one).rendered]

    assert rendered() == ["paint", "sign", "grade"]
    assert rendered(("layers.1.enabled", False)) == ["paint", "grade"]
    assert rendered(("layers.1.opacity", 0)) == ["paint", "grade"]
    assert rendered(("layers.1.edits", [])) == ["paint", "grade"]
    assert rendered(("layers.1.solo", True)) == ["sign"]
    assert rendered(("layers.1.solo", True), ("layers.2.solo", True)) == ["sign", "grade"]
    # What is switched off silences nobody; what is on and shows nothing does.
    assert rendered(("layers.1.solo", True), ("layers.1.enabled", False)) == ["paint", "grade"]
    assert rendered(("layers.1.solo", True), ("layers.1.opacity", 0)) == []


# --- what is refused --------------------------------------------------------------------------------------

REFUSED = [
    ("version", 3, "`version` must be 1 to 2, got 3; install a newer release for a higher one."),
    ("version", "1", "`version` must be int, got '1'; correct it."),
    ("version", "1", "`version`"),
    ("colour", "red", "`colour` is not a known field"),
    ("layers", {}, "`layers` must be list"),
    ("layers.0", 1, "`layers[0]` must be object, got 1"),
    ("layers.0.opaque", 1, "`layers[0].opaque` is not a known field"),
    ("layers.0.name", "", "`layers[0].name`"),
    ("layers.0.name", "a\nb", "`layers[0].name` must be printable text"),
    ("layers.0.name", "x" * 101, "`layers[0].name`"),
    ("layers.0.name", "sign", "`layers[1].name` is 'sign', which `layers[0]` has already"),
    ("layers.0.kind", "paint", "`layers[0].kind` must be 'sketch' or 'texture' or 'adjustment', got 'paint'"),
    (
        "layers.0.kind",
        "texture",
        "`layers[0].edits[0].type` must be 'texture' in a texture layer, got 'stroke'",
    ),
    (
        "layers.1.kind",
        "sketch",
        "`layers[1].edits[0].type` must be 'stroke' in a sketch layer, got 'texture'",
    ),
    (
        "layers.0.blend",
        "erase",
        "`layers[0].blend` must be 'over' or 'add' or 'multiply' or 'screen', got 'erase'; correct it.",
    ),
    ("layers.2.blend", "add", "`layers[2].blend` must be 'over' for adjustments, got 'add'"),
    ("layers.0.solo", 1, "`layers[0].solo` must be bool, got 1"),
    ("layers.0.video_layer", "fore ground", "`layers[0].video_layer`"),
    ("layers.0.opacity", 1.5, "`layers[0].opacity` must be float <= 1.0, got 1.5"),
    ("layers.0.opacity", -0.1, "`layers[0].opacity`"),
    ("layers.0.opacity", NAN, "`layers[0].opacity` must be a finite number, got nan"),
    ("layers.0.enabled", 1, "`layers[0].enabled` must be bool, got 1"),
    ("layers.0.id", "", "`layers[0].id`"),
    ("layers.0.id", "a b", "`layers[0].id` must be 1 to 64 letters"),
    (
        "layers.0.edits.0.type",
        "zap",
        "`layers[0].edits[0].type` must be 'stroke' or 'texture' or 'adjustment'",
    ),
    ("layers.0.edits.0.size", 3, "`layers[0].edits[0].size` is not a known field"),
    ("layers.0.edits.0.frame", 0.5, "`layers[0].edits[0].frame` must be int, got 0.5"),
    ("layers.0.edits.0.frame", "0", "`layers[0].edits[0].frame` must be int, got '0'"),
    ("layers.0.edits.0.frame", 2**31, "`layers[0].edits[0].frame`"),
    ("layers.0.edits.0.width", 0, "`layers[0].edits[0].width` must be float > 0.0, got 0"),
    ("layers.0.edits.0.width", -3, "`layers[0].edits[0].width`"),
    ("layers.0.edits.0.width", 1e9, "`layers[0].edits[0].width`"),
    ("layers.0.edits.0.width", INF, "`layers[0].edits[0].width` must be a finite number, got inf"),
    ("layers.0.edits.0.width", NAN, "`layers[0].edits[0].width` must be a finite number, got nan"),
    ("layers.0.edits.0.width", True, "`layers[0].edits[0].width`"),
    ("layers.0.edits.0.hardness", 1.01, "`layers[0].edits[0].hardness`"),
    ("layers.0.edits.0.hardness", -0.01, "`layers[0].edits[0].hardness`"),
    ("layers.0.edits.0.points", [], "`layers[0].edits[0].points`"),
    ("layers.0.edits.0.points.1", [1], "`layers[0].edits[0].points[1]` must be list of length 2"),
    ("layers.0.edits.0.points.1", [1, 2, 3], "`layers[0].edits[0].points[1]`"),
    (
        "layers.0.edits.0.points.1.0",
        NAN,
        "`layers[0].edits[0].points[1][0]` must be a finite number, got nan",
    ),
    (
        "layers.0.edits.0.points.1.1",
        -INF,
        "`layers[0].edits[0].points[1][1]` must be a finite number, got -inf",
    ),
    ("layers.0.edits.0.points.1.1", None, "`layers[0].edits[0].points[1][1]` must be float"),
    ("layers.0.edits.0.color", [1, 1, 1], "`layers[0].edits[0].color` must be list of length 4"),
    ("layers.0.edits.0.color.3", 1.5, "`layers[0].edits[0].color[3]`"),
    ("layers.0.edits.0.color.3", -0.5, "`layers[0].edits[0].color[3]`"),
    ("layers.0.edits.0.color.0", NAN, "`layers[0].edits[0].color[0]` must be a finite number"),
    ("layers.0.edits.0.video_layer", "", "`layers[0].edits[0].video_layer`"),
    ("layers.0.edits.0.video_layer", "fore ground", "`layers[0].edits[0].video_layer`"),
    ("layers.1.edits.0.image", "", "`layers[1].edits[0].image` must be a path"),
    ("layers.1.edits.0.image", "a\0.png", "`layers[1].edits[0].image`"),
    ("layers.1.edits.0.image", "sha256:12", "`layers[1].edits[0].image`"),
    ("layers.1.edits.0.image", "x" * 5000, "`layers[1].edits[0].image`"),
    ("layers.1.edits.0.tracking", "warp", "`layers[1].edits[0].tracking` must be 'surface' or 'point'"),
    ("layers.1.edits.0.x", NAN, "`layers[1].edits[0].x`"),
    ("layers.1.edits.0.height", 0, "`layers[1].edits[0].height`"),
    ("layers.1.edits.0.rotation", INF, "`layers[1].edits[0].rotation`"),
    ("layers.2.edits.0.hue", NAN, "`layers[2].edits[0].hue`"),
    ("layers.2.edits.0.saturation", -1, "`layers[2].edits[0].saturation`"),
    ("layers.2.edits.0.brightness", INF, "`layers[2].edits[0].brightness`"),
    ("layers.2.edits.0.closed", "yes", "`layers[2].edits[0].closed`"),
    # Version 2
    (
        "layers.0.edits.0.blend",
        "dodge",
        "`layers[0].edits[0].blend` must be 'over' or 'add' or 'multiply' or 'screen' or 'erase', got",
    ),
    ("layers.0.edits.0.space", "world", "`layers[0].edits[0].space` must be 'frame' or 'atlas', got 'world'"),
    ("layers.0.edits.0.space", "atlas", "`layers[0].edits[0].video_layer` must name a video layer in atlas"),
    ("layers.0.edits.0.smooth", "yes", "`layers[0].edits[0].smooth` must be bool"),
    ("layers.0.edits.0.closed", True, "`layers[0].edits[0].points` must be 3 or more to close an outline"),
    ("layers.0.edits.0.point_widths", [1, 1, 1], "`layers[0].edits[0].point_widths` must have a number for"),
    ("layers.0.edits.0.point_widths", [1], "each of the 2 points, got 1; give as many, or leave it out."),
    ("layers.0.edits.0.point_widths", [1, 17], "`layers[0].edits[0].point_widths[1]`"),
    ("layers.0.edits.0.point_widths", [1, NAN], "`layers[0].edits[0].point_widths[1]` must be a finite"),
    ("layers.0.edits.0.point_widths", [1, -1], "`layers[0].edits[0].point_widths[1]`"),
    ("layers.0.edits.0.point_opacities", [1, 1.5], "`layers[0].edits[0].point_opacities[1]`"),
    ("layers.0.edits.0.point_opacities", [1], "`layers[0].edits[0].point_opacities` must have a number"),
    ("layers.0.edits.0.exposure", 1, "`layers[0].edits[0].exposure` is not a known field"),
    ("layers.1.edits.0.anchor", [0.5, 1.5], "`layers[1].edits[0].anchor[1]`"),
    ("layers.1.edits.0.anchor", [0.5], "`layers[1].edits[0].anchor` must be list of length 2"),
    ("layers.1.edits.0.flip", "diagonal", "`layers[1].edits[0].flip` must be 'none' or 'horizontal' or"),
    ("layers.1.edits.0.opacity", 2, "`layers[1].edits[0].opacity`"),
    ("layers.1.edits.0.corners", [[0, 0]] * 3, "`layers[1].edits[0].corners` must be list of length 4"),
    (
        "layers.1.edits.0.corners",
        [[0, 0], [9, 0], [9, 9], [0, 9]],
        "`layers[1].edits[0].corners` stands in place of x, y, width, height and rotation, got also x, y, "
        "width, height; leave one or the other out.",
    ),
    (
        "layers.1.edits.0.width",
        None,
        "`layers[1].edits[0]` must have x, y, width and height, or corners, got",
    ),
    ("layers.2.edits.0.exposure", 33, "`layers[2].edits[0].exposure`"),
    ("layers.2.edits.0.contrast", 0, "`layers[2].edits[0].contrast`"),
    ("layers.2.edits.0.pivot", 0, "`layers[2].edits[0].pivot`"),
    ("layers.2.edits.0.gamma", NAN, "`layers[2].edits[0].gamma` must be a finite number, got nan"),
    ("layers.2.edits.0.opacity", -1, "`layers[2].edits[0].opacity`"),
    ("layers.2.edits.0.cdl", [1, 1, 1], "`layers[2].edits[0].cdl` must be object"),
    ("layers.2.edits.0.cdl", {"lift": 1}, "`layers[2].edits[0].cdl.lift` is not a known field"),
    ("layers.2.edits.0.cdl", {"slope": [1, -1, 1]}, "`layers[2].edits[0].cdl.slope[1]`"),
    ("layers.2.edits.0.cdl", {"power": [1, 1, 0]}, "`layers[2].edits[0].cdl.power[2]`"),
    ("layers.2.edits.0.cdl", {"offset": [0, 0, INF]}, "`layers[2].edits[0].cdl.offset[2]` must be a finite"),
    ("layers.2.edits.0.cdl", {"saturation": -1}, "`layers[2].edits[0].cdl.saturation`"),
]


@pytest.mark.parametrize(("path", "value", "sentence"), REFUSED, ids=lambda part: str(part)[:40])
def test_refused_with_the_fields_path(
    document: dict[str, Any], path: str, value: object, sentence: str
) -> None:
    with pytest.raises(EditError) as error:
        parse_stack(changed(document, path, value))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("name", ["point_widths", "point_opacities"])
def test_pressure_belongs_to_lines(document: dict[str, Any], name: str) -> None:
    pressed = changed(document, f"layers.2.edits.0.{name}", [1, 0.5, 0])
    assert getattr(parse_stack(pressed).layers[2].edits[0], name) == (1.0, 0.5, 0.0)
    with pytest.raises(EditError, match=rf"edits\[0\]\.{name}` belongs to a line, got it with `closed`"):
        parse_stack(changed(pressed, "layers.2.edits.0.closed", True))


CORNERS = [[100, 50], [220, 60], [210, 140], [90, 130]]


def by_corners(document: dict[str, Any], corners: Any, **fields: Any) -> dict[str, Any]:
    """The example with its texture placed by corners."""
    edit = {"type": "texture", "image": "logo.png", "frame": 0, "corners": corners, **fields}
    return changed(document, "layers.1.edits.0", edit)


def test_a_texture_by_its_corners(document: dict[str, Any]) -> None:
    texture = parse_stack(by_corners(document, CORNERS, tracking="corner")).layers[1].edits[0]
    assert texture.corners == tuple(tuple(map(float, point)) for point in CORNERS)
    assert (texture.x, texture.width) == (None, None)


@pytest.mark.parametrize(
    ("corners", "fields", "sentence"),
    [
        (CORNERS[::-1], {}, "must go around a convex shape from the picture's top-left corner clockwise"),
        ([CORNERS[0], CORNERS[2], CORNERS[1], CORNERS[3]], {}, "convex"),
        ([[0, 0], [10, 0], [4, 4], [0, 10]], {}, "convex"),
        ([[0, 0], [10, 0], [20, 0], [0, 10]], {}, "convex"),
        ([[5, 5]] * 4, {}, "convex"),
        (CORNERS, {"x": 3}, "got also x; leave one or the other out"),
        (CORNERS, {"rotation": 10}, "got also rotation; leave one or the other out"),
        (None, {}, "must have x, y, width and height, or corners, got none of them; add what is missing."),
        (None, {"x": 3, "width": 4}, "got x, width; add what is missing."),
    ],
)
def test_a_texture_that_is_not_placed(
    document: dict[str, Any], corners: Any, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(EditError) as error:
        parse_stack(by_corners(document, corners, **fields))
    assert "`layers[1].edits[0]" in str(error.value)
    assert sentence in str(error.value)


def test_in_atlas_space_the_layer_may_name_the_video_layer(document: dict[str, Any]) -> None:
    drawn = changed(document, "layers.0.edits.0.space", "atlas")
    named = changed(drawn, "layers.0.edits.0.video_layer", "foreground")
    assert parse_stack(named).layers[0].edits[0].space == "atlas"
    assert (
        parse_stack(changed(drawn, "layers.0.video_layer", "foreground")).layers[0].edits[0].space == "atlas"
    )


def test_a_texture_on_the_atlas_is_not_tracked(document: dict[str, Any]) -> None:
    placed = changed(document, "layers.1.edits.0.space", "atlas")
    placed = changed(placed, "layers.1.edits.0.video_layer", "background")
    with pytest.raises(EditError, match=r"`layers.1..edits.0..tracking` must be 'surface' in atlas space"):
        parse_stack(placed)
    assert parse_stack(changed(placed, "layers.1.edits.0.tracking", "surface")).layers[1].edits


def test_json_is_refused_in_the_same_words(document: dict[str, Any]) -> None:
    for path, value, sentence in REFUSED:
        try:
            text = json.dumps(changed(document, path, value), allow_nan=False)
        except ValueError:
            continue  # JSON has no such numbers
        with pytest.raises(EditError) as error:
            parse_stack(text.encode())
        assert sentence in str(error.value)


@pytest.mark.parametrize(
    "path",
    [
        "layers.0.name",
        "layers.0.kind",
        "layers.0.edits.0.type",
        "layers.0.edits.0.points",
        "layers.1.edits.0.image",
    ],
)
def test_what_is_missing_is_named(document: dict[str, Any], path: str) -> None:
    with pytest.raises(EditError, match="is missing; add it") as error:
        parse_stack(without(document, path))
    assert path.rpartition(".")[2] in str(error.value)


def test_an_outline_takes_three_points(document: dict[str, Any]) -> None:
    closed = changed(document, "layers.2.edits.0.closed", True)
    assert parse_stack(closed).layers[2].edits[0].closed
    with pytest.raises(EditError, match=r"`layers\[2\]\.edits\[0\]\.points` must be 3 or more"):
        parse_stack(changed(closed, "layers.2.edits.0.points", [[1, 2], [3, 4]]))


@pytest.mark.parametrize("second", ["layers.1.id", "layers.2.edits.0.id"])
def test_ids_are_unique_over_layers_and_edits(document: dict[str, Any], second: str) -> None:
    once = changed(document, "layers.0.edits.0.id", "same")
    with pytest.raises(EditError, match=r"'same', which `layers\[0\]\.edits\[0\]` has already"):
        parse_stack(changed(once, second, "same"))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b'{"version": 1} x', "not valid JSON"),
        (b'{"layers": [{"name": "\xff", "kind": "sketch"}]}', "not valid JSON"),
        (b"[]", "the edit stack must be object"),
        (b"null", "the edit stack must be object"),
        (
            json.dumps(EXAMPLE).replace('"width": 6.0', '"width": 1e400').encode(),
            "`layers[0].edits[0].width` must be a finite number; correct it.",
        ),
        (b'{"version": NaN}', "not valid JSON"),
        (b'{"layers": [{"name": "a", "kind": "sketch", "opacity": 1e999}]}', "`layers[0].opacity`"),
        (b"[" * 100_000, "the edit stack must be object"),
        (b'{"x":' + b"[" * 100_000, "`x` is not a known field"),
        ([], "the edit stack must be object"),
        ({1: 2}, "the edit stack"),
    ],
)
def test_what_is_no_stack_at_all(data: Any, sentence: str) -> None:
    with pytest.raises(EditError) as error:
        parse_stack(data)
    assert sentence in str(error.value)


def test_a_document_over_its_size() -> None:
    with pytest.raises(EditError, match="MiB"):
        parse_stack(b" " * (MAX_DOCUMENT_BYTES + 1))


def test_lists_over_their_length(document: dict[str, Any]) -> None:
    layer = document["layers"][0]
    many = [{"name": f"n{number}", "kind": "sketch"} for number in range(1001)]
    with pytest.raises(EditError, match=r"`layers` must be list of length <= 1000"):
        parse_stack({"layers": many})
    assert len(parse_stack({"layers": many[:1000]}).layers) == 1000
    stroke = layer["edits"][0]
    with pytest.raises(EditError, match=r"points` must be list of length <= 100000"):
        parse_stack(changed(document, "layers.0.edits.0.points", [[0, 0]] * 100_001))
    with pytest.raises(EditError, match=r"edits` must be list of length <= 100000"):
        parse_stack(changed(document, "layers.0.edits", [stroke] * 100_001))
    two = [{"name": name, "kind": "sketch", "edits": [stroke] * 50_001} for name in "ab"]
    with pytest.raises(EditError, match="100000 edits in all"):
        parse_stack({"layers": two})


def paths_of(value: Any, path: str = "") -> list[str]:
    """Every path in plain data, for `changed`."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found = [f"{path}.{key}".lstrip(".") for key in keys]
    return found + [deeper for key in keys for deeper in paths_of(value[key], f"{path}.{key}".lstrip("."))]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("abü.[]`$\0\n", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "a`b"]), inner),
    max_leaves=4,
)


@given(data=st.data())
def test_any_value_anywhere_is_a_stack_or_an_edit_error(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths_of(EXAMPLE)))
    document = changed(EXAMPLE, path, data.draw(json_values))
    try:
        stack = parse_stack(document)
    except EditError as error:
        assert str(error).endswith(".")  # noqa: PT017 - both ends are right, and this one has a sentence
    else:
        assert parse_stack(stack_to_builtins(stack)) == stack


# --- against a shot ---------------------------------------------------------------------------------------


def test_a_fitting_stack_passes(document: dict[str, Any]) -> None:
    stack = parse_stack(document)
    assert check_stack(stack, **SHOT) is None
    assert (
        check_stack(parse_stack(changed(document, "layers.0.edits.0.video_layer", "background")), **SHOT)
        is None
    )
    assert check_stack(stack, **{**SHOT, "frames": [0]}) is None


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("layers.0.edits.0.frame", 5, "`layers[0].edits[0].frame` is 5, the shot has the frames 0-4"),
        ("layers.2.edits.0.frame", -1, "`layers[2].edits[0].frame` is -1"),
        ("layers.1.edits.0.video_layer", "foreground2", "`layers[1].edits[0].video_layer` is 'foreground2'"),
        (
            "layers.0.edits.0.points.1",
            [503.5, 10],
            "`layers[0].edits[0].points[1]` is at (503.5, 10), outside",
        ),
        ("layers.0.edits.0.points.0", [-3.5, 10], "`layers[0].edits[0].points[0]`"),
        ("layers.0.edits.0.points.0", [10, -3.5], "by more than half its width (3 pixels)"),
        ("layers.0.edits.0.points.0", [10, 303.5], "500x300"),
        ("layers.2.edits.0.points.2", [10, 321], "`layers[2].edits[0].points[2]`"),
        ("layers.1.edits.0.x", 500.5, "`layers[1].edits[0]` is at (500.5, 210), outside the 500x300 picture"),
        ("layers.1.edits.0.y", -0.5, "`layers[1].edits[0]`"),
    ],
)
def test_what_does_not_fit_the_shot(
    document: dict[str, Any], path: str, value: object, sentence: str
) -> None:
    stack = parse_stack(changed(document, path, value))
    with pytest.raises(EditError) as error:
        check_stack(stack, **SHOT)
    assert sentence in str(error.value)


@pytest.mark.parametrize("point", [[503, 10], [-3, -3], [500, 303], [0, 0]])
def test_a_brush_may_hang_over_the_edge_by_half(document: dict[str, Any], point: list[float]) -> None:
    stack = parse_stack(changed(document, "layers.0.edits.0.points.1", point))
    assert check_stack(stack, **SHOT) is None


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("layers.0.video_layer", "foreground2", "`layers[0].video_layer` is 'foreground2', the shot has"),
        (
            "layers.0.edits.0.points.0",
            [1.3, 0.5],
            "is at (1.3, 0.5), outside the atlas, whose corners are (0, 0) and (1, 1) by more than half its",
        ),
        ("layers.0.edits.0.frame", 7, "`layers[0].edits[0].frame` is 7"),
    ],
)
def test_what_does_not_fit_the_atlas(
    document: dict[str, Any], path: str, value: object, sentence: str
) -> None:
    drawn = changed(document, "layers.0.video_layer", "background")
    drawn = changed(drawn, "layers.0.edits.0.space", "atlas")
    drawn = changed(drawn, "layers.0.edits.0.width", 0.1)
    drawn = changed(drawn, "layers.0.edits.0.points", [[0.2, 0.3], [1.04, -0.04]])
    assert check_stack(parse_stack(drawn), **SHOT) is None
    with pytest.raises(EditError) as error:
        check_stack(parse_stack(changed(drawn, path, value)), **SHOT)
    assert sentence in str(error.value)


def test_of_a_texture_by_corners_the_middle_must_be_in_the_picture(document: dict[str, Any]) -> None:
    wall = [[-50, -20], [520, -10], [530, 320], [-40, 310]]
    assert check_stack(parse_stack(by_corners(document, wall)), **SHOT) is None
    away = [[x + 400, y] for x, y in wall]
    with pytest.raises(EditError, match=r"`layers\[1\]\.edits\[0\]\.corners` is at \(640, 150\), outside"):
        check_stack(parse_stack(by_corners(document, away)), **SHOT)


def test_switched_off_layers_are_checked_too(document: dict[str, Any]) -> None:
    hidden = changed(changed(document, "layers.0.enabled", False), "layers.0.edits.0.frame", 99)
    with pytest.raises(EditError, match="99"):
        check_stack(parse_stack(hidden), **SHOT)


def test_the_module_needs_neither_torch_nor_numpy() -> None:
    program = "import sys, inve_core.edits, inve_core.points; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert not {"torch", "numpy", "cv2", "OpenImageIO"} & set(done.stdout.split())

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

from inve_core.edits import (
    Adjustment,
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
strokes = st.builds(
    Stroke, points=points, width=lengths, color=st.tuples(light, light, light, unit), hardness=unit, **common
)
textures = st.builds(
    Texture,
    image=st.sampled_from(["a b/ü.png", "sha256:" + "0a" * 32, "C:\\logo.exr"]),
    x=coordinates,
    y=coordinates,
    width=lengths,
    height=lengths,
    rotation=st.floats(-360, 360),
    tracking=st.sampled_from(["surface", "point", "similarity"]),
    **common,
)
adjustments = st.builds(
    Adjustment,
    points=points,
    width=lengths,
    closed=st.booleans(),
    hardness=unit,
    hue=st.floats(-360, 360),
    saturation=st.floats(0, 10),
    brightness=light,
    **common,
)


def layers_of(kind: str, items: st.SearchStrategy) -> st.SearchStrategy[EditLayer]:
    return st.builds(
        EditLayer,
        name=st.text("abc äß.-_", min_size=1, max_size=8),
        kind=st.just(kind),
        edits=st.lists(items, max_size=3).map(tuple),
        opacity=unit,
        enabled=st.booleans(),
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


# --- what is refused --------------------------------------------------------------------------------------

REFUSED = [
    ("version", 3, "`version` must be 1 to 2, got 3"),
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
    ("layers.0.blend", "smear", "`layers[0].blend` must be 'over', got 'smear'"),
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


def test_json_is_refused_in_the_same_words(document: dict[str, Any]) -> None:
    for path, value, sentence in REFUSED:
        if value != value or value in (INF, -INF):  # JSON has no such numbers
            continue
        with pytest.raises(EditError) as error:
            parse_stack(json.dumps(changed(document, path, value)).encode())
        assert sentence in str(error.value)


@pytest.mark.parametrize(
    "path",
    [
        "layers.0.name",
        "layers.0.kind",
        "layers.0.edits.0.type",
        "layers.0.edits.0.points",
        "layers.1.edits.0.x",
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
        parse_stack(b" " * ((64 << 20) + 1))


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

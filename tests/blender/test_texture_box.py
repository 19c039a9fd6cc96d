"""A texture under the mouse, what the tools make of their settings, and the size of a picture's file."""

import ast
import math
import random
import struct
from dataclasses import astuple
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import OpenImageIO
import pytest

import inve_blender
from inve_blender.drawing import DrawnLine
from inve_blender.edits import adjustments, layer_for, readjusted, strokes
from inve_blender.picture_size import picture_size
from inve_blender.texture_box import LEAST_SIZE, TextureBox
from inve_client.plugin.document import EditDocument
from inve_client.plugin.messages import RefusedError
from inve_core.edits import EditStack, Tracking, parse_stack


def near(box):
    return pytest.approx(astuple(box), abs=1e-6)


def test_it_turns_clockwise_as_seen():
    box = TextureBox(100, 50, 40, 20, 90)
    # y runs down: what was its right side is below now.
    assert box.at(1, 0.5) == pytest.approx((100, 70))
    assert box.corners[0] == pytest.approx((110, 30))
    assert box.turner(1.0)[0] > 110


def test_dragging_moves_scales_and_turns():
    rng = random.Random(3)
    for _ in range(50):
        box = TextureBox(*(rng.uniform(20, 200) for _ in range(4)), rng.uniform(-170, 170))
        assert astuple(box.dragged("move", (5, 5), (8, 1))) == near(
            TextureBox(box.x + 3, box.y - 4, box.width, box.height, box.rotation)
        )
        corner = box.corners[2]
        half = ((corner[0] + box.x) / 2, (corner[1] + box.y) / 2)
        assert astuple(box.dragged("scale", corner, half)) == near(
            TextureBox(box.x, box.y, box.width / 2, box.height / 2, box.rotation)
        )
        # The handle is dragged to the right of the middle: a quarter turn from straight up.
        turned = box.dragged("rotate", box.turner(1.0), (box.x + 50, box.y))
        assert math.remainder(turned.rotation - 90, 360) == pytest.approx(0, abs=1e-6)
        stepped = box.dragged("rotate", box.turner(1.0), (box.x + 50, box.y + 3), steps=True)
        assert stepped.rotation % 15 == pytest.approx(0, abs=1e-9)
    tiny = TextureBox(0, 0, 40, 10).dragged("scale", (20, 5), (0, 0))
    assert (tiny.width, tiny.height) == pytest.approx((4 * LEAST_SIZE, LEAST_SIZE))


def test_what_is_under_the_mouse():
    box = TextureBox(100, 100, 60, 40, 30)
    assert box.handle_at(box.turner(0.5), 3, 0.5) == "rotate"
    assert box.handle_at(box.corners[3], 3, 0.5) == "scale"
    assert box.handle_at((100, 100), 3, 0.5) == "move"
    assert box.handle_at((100, 160), 3, 0.5) is None


def test_an_anchored_texture_stands_where_the_daemon_puts_it():
    edit = {"x": 10, "y": 10, "width": 40, "height": 20, "rotation": 90, "anchor": [0, 0]}
    box = TextureBox.from_edit(edit)
    # Its top left corner is the anchor, and stays there when it turns.
    assert box.corners[0] == pytest.approx((10, 10))
    assert box.corners[1] == pytest.approx((10, 50))
    assert box.fields(edit["anchor"]) == {name: edit[name] for name in box.fields()}


def test_a_picture_is_fitted_into_what_is_visible():
    assert TextureBox.fitted((50, 20), (0, 0, 200, 100)) == TextureBox(100, 50, 50, 20)
    assert TextureBox.fitted((1000, 100), (100, 0, 300, 100)) == TextureBox(200, 50, 100, 10)


def test_edits_of_the_tools_are_what_the_daemon_takes():
    line = DrawnLine(((1.0, 2.0), (5.0, 2.5), (3.0, 9.0)), (1.0, 0.5, 0.25), (0.5, 1.0, 1.0))
    outline = DrawnLine(line.points)
    changes = {"hue": 20.0, "saturation": 1.0, "brightness": 0.0, "exposure": -1.0}
    # What Blender gives is a short float made long.
    width = struct.unpack("f", struct.pack("f", 0.1))[0]
    drawn = strokes([line, line], 7, width=width, hardness=0.5, color=(1, 2, 0), opacity=0.25)
    graded = adjustments([outline], 7, closed=True, width=3, hardness=1, changes=changes)
    stack = parse_stack(
        {
            "version": 2,
            "layers": [
                {"name": "a", "kind": "sketch", "edits": drawn},
                {"name": "b", "kind": "adjustment", "edits": graded},
            ],
        }
    )
    assert isinstance(stack, EditStack)
    assert drawn[0]["width"] == 0.1
    assert drawn[0]["color"] == [1, 2, 0, 0.25]
    assert (stack.layers[1].edits[0].hue, stack.layers[1].edits[0].exposure) == (20, -1)
    assert "saturation" not in graded[0]

    other = readjusted({**graded[0], "id": "e1"}, {**changes, "hue": 0.0, "saturation": 0.5})
    assert other == {**{k: v for k, v in graded[0].items() if k != "hue"}, "id": "e1", "saturation": 0.5}
    nothing = {"hue": 0.0, "saturation": 1.0, "brightness": 0.0, "exposure": 0.0}
    with pytest.raises(RefusedError, match="must change something"):
        adjustments([outline], 7, closed=True, width=3, hardness=1, changes=nothing)


def test_an_edit_goes_to_the_active_layer_that_can_hold_it():
    document = EditDocument("shot")
    assert layer_for(document, "sketch", "") == "Paint"
    for name, kind in (("low", "sketch"), ("top", "sketch"), ("Texture", "adjustment")):
        document.add_layer(name, kind)
    assert layer_for(document, "sketch", "low") == "low"
    assert layer_for(document, "sketch", "Texture") == "top"
    document.change_layer("top", enabled=False)
    assert layer_for(document, "sketch", "") == "low"
    assert layer_for(document, "texture", "low") == "Texture.001"


@pytest.mark.parametrize("suffix", ["png", "jpg", "exr"])
def test_the_size_of_a_file(tmp_path, suffix):
    path = tmp_path / f"picture.{suffix}"
    if suffix == "exr":
        file = OpenImageIO.ImageOutput.create(str(path))
        spec = OpenImageIO.ImageSpec(37, 21, 3, "half")
        # The display window is the picture; the data may be less of it.
        spec.full_width, spec.full_height = 70, 30
        file.open(str(path), spec)
        file.write_image(np.zeros((21, 37, 3), np.float32))
        file.close()
        assert picture_size(str(path)) == (70, 30)
    else:
        assert cv2.imwrite(str(path), np.zeros((21, 37, 3), np.uint8))
        assert picture_size(str(path)) == (37, 21)
    whole = path.read_bytes()
    path.write_bytes(whole[:20])
    with pytest.raises(RefusedError, match="damaged header"):
        picture_size(str(path))


def test_another_kind_of_file_has_no_size_here(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no picture")
    assert picture_size(str(path)) is None
    with pytest.raises(RefusedError, match=r"'gone\.png' must be a readable file, got: No such file"):
        picture_size(str(tmp_path / "gone.png"))


def test_every_way_of_tracking_is_offered():
    """Read from the source, as importing it needs Blender."""
    tree = ast.parse(Path(inve_blender.__path__[0], "properties.py").read_text())
    (offered,) = (
        ast.literal_eval(one.value)
        for one in tree.body
        if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "TRACKINGS"
    )
    assert {name for name, *_ in offered} == set(get_args(Tracking))

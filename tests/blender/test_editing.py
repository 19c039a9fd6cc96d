"""Layers, strokes, adjustments, textures and tracks by the add-on's operators, in a real Blender."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from blender_support import Blender
from daemon_support import Clip, Daemon, write_picture


def test_an_artists_steps_reach_the_daemon(
    blender: Blender, daemon: Daemon, clip: Clip, tmp_path: Path
) -> None:
    picture = tmp_path / "sign.png"
    write_picture(picture, 60, 30)
    daemon.start().close()
    told = blender.run("editing.py", endpoint=daemon.endpoint, clip=clip.folder, picture=picture)

    assert told["after_stroke"] == [["Paint", "sketch", 2]]
    first, second = told["strokes"]
    for stroke in (first, second):
        assert (stroke["frame"], stroke["width"], stroke["hardness"]) == (1002, 4.0, 0.8)
        assert stroke["color"] == [1.0, 0.2, 0.05, 0.5]
    assert first["points"][0] == [4, 6]
    assert first["point_widths"][0] == 0.5
    assert second["points"][-1] == [8, 16]
    # They end half a width outside of the picture's 32 pixels.
    assert first["points"][-1][0] == second["points"][0][0] == pytest.approx(34, abs=0.01)

    paint, adjustment, texture = told["made"]
    assert [layer["name"] for layer in told["made"]] == ["Paint", "Adjustment", "Texture"]
    assert len(paint["edits"]) == 2
    (region,) = adjustment["edits"]
    assert (region["closed"], region["saturation"], region.get("hue", 0)) == (True, 0.25, 0)
    assert region["points"] == [[1, 1], [9, 1], [9, 9]]
    (placed,) = texture["edits"]
    # The height is that of the picture's proportions.
    fields = ("x", "y", "width", "height", "rotation", "tracking", "frame")
    assert {name: placed[name] for name in fields} == {
        "x": 16, "y": 12, "width": 10, "height": 5, "rotation": -30, "tracking": "point", "frame": 1002
    }  # fmt: skip
    assert placed["image"].startswith("sha256:")

    assert (told["renamed"]["opacity"], told["renamed"]["solo"], told["renamed"]["blend"]) == (
        0.25,
        True,
        "screen",
    )
    assert "'Texture' already" in told["taken"][0]
    assert told["taken"][1] == ["Texture", "Adjustment", "scratches"]
    assert told["order"] == ["empty", "Texture", "scratches", "Adjustment"]
    assert told["removed"] == told["redone"] == ["empty", "Texture", "Adjustment"]
    assert told["undone"] == told["order"]
    size, rows = told["after_undo"]
    assert size == 4.0
    assert ["empty", "sketch", 1] in rows

    assert told["tracks"] == [
        ["point1", 1002, [1001, 1002, 1003, 1004], [10.5] * 4],
        ["corner", 1002, [1001, 1002, 1003, 1004], [20] * 4],
    ]
    assert told["same"]
    assert told["left"] == ["corner"]
    assert told["both"] == ["theirs", *[name for name, _, _ in told["edits_before"]]]
    assert told["waiting"] == 1
    assert told["reopened"] == [["offline", *told["both"]], 1, 1]
    assert told["end"] == ["offline", *told["both"]]

    expected = {
        "outside": "must touch the picture of 'plate'",
        "no points": "must be given `points`",
        "no JSON": "must be a JSON list of [x, y]",
        "neutral": "must change something",
        "texture outside": "must be in the picture of 'plate', got (-16.0, 12.0) of 32x24",
        "no texture": "must be one of 'plate', got 'gone'",
        "no picture": "must be a readable file, got: No such file or directory",
        "point outside": "must be on the picture of 'plate', got (-5.0, 9.0) of 32x24",
        "not shown": "Frame 90 is outside of 'plate'",
        "squeezed": "has Scale X 0",
    }
    for case, text in expected.items():
        assert text in told["refusals"][case], (case, told["refusals"][case])
    assert set(told["refusals"]) == set(expected)
    early, late = told["costs"]
    assert late < 2 * early, told["costs"]
    # How long connecting takes is test_lifecycle.py's.
    own = [one for one in told["operator_ms"] if one[1] != "inve.connect"]
    assert max(busy for _, _, _, busy in own) < 16, own[:5]
    assert statistics.median(took for took, *_ in own) < 16, own[:5]

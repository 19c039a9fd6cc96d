"""What is made of tracked points, in real Blenders: where it is seen, frame by frame."""

from __future__ import annotations

import numpy as np
import OpenImageIO
import pytest
from blender_support import Blender
from daemon_support import Clip, Daemon


def test_a_track_becomes_animation(blender: Blender, painting: Daemon, clip: Clip) -> None:
    told = blender.run("tracks.py", endpoint=painting.endpoint, clip=clip.folder)
    assert not told["no_track"]
    for (x, y, z), expected in told["plane"]:
        assert [x, y] == pytest.approx(expected, abs=1e-6)
        assert z == 0
    assert told["undone"]
    assert "must have a camera" in told["no_camera"]
    assert len(told["seen"]) == 8
    for seen, expected in told["seen"]:
        assert seen == pytest.approx(expected, abs=1e-5)

    for index, (path, x, y) in enumerate(told["followed"]):
        red = OpenImageIO.ImageInput.open(path).read_image("float")[..., 0] > 0.9
        if index == 1:
            assert not red.any(), "something is in front of the point there"
            continue
        rows, columns = np.nonzero(red)
        # Whole pixels are lit, of a square of 4.
        assert [columns.mean() + 0.5, rows.mean() + 0.5] == pytest.approx([x, y], abs=0.51)
    (last_x, last_y), (first_x, first_y) = told["kept"]
    assert (last_x, last_y) == pytest.approx((20, -9), abs=1e-5)
    # From the first to the last frame it goes 3 x (2 x 1.5 + 2) to the right, 3 x 1.5 down.
    assert (last_x - first_x, last_y - first_y) == pytest.approx((15, -4.5), abs=1e-4)

    assert told["numbers"] == pytest.approx([14, 8, 0])
    refusals = told["refusals"]
    assert "right-click on a property" in refusals["nothing"]
    assert "as *Copy Full Data Path* gives it" in refusals["code"]
    assert "no 'none' in bpy.data.objects" in refusals["no object"]
    assert "no 'nothing' in 'camera'" in refusals["no property"]
    assert "got several numbers; add an index" in refusals["vector"]
    assert "got 'none'" in refusals["no strip"]
    assert "got 'plate'" in refusals["itself"]
    assert "'q'" in refusals["point"]
    assert "must offer Export" in told["export"]
    assert told["reopened"]
    assert told["offline"] == ["", True]
    own = [one for one in told["operator_ms"] if "track_to" in one[1]]
    assert own[0][0] < 16, own[:5]

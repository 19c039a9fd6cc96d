"""Rendered files that go before a node shows them: another Nuke with the same script has removed them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from daemon_support import FRAMES, HEIGHT
from nuke_live import Nuke, result_of, stroke, strokes, write_plate

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the daemon's test process listens on ipc")


def test_files_that_another_nuke_removed_come_again(live: Nuke) -> None:
    first = stroke("Brush1", [(10, 14), (15, 12)])
    write_plate(live.folder / "plate")
    plate = live.read(str(live.folder / "plate" / "plate.%04d.exr"), FRAMES[0], FRAMES[-1])
    node = live.inve(plate, FRAMES[0], FRAMES[-1])
    live.paint(node, strokes(first))
    live.run(node, "connect", "prepare", "send_edits", "render")
    run = live.live.runs[live.key(node)]
    for frame in FRAMES[1:]:
        os.unlink(os.path.join(run.folder, run.files[frame].name))
    # The frame that is looked at comes first, and the artist cancels the others.
    live.nuke.root()["frame"].setValue(FRAMES[0])
    green = stroke("Brush2", [(20, 6), (22, 6)], color="r 0 g 1 b 0 a 1")
    node.input(2)["curves"].fromScript(strokes(first, green))
    live.run(node, "send_edits")
    before = run.files[FRAMES[0]]
    live.until(lambda: run.files[FRAMES[0]] is not before)
    live.live.cancel_run(live.key(node))
    live.until(lambda: live.live.frames.is_shown(live.key(node), run))
    shown = result_of(node)
    assert sorted(shown) == list(FRAMES)
    for index, pixels in enumerate(shown.values()):
        assert (pixels[HEIGHT - 6, 20 + index, :3] == (0, 1, 0)).all()
    assert Path(live.shown(node)["file"].value()).name == "plate.v0002.%04d.exr"
    assert live.session.problem is None

"""From a Read and paint to edited frames in the node, with the real daemon behind Nuke's stand-in."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemon_support import FRAMES, HEIGHT, Daemon
from nuke_live import HERE, Nuke, read_exr, ready, result_of, stroke, strokes, write_plate

from inve_client.plugin.messages import ConnectionState, Problem, RefusedError
from inve_client.plugin.points import Point, Track
from inve_nuke import actions, shots, track_nodes, tracker_script
from inve_nuke.geometry import Picture

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the daemon's test process listens on ipc")
RED, GREEN = "r 1 g 0 b 0 a 1", "r 0 g 1 b 0 a 1"
SIZE = Picture(32, 24)
ALL = ((True,) * 4, (1.0,) * 4)
"""Visible and sure on each frame."""
HALF = 2
"""Of the squares that the daemon paints; each frame's is a pixel further right."""


def check_square(pixels: np.ndarray, plate: np.ndarray, frame: int, x: int, y_up: int, color: tuple) -> None:
    """A square is where it is to be, and all else has the plate's own bits."""
    x, y = x + frame - FRAMES[0], HEIGHT - y_up
    inside = np.zeros(plate.shape[:2], bool)
    inside[y - HALF : y + HALF + 1, x - HALF : x + HALF + 1] = True
    assert (pixels[inside][:, :3] == np.array(color, np.float16)).all()
    assert np.array_equal(pixels[~inside][:, :3].view(np.uint16), plate[~inside].view(np.uint16))


def test_paint_reaches_every_frame_and_nothing_else_is_touched(live: Nuke) -> None:
    node = ready(live, stroke("Brush1", [(10, 14), (15, 12)], color=RED))
    plate = {frame: read_exr(str(live.folder / "plate" / f"plate.{frame}.exr")) for frame in FRAMES}
    live.run(node, "send_edits", "render")
    shown = result_of(node)
    assert sorted(shown) == list(FRAMES)
    for frame, pixels in shown.items():
        check_square(pixels, plate[frame], frame, 10, 14, (1, 0, 0))
    read = live.shown(node)
    assert [int(read[knob].value()) for knob in ("first", "last", "origfirst", "origlast")] == [
        1001,
        1004,
    ] * 2
    live.live.statuses.look()
    assert live.status(node) == "Ready, 30.0 dB."
    # Nobody but the artist comes into Nuke's undo list.
    assert not any("inve_status" in name or "inve_result" in name for name, _ in live.stage.undo_steps)


def test_only_what_differs_is_sent_and_one_undo_takes_it_back(live: Nuke) -> None:
    first = stroke("Brush1", [(10, 14), (15, 12)], color=RED)
    node = ready(live, first)
    live.run(node, "send_edits")
    document = next(iter(live.live.edits.documents.values()))
    revision = document.revision
    live.run(node, "send_edits")
    assert document.revision == revision
    assert live.live.log.last.endswith("all of them sent before.")
    node.input(2)["curves"].fromScript(strokes(first, stroke("Brush2", [(20, 6), (22, 6)], color=GREEN)))
    live.run(node, "send_edits", "render")
    assert document.revision == revision + 1
    (layer,) = document.layers
    assert len(layer["edits"]) == 2
    version = live.shown(node)["file"].value()
    assert (result_of(node)[1001][HEIGHT - 6, 20, :3] == (0, 1, 0)).all()
    live.live.change(live.key(node), lambda edits: edits.undo())
    live.until(lambda: len(document.layers[0]["edits"]) == 1 and not document.waiting)
    live.until(lambda: live.shown(node)["file"].value() != version and not live.live.is_busy)
    live.run(node, "render")
    assert (result_of(node)[1001][HEIGHT - 6, 20, :3] != (0, 1, 0)).any()
    assert (result_of(node)[1001][HEIGHT - 14, 10, :3] == (1, 0, 0)).all()


def test_what_cannot_be_carried_is_named_and_the_rest_goes_over(live: Nuke) -> None:
    good = stroke("Good", [(10, 14), (15, 12)])
    moved = stroke("Moved", [(20, 6), (22, 6)]).replace("{t 0}", "{t 5 5}").replace("ltt 0", "ltt 0 src 3")
    node = ready(live, good, moved)
    with pytest.raises(RefusedError, match="Moved") as refusal:
        live.run(node, "send_edits")
    assert "Good" not in str(refusal.value)
    assert live.session.problem == refusal.value.problem
    document = next(iter(live.live.edits.documents.values()))
    assert [len(layer["edits"]) for layer in document.layers] == [1]
    assert document.waiting == 0


def test_a_script_opens_without_the_daemon_and_shows_its_result(live: Nuke, painting: Daemon) -> None:
    node = ready(live, stroke("Brush1", [(10, 14), (15, 12)]))
    live.run(node, "send_edits", "render")
    before = result_of(node)
    path = live.save()
    painting.end()

    later = Nuke(live.folder, painting.endpoint)
    later.nuke.scriptOpen(path)
    again = later.nuke.toNode("INVE1")
    assert later.status(again) == "Offline, shows the last result."
    assert all(np.array_equal(pixels, before[frame]) for frame, pixels in result_of(again).items())
    assert sorted(result_of(again)) == list(FRAMES)
    # The plugin comes to life, and still there is no daemon.
    later.live.look()
    view = later.live.panel.view()
    assert [(one.name, one.shot, one.standing) for one in view.shots] == [
        ("INVE1", "plate", "Offline: the last result is shown.")
    ]
    assert [(row.name, row.edits) for row in view.layers.rows] == [("RotoPaint1", 1)]
    assert later.status(again).startswith("Offline")
    with pytest.raises(RefusedError):
        later.run(again, "connect", timeout_s=1)
    # And it goes on where it was once there is one.
    painting.start().close()
    later.run(again, "connect", "render")
    assert sorted(result_of(again)) == list(FRAMES)


def test_a_daemon_that_dies_comes_back_with_what_was_waiting(live: Nuke, painting: Daemon) -> None:
    first = stroke("Brush1", [(10, 14), (15, 12)])
    node = ready(live, first)
    live.run(node, "send_edits", "render")
    painting.end()
    live.until(lambda: live.session.connection.state is ConnectionState.LOST)
    assert live.live.panel.view().connection.tone == "bad"
    node.input(2)["curves"].fromScript(strokes(first, stroke("Brush2", [(20, 6), (22, 6)], color=GREEN)))
    actions.send_edits(node)
    # As a request that was on its way then would have it.
    live.session.fail(Problem("unreachable", "The daemon has gone."), "plate")
    document = next(iter(live.live.edits.documents.values()))
    assert document.waiting == 1
    live.live.statuses.look()
    assert live.status(node) == "Offline: the last result is shown."
    painting.start().close()
    live.until(lambda: document.waiting == 0 and live.session.is_connected)
    live.until(
        lambda: not live.live.is_busy and (result_of(node)[1004][HEIGHT - 6, 23, :3] == (0, 1, 0)).all()
    )
    assert live.session.problem is None
    live.live.look_at_once()
    assert live.status(node) == "Ready, 30.0 dB."


def test_a_copy_shows_the_same_edits_and_has_a_result_of_its_own(live: Nuke) -> None:
    node = ready(live, stroke("Brush1", [(10, 14), (15, 12)]))
    live.run(node, "send_edits", "render")
    for one in live.nuke.allNodes():
        one.setSelected(one is node)
    clip = str(live.folder / "copied.nk")
    live.nuke.nodeCopy(clip)
    copy = live.nuke.nodePaste(clip)
    assert copy["inve_key"].value() == node["inve_key"].value()
    copy.setInput(0, node.input(0))
    copy.setInput(2, node.input(2))
    live.until(lambda: len(live.live.nodes) == 2)
    assert copy["inve_key"].value() != node["inve_key"].value()
    assert [one.shot for one in live.live.statuses.entries] == ["plate", "plate"]
    document = next(iter(live.live.edits.documents.values()))
    revision = document.revision
    # The same paint is not put there twice.
    live.run(copy, "send_edits", "render")
    assert document.revision == revision
    files = {one["inve_key"].value(): live.shown(one)["file"].value() for one in (node, copy)}
    assert all(key in file for key, file in files.items())
    assert np.array_equal(result_of(copy)[1002], result_of(node)[1002])


def test_nodes_are_renamed_deleted_and_brought_back(live: Nuke) -> None:
    node = ready(live, stroke("Brush1", [(10, 14), (15, 12)]))
    live.run(node, "send_edits")
    key = node["inve_key"].value()
    node.setName("Hero")
    live.live.statuses.look()
    assert [(one.key, one.name) for one in live.live.statuses.entries] == [(key, "Hero")]
    actions.render(node)
    live.nuke.delete(node)
    live.until(lambda: len(live.live.nodes) == 0)
    assert live.live.panel.view().shots == ()
    live.until(lambda: not live.live.is_busy)
    assert live.session.problem is None
    live.nuke.undo()
    live.until(lambda: [one.key for one in live.live.nodes] == [key])
    live.run(live.nuke.toNode("Hero"), "render")
    assert sorted(result_of(live.nuke.toNode("Hero"))) == list(FRAMES)


def test_a_script_is_closed_and_another_one_is_opened(live: Nuke) -> None:
    node = ready(live, stroke("Brush1", [(10, 14), (15, 12)]))
    live.run(node, "send_edits", "render")
    path = live.save()
    live.nuke.scriptClear()
    assert len(live.live.nodes) == 0
    assert live.live.panel.view().layers.rows == ()
    assert live.session.is_connected
    live.nuke.scriptOpen(path)
    live.until(lambda: len(live.live.nodes) == 1)
    again = live.nuke.toNode("INVE1")
    live.until(lambda: live.status(again) == "Ready, 30.0 dB.")
    live.run(again, "render")


def test_refusals_are_sentences_that_name_the_node(live: Nuke) -> None:
    node = ready(live, stroke("Brush1", [(10, 14), (15, 12)]))
    other = live.inve(node.input(0), 1001, 1004, endpoint="tcp://127.0.0.1:47999", shot="other")
    cases = {
        "cancel": (node, "INVE1 must be learning or rendering to be cancelled"),
        "prepare": (other, "INVE2 must have the daemon that Nuke is connected to"),
        "export": (node, "must offer Export"),
    }
    for name, (which, sentence) in cases.items():
        with pytest.raises(RefusedError, match=sentence):
            live.run(which, name)
    other["inve_endpoint"].setValue(live.endpoint)
    with pytest.raises(RefusedError, match="INVE2 must have a RotoPaint or Roto node as its paint"):
        live.run(other, "send_edits")
    with pytest.raises(RefusedError, match="is no INVE node"):
        actions.prepare(node.input(0), timeout_s=1)


def test_a_plate_that_is_no_file_is_rendered_first_and_that_can_be_cancelled(live: Nuke) -> None:
    write_plate(live.folder / "plate")
    read = live.read(str(live.folder / "plate" / "plate.%04d.exr"), FRAMES[0], FRAMES[-1])
    node = live.inve(live.nuke.nodes.Grade(inputs=[read]), FRAMES[0], FRAMES[-1])
    live.stage.cancel_after = 2
    with pytest.raises(RefusedError) as refusal:
        live.run(node, "prepare")
    assert refusal.value.problem.code == "cancelled"
    live.until(lambda: live.session.is_connected)
    assert live.session.shots == {}
    assert live.session.opening == set()
    live.stage.cancel_after = None
    live.run(node, "prepare")
    pattern = live.session.shots["plate"].frames_pattern
    assert pattern.startswith(str(live.folder / "cache"))
    # What was written before is not written again, but for the one at which it was cancelled.
    assert [frame for _, frame in live.stage.rendered] == [1001, 1002, 1002, 1003, 1004]
    live.run(node, "prepare")
    assert len(live.stage.rendered) == 5


def test_points_of_a_tracker_come_back_as_a_tracker(live: Nuke) -> None:
    node = ready(live, stroke("Brush1", [(10, 14), (15, 12)]))
    host = live.live.host
    given = track_nodes.make(
        host,
        "Tracker",
        node,
        [Track(Point("eye", 1001, 8.0, 6.0), FRAMES, (8.0,) * 4, (6.0,) * 4, *ALL)],
        SIZE,
        1001,
    )
    for one in live.nuke.allNodes():
        one.setSelected(one is given)
    live.nuke.root()["frame"].setValue(1001)
    steps = len(live.stage.undo_steps)
    live.run(node, "track_selected")
    made = next(one for one in live.nuke.allNodes("Tracker4") if one is not given)
    # The daemon's points go right and down, behind something on the second frame.
    (track,) = tracker_script.read(made["tracks"].toScript())
    assert [track.at(frame)[:2] for frame in (1001, 1003, 1004)] == [(8, 18), (12, 16), (14, 15)]
    assert [name for name, _ in live.stage.undo_steps[steps:]] == ["INVE: Tracker of 1 points"]
    live.nuke.undo()
    assert live.nuke.allNodes("Tracker4") == [given]
    # Without a Tracker it is the node's own point in the viewer, once it is somewhere.
    given.setSelected(False)
    with pytest.raises(RefusedError, match="must have a point to follow, got none"):
        live.run(node, "track_selected")
    node["inve_point"].setValue([4, 20])
    node["inve_track_as"].setValue("Transform")
    live.run(node, "track_selected")
    (transform,) = live.nuke.allNodes("Transform")
    assert transform["translate"].getValueAt(1004, 0) == 6
    assert transform["translate"].getValueAt(1004, 1) == -3
    node["inve_point"].setValue([400, 20])
    with pytest.raises(RefusedError, match="must lie in the 32x24 picture"):
        live.run(node, "track_selected")


def test_a_tracker_of_another_format_is_refused(live: Nuke) -> None:
    node = ready(live)
    small = live.nuke.nodes.Constant()
    small["format"].fromScript("16 12 0 0 16 12 1 small")
    tracker = live.nuke.nodes.Tracker4(inputs=[small])
    for one in live.nuke.allNodes():
        one.setSelected(one is tracker)
    with pytest.raises(RefusedError, match="'Tracker1' must have the plate's format of 32x24, got 16x12"):
        live.run(node, "track_selected")


def test_in_a_window_the_timer_does_it_all(painting: Daemon, tmp_path: Path) -> None:
    """Buttons are pressed and Qt's loop runs; nobody pumps by hand. The panel is open."""
    pictures = pytest.importorskip("panel_pictures", reason="PySide6-Essentials is not installed")
    from inve_nuke.panel.window import InvePanel

    application = pictures.application()
    nuke = Nuke(tmp_path, painting.endpoint, gui=True)
    panel = InvePanel()
    panel.show()

    def run_until(condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, (nuke.stage.messages, nuke.live.log.lines)
            application.processEvents()
            time.sleep(0.002)

    try:
        write_plate(tmp_path / "plate")
        node = nuke.inve(nuke.read(str(tmp_path / "plate" / "plate.%04d.exr"), 1001, 1004), 1001, 1004)
        nuke.paint(node, strokes(stroke("Brush1", [(10, 14), (15, 12)])))
        node["inve_connect"].execute()
        run_until(lambda: panel.connection.state.text() == "Connected")
        node["inve_prepare"].execute()
        run_until(lambda: nuke.status(node) == "Ready, 30.0 dB.")
        node["inve_send_edits"].execute()
        # The frames come by themselves.
        run_until(lambda: len(result_of(node)) == len(FRAMES) and not nuke.live.is_busy)
        run_until(lambda: panel.layers.rows.rowCount() == 1)
        assert (result_of(node)[1002][HEIGHT - 14, 11, :3] == (1, 0, 0)).all()
        panel.layers.buttons["Undo"].click()
        run_until(lambda: (result_of(node)[1002][HEIGHT - 14, 11, :3] != (1, 0, 0)).any())
        assert nuke.stage.messages == []
    finally:
        panel.close()
        shots.stop()


def test_the_farm_example_does_all_of_it(live: Nuke, capsys: pytest.CaptureFixture[str]) -> None:
    write_plate(live.folder / "plate")
    pattern = str(live.folder / "plate" / "plate.%04d.exr")
    node = live.inve(live.read(pattern, 1001, 1004), 1001, 1004)
    live.paint(node, strokes(stroke("Brush1", [(10, 14), (15, 12)])))
    path = live.save("farm.nk")
    later = Nuke(live.folder, live.endpoint)
    example = HERE.parents[1] / "plugins" / "nuke" / "examples" / "farm.py"
    main = runpy.run_path(str(example))["main"]
    main(path)
    assert later.stage.printed[-1] == f"{path}: INVE1 shows its edited frames"
    assert sorted(result_of(later.nuke.toNode("INVE1"))) == list(FRAMES)
    with pytest.raises(SystemExit, match="must have a node Nobody"):
        main(path, "Nobody")
    with pytest.raises(SystemExit, match="must look like"):
        main(path, "INVE1", "somewhere")


@pytest.mark.slow
def test_a_clip_is_really_learned(short: Path, tmp_path: Path) -> None:
    """With the worker that learns: what is far from the paint keeps its bits on each frame."""
    from inve_core.synthetic import make_clip

    made = make_clip(frames=5, width=128, height=72, seed=3)
    made.write(tmp_path / "clip")
    endpoint = f"ipc://{short}/real.sock"
    serve = ["serve", "--bind", endpoint, "--store", str(tmp_path / "store"), "--root", str(tmp_path)]
    command = [sys.executable, "-c", "from inve_daemon.cli import main; main()", *serve, "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(command, env=environment)
    nuke = Nuke(tmp_path, endpoint)
    try:
        plate = nuke.read(str(tmp_path / "clip" / "frames" / "%04d.png"), 1001, 1005)
        node = nuke.inve(plate, 1001, 1005, size=64)
        node.setInput(1, nuke.read(str(tmp_path / "clip" / "mattes" / "%04d.png"), 1001, 1005))
        nuke.run(node, "connect", timeout_s=60)
        actions.prepare(node)
        seen = set()

        def is_early() -> bool:
            nuke.live.statuses.look()
            seen.add(nuke.status(node))
            known = nuke.session.shots.get("plate")
            return known is not None and known.trained

        nuke.until(is_early, 120)
        # One need not wait for the end.
        known = nuke.session.shots["plate"]
        points = [(64.0, 20.0), (84.0, 20.0)]
        nuke.paint(node, strokes(stroke("Brush1", points, 1003)))
        nuke.run(node, "send_edits", timeout_s=60)
        nuke.run(node, "cancel", timeout_s=60)
        nuke.run(node, "render", timeout_s=120)
        shown = result_of(node)
        revision = nuke.live.edits.documents["plate"].revision
        nuke.live.change(nuke.key(node), lambda edits: edits.change_layer("RotoPaint1", enabled=False))
        nuke.until(lambda: nuke.live.edits.documents["plate"].revision != revision)
        nuke.run(node, "render", timeout_s=120)
        plain = result_of(node)
    finally:
        shots.stop()
        process.terminate()
        process.wait(60)
    assert not known.final
    assert any("Learning" in text and text.endswith("left") for text in seen), seen
    assert sorted(shown) == sorted(plain) == list(range(1001, 1006))
    for frame, pixels in shown.items():
        changed = (pixels != plain[frame]).any(axis=2)
        assert 40 < changed.sum() < 500, (frame, changed.sum())
        assert np.array_equal(pixels[~changed], plain[frame][~changed])
    # Where it was drawn: along y_down = 72 - 20 on frame 1003.
    rows, columns = np.nonzero((shown[1003] != plain[1003]).any(axis=2))
    assert abs(rows.mean() + 0.5 - 52) < 0.5, rows
    assert abs(columns.mean() + 0.5 - 74) < 1, columns
    # The model is a rough one: it takes the red for a little less than wholly visible.
    assert np.abs(shown[1003][52, 74, :3] - np.array((1, 0, 0))).max() < 0.1

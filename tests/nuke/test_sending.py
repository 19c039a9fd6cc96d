"""Send edits where the shot's edits are not known yet, or the shot is not; and whose problems are whose."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from daemon_support import FRAMES
from nuke_live import Nuke, ready, stroke, strokes, write_plate

from inve_client.plugin.messages import OpenShot, Problem, RefusedError
from inve_nuke import actions

ONE, TWO = stroke("Brush1", [(10, 14), (15, 12)]), stroke("Brush2", [(20, 6), (22, 6)])
MISSING = "must be prepared first: this daemon has no shot"


def edits_of(nuke: Nuke) -> list[str]:
    document = nuke.live.edits.documents["plate"]
    return [edit["id"].rpartition("/")[2] for layer in document.layers for edit in layer["edits"]]


def pump(nuke: Nuke, seconds: float = 0.5) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        nuke.session.pump()
        time.sleep(0.005)


def unprepared(nuke: Nuke, shot: str = "other") -> Any:
    write_plate(nuke.folder / shot)
    pattern = str(nuke.folder / shot / "plate.%04d.exr")
    node = nuke.inve(nuke.read(pattern, FRAMES[0], FRAMES[-1]), FRAMES[0], FRAMES[-1], shot=shot)
    nuke.paint(node, strokes(ONE))
    return node


@pytest.mark.parametrize("timeout_s", [None, 20])
def test_what_was_deleted_in_nuke_goes_with_the_first_press_of_a_session(
    live: Nuke, timeout_s: float | None
) -> None:
    node = ready(live, ONE, TWO)
    live.run(node, "send_edits")
    assert len(edits_of(live)) == 2
    # The edits were never saved with this script: all that is known of them, the daemon knows.
    node["inve_document"].setValue("")
    live.session.disconnect()
    live.live.edits.documents.clear()
    node.input(2)["curves"].fromScript(strokes(TWO))
    actions.send_edits(node, timeout_s=timeout_s)
    live.until(lambda: not live.live.paint.is_waiting(live.live.of(node)) and not live.live.is_busy)
    live.until(lambda: not live.live.edits.documents["plate"].pending)
    assert len(edits_of(live)) == 1
    assert any("Remove 1 edit of the paint node" in line for line in live.live.log.lines)
    assert live.session.problem is None


def test_steps_are_made_from_what_others_did_meanwhile(live: Nuke) -> None:
    node = ready(live, ONE)
    live.run(node, "send_edits")
    document = live.live.edits.documents["plate"]
    document.missed()
    assert document.needs_fetch
    node.input(2)["curves"].fromScript(strokes(TWO))
    actions.send_edits(node)
    # Nothing is guessed and nobody has waited.
    assert not document.pending
    assert live.live.paint.is_waiting(live.live.of(node))
    live.until(lambda: not live.live.paint.is_waiting(live.live.of(node)) and not document.pending)
    assert len(edits_of(live)) == 1


@pytest.mark.parametrize("button", ["send_edits", "render", "track_selected", "export"])
def test_a_shot_that_the_daemon_has_not_is_refused_at_once(live: Nuke, button: str) -> None:
    node = unprepared(live)
    live.run(node, "connect")
    live.until(lambda: live.session.are_listed)
    began = time.monotonic()
    with pytest.raises(RefusedError, match=f"INVE1 {MISSING} 'other'; press Prepare"):
        live.run(node, button, timeout_s=20)
    assert time.monotonic() - began < 5
    live.live.look_at_once()
    assert live.status(node) == f"INVE1 {MISSING} 'other'; press Prepare."


def test_it_is_refused_as_soon_as_the_daemon_has_told_its_shots(live: Nuke) -> None:
    node = unprepared(live)
    began = time.monotonic()
    with pytest.raises(RefusedError, match=MISSING):
        live.run(node, "send_edits", timeout_s=20)
    assert time.monotonic() - began < 5
    assert not live.live.paint.is_waiting(live.live.of(node))


def test_what_a_daemon_refuses_stands_in_the_nodes_own_status(
    live: Nuke, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside: Path = tmp_path_factory.mktemp("outside")
    write_plate(outside)
    good = ready(live, ONE)
    bad = live.inve(live.read(str(outside / "plate.%04d.exr"), 1001, 1004), 1001, 1004, shot="bad")
    actions.prepare(bad)
    pump(live)
    live.live.look_at_once()
    assert "--root" in live.status(bad)
    assert live.status(good) == "Ready, 30.0 dB."
    actions.export(good)
    pump(live)
    live.live.look_at_once()
    assert "must offer Export" in live.status(good)
    assert "--root" in live.status(bad)
    # Pressing a button is a new beginning for its node alone.
    actions.render(good)
    pump(live)
    live.live.look_at_once()
    assert live.status(good) == "Ready, 30.0 dB."
    assert "--root" in live.status(bad)


def test_what_goes_wrong_with_another_node_ends_nothing(
    live: Nuke, tmp_path_factory: pytest.TempPathFactory
) -> None:
    node = ready(live, ONE)
    outside: Path = tmp_path_factory.mktemp("outside")
    write_plate(outside)
    live.session.ask(OpenShot("bad", str(outside / "plate.%04d.exr")))
    live.run(node, "send_edits")
    # It came before what was awaited, and is still told.
    assert live.session.problem == live.session.problems["bad"]
    live.run(node, "render")
    # What is nobody's own, such as the connection's, is everybody's.
    actions.connect(node)
    live.session.tickers.append(lambda: live.session.fail(Problem("internal", "All is lost.")) or True)
    with pytest.raises(RefusedError, match="All is lost"):
        live.run(node, "render")

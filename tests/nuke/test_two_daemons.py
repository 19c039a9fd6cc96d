"""Nodes of one script with daemons of their own, which may have shots of the same name."""

from __future__ import annotations

import os
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_support import FRAMES, HEIGHT, Daemon
from nuke_live import HERE, Nuke, painting_daemon, result_of, stroke, strokes, write_plate

from inve_client.plugin.document import EditDocument
from inve_client.plugin.messages import RefusedError
from inve_nuke import shots

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the daemon's test process listens on ipc")


@pytest.fixture
def other(short: Path, tmp_path: Path) -> Iterator[Daemon]:
    """A second daemon, over a store of its own."""
    (short / "b").mkdir()
    one = painting_daemon(short / "b", tmp_path / "other store", tmp_path)
    one.start().close()
    yield one
    one.end()


def nodes_of(live: Nuke, *endpoints: str) -> list[Any]:
    """A painted node for each daemon, all with the same plate and the same name of the shot."""
    write_plate(live.folder / "plate")
    plate = live.read(str(live.folder / "plate" / "plate.%04d.exr"), FRAMES[0], FRAMES[-1])
    made = [live.inve(plate, FRAMES[0], FRAMES[-1], endpoint=one) for one in endpoints]
    for place, node in enumerate(made):
        live.paint(node, strokes(stroke("Brush1", [(10 + place, 14), (15, 12)])))
    return made


def layers_of(live: Nuke) -> list[tuple[str, int]]:
    return [(one["name"], len(one["edits"])) for one in live.live.edits.documents["plate"].layers]


def test_a_node_with_another_daemon_has_nothing_of_this_one(live: Nuke, other: Daemon) -> None:
    ours, theirs = nodes_of(live, live.endpoint, other.endpoint)
    live.run(ours, "connect", "prepare", "send_edits", "render")
    live.live.look_at_once()
    assert sorted(result_of(ours)) == list(FRAMES)
    assert result_of(theirs) == {}
    assert live.status(ours).startswith("Ready")
    assert live.status(theirs) == "Offline: connected to another daemon."
    model, key = live.live.panel, live.key(theirs)
    assert [one.standing for one in model.view().shots] == [live.status(ours), live.status(theirs)]
    # What the panel does for it is not done there.
    model.choose(key)
    assert model.view().layers.rows == ()
    model.delete_layer("RotoPaint1")
    assert "another one is in use; press Connect" in live.session.problem.message
    assert layers_of(live) == [("RotoPaint1", 1)]
    live.save()
    assert ours["inve_document"].value()
    assert not theirs["inve_document"].value()


def test_connect_changes_over_and_what_waits_stays_with_its_daemon(live: Nuke, other: Daemon) -> None:
    ours, theirs = nodes_of(live, live.endpoint, other.endpoint)
    live.run(ours, "connect", "prepare", "send_edits", "render")
    live.session.disconnect()
    live.live.change(live.key(ours), lambda edits: edits.change_layer("RotoPaint1", opacity=0.25))
    live.run(theirs, "connect", "prepare")
    assert layers_of(live) == []
    live.run(theirs, "send_edits", "render")
    assert sorted(result_of(theirs)) == list(FRAMES)
    (layer,) = live.live.edits.documents["plate"].layers
    assert layer["opacity"] == 1
    assert len(EditDocument.from_json(ours["inve_document"].value()).pending) == 1
    live.run(ours, "connect")
    document = live.live.edits.documents["plate"]
    live.until(lambda: document.revision is not None and not document.pending)
    assert document.layers[0]["opacity"] == 0.25
    assert live.session.problem is None


FARM = HERE.parents[1] / "plugins" / "nuke" / "examples" / "farm.py"


def painted_script(live: Nuke) -> str:
    """A script whose edits are on its daemon: a stroke, and what only the panel's list knows of."""
    (node,) = nodes_of(live, live.endpoint)
    live.run(node, "connect", "prepare", "send_edits", "render")
    live.live.change(live.key(node), lambda edits: edits.change_layer("RotoPaint1", opacity=0.25))
    live.until(lambda: not live.live.edits.documents["plate"].pending)
    return live.save()


def test_a_farm_restores_what_a_fresh_daemon_has_not(live: Nuke, other: Daemon) -> None:
    path = painted_script(live)
    later = Nuke(live.folder, other.endpoint)
    runpy.run_path(str(FARM))["main"](path, "INVE1", other.endpoint)
    assert later.stage.printed[-1] == f"{path}: INVE1 shows its edited frames"
    document = later.live.edits.documents["plate"]
    assert [(one["opacity"], len(one["edits"])) for one in document.confirmed_layers] == [(0.25, 1)]
    assert document.lost == ()
    sentence = "The daemon had no edits of 'plate'; those of the script were restored."
    assert any(line.endswith(sentence) for line in later.live.log.lines)
    shown = result_of(later.nuke.toNode("INVE1"))
    assert sorted(shown) == list(FRAMES)
    assert (shown[1002][HEIGHT - 14, 11, :3] == (1, 0, 0)).all()


def test_a_farm_ends_where_somebody_else_has_edits(live: Nuke, other: Daemon) -> None:
    path = painted_script(live)
    theirs = Nuke(live.folder, other.endpoint)
    (node,) = nodes_of(theirs, other.endpoint)
    theirs.run(node, "connect", "prepare", "send_edits")
    shots.stop()
    Nuke(live.folder, other.endpoint)
    with pytest.raises(SystemExit, match="lost edits of 'plate' that this file has; Restore puts them back"):
        runpy.run_path(str(FARM))["main"](path, "INVE1", other.endpoint)


def test_in_a_window_it_is_the_artist_who_restores(live: Nuke, other: Daemon) -> None:
    path = painted_script(live)
    later = Nuke(live.folder, other.endpoint, gui=True)
    later.nuke.scriptOpen(path)
    node = later.nuke.toNode("INVE1")
    node["inve_endpoint"].setValue(other.endpoint)
    later.run(node, "connect")
    with pytest.raises(RefusedError, match="Restore puts them back"):
        later.run(node, "prepare")
    assert later.live.panel.view().layers.is_lost


def test_nodes_of_a_script_without_a_daemon_keep_their_own_edits(tmp_path: Path) -> None:
    live = Nuke(tmp_path, "tcp://127.0.0.1:1")
    for name, port in (("one", 1), ("two", 2)):
        document = EditDocument("plate")
        document.add_layer(name, "sketch")
        node = live.inve(None, 1, 4, endpoint=f"tcp://127.0.0.1:{port}")
        node["inve_document"].setValue(document.to_json())
    live.live.look()
    live.save()
    shots.stop()
    stored = [
        EditDocument.from_json(live.nuke.toNode(name)["inve_document"].value()) for name in ("INVE1", "INVE2")
    ]
    assert [one.layers[0]["name"] for one in stored] == ["one", "two"]

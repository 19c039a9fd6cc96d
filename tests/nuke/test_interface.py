"""INVE's menus in Nuke's stand-in, what they do, and scripts that are opened."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("PySide6.QtWidgets", reason="PySide6-Essentials is not installed", exc_type=ImportError)

from nuke_live import HERE
from panel_pictures import application

from inve_nuke import shots
from inve_nuke.panel.window import InvePanel
from nuke import _events

if TYPE_CHECKING:
    from stage import Stage

MENU = HERE.parents[1] / "plugins" / "nuke" / "menu.py"


@pytest.fixture
def started(nuke: ModuleType) -> Iterator[ModuleType]:
    """A Nuke with a window that has run menu.py."""
    application()
    shots.stop()
    runpy.run_path(str(MENU))
    yield nuke
    shots.stop()


def test_the_menus_and_the_panel_are_there(started: ModuleType, stage: Stage) -> None:
    assert sorted(stage.commands) == [
        "Nodes/INVE/Insert node",
        "Nuke/INVE/Check this Nuke",
        "Nuke/INVE/Connect",
        "Nuke/INVE/Insert node",
        "Nuke/INVE/Prepare",
        "Nuke/INVE/Send edits",
    ]
    ((widget, name, _),) = stage.panels
    assert name == "INVE"
    # nukescripts evaluates it with its own names only.
    _events.run_python(f"import stage; stage.current().messages.append({widget})")
    assert stage.messages == [InvePanel]
    panel = InvePanel()
    assert panel.connection.state.text() == "Not connected"
    panel.close()


def test_a_node_is_inserted_and_its_panel_lists_it(started: ModuleType, stage: Stage) -> None:
    read = started.nodes.Read(file="/plates/a.%04d.exr", first=1001, last=1024)
    read.setSelected(True)
    stage.commands["Nuke/INVE/Insert node"].invoke()
    (node,) = started.allNodes("Group")
    assert node.input(0) is read
    live = shots.current()
    live.look()
    assert [(one.name, one.standing) for one in live.panel.view().shots] == [("INVE1", "Offline.")]
    assert live.pump is not None
    assert live.pump.interval_ms > 0


def test_a_command_without_a_node_says_so(started: ModuleType, stage: Stage) -> None:
    stage.commands["Nuke/INVE/Prepare"].invoke()
    assert stage.messages == ["An INVE node must be selected for this, got none; select one."]
    assert shots._current is None


def test_a_button_that_is_refused_shows_its_sentence(started: ModuleType, stage: Stage) -> None:
    stage.commands["Nuke/INVE/Insert node"].invoke()
    (node,) = started.allNodes("Group")
    node.setSelected(True)
    stage.commands["Nuke/INVE/Prepare"].invoke()
    assert stage.messages == ["INVE1 has no plate; connect the footage to its plate input."]
    assert shots.current().panel.view().problem is not None
    node["inve_cancel"].execute()
    assert stage.messages[1:] == ["INVE1 must be learning or rendering to be cancelled; it is not."]


def test_the_checklist_is_shown(started: ModuleType, stage: Stage) -> None:
    stage.commands["Nuke/INVE/Check this Nuke"].invoke()
    (said,) = stage.messages
    assert len(said.splitlines()) > 5


def test_only_a_script_with_inve_nodes_wakes_the_plugin(
    started: ModuleType, stage: Stage, tmp_path: Path
) -> None:
    started.nodes.NoOp()
    started.scriptSave(str(tmp_path / "without.nk"))
    stage.commands["Nuke/INVE/Insert node"].invoke()
    started.scriptSave(str(tmp_path / "with.nk"))
    shots.stop()
    started.scriptOpen(str(tmp_path / "without.nk"))
    assert shots._current is None
    started.scriptOpen(str(tmp_path / "with.nk"))
    assert shots._current is not None
    shots.current().look()
    assert [one.name for one in shots.current().statuses.entries] == ["INVE1"]


def test_damaged_states_are_told_and_keep_nothing_from_working(
    started: ModuleType, stage: Stage, tmp_path: Path
) -> None:
    stage.commands["Nuke/INVE/Insert node"].invoke()
    (node,) = started.allNodes("Group")
    node["inve_document"].setValue('{"version": 1')
    node["inve_result"].setValue("[1]")
    shots.stop()
    node["inve_key"].setValue("abc")
    live = shots.current()
    live.look()
    assert live.session.problem is not None
    assert "cannot be read" in live.session.problem.message
    # The edits are begun anew, the script can be saved, and keeps them until a daemon has told what there is.
    assert live.document_of(next(iter(live.nodes))).layers == ()
    started.scriptSave(str(tmp_path / "damaged.nk"))
    assert node["inve_document"].value() == '{"version": 1'


def test_a_node_of_another_release_is_told_once_and_nothing_breaks(
    started: ModuleType, stage: Stage, tmp_path: Path
) -> None:
    stage.commands["Nuke/INVE/Insert node"].invoke()
    (node,) = started.allNodes("Group")
    node.removeKnob(node["inve_preset"])
    live = shots.current()
    live.look()
    assert live.session.problem is not None
    assert "has no knob 'inve_preset'" in live.session.problem.message
    live.session.dismiss()
    live.look_at_once()
    assert live.session.problem is None
    started.scriptSave(str(tmp_path / "old.nk"))
    node["inve_prepare"].execute()
    assert "has no knob 'inve_preset'" in stage.messages[-1]


def test_a_mistake_of_ours_does_not_keep_nuke_from_saving(
    started: ModuleType, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.commands["Nuke/INVE/Insert node"].invoke()
    live = shots.current()
    monkeypatch.setattr(live.frames.results, "saved", lambda: 1 / 0)
    started.scriptSave(str(tmp_path / "shot.nk"))
    assert (tmp_path / "shot.nk").exists()
    assert live.session.problem is not None
    assert "ZeroDivisionError" in live.session.problem.message
    assert "ZeroDivisionError" in stage.printed[-1]


def test_another_shot_name_offers_the_edits_of_the_one_before(started: ModuleType, stage: Stage) -> None:
    stage.commands["Nuke/INVE/Insert node"].invoke()
    (node,) = started.allNodes("Group")
    live = shots.current()
    one = next(iter(live.nodes))
    live.document_of(one).add_layer("paint", "sketch")
    live.store()
    node["inve_shot"].setValue("other")
    assert [layer["name"] for layer in live.document_of(one).lost] == ["paint"]
    live.look_at_once()
    assert live.panel.view().layers.is_lost
    live.panel.restore()
    assert [row.name for row in live.panel.view().layers.rows] == ["paint"]


def test_the_end_leaves_nothing_behind(started: ModuleType, stage: Stage) -> None:
    stage.commands["Nuke/INVE/Insert node"].invoke()
    pump = shots.current().pump
    assert pump is not None
    before = {kind: len(calls) for kind, calls in stage.callbacks.items() if calls}
    shots.stop()
    assert pump.interval_ms == 0
    left = {kind: len(calls) for kind, calls in stage.callbacks.items() if calls}
    # The look at scripts that are opened stays, and nothing else.
    assert left == {"onScriptLoad": 1}
    assert sum(before.values()) > 4

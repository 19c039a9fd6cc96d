"""`NukeHost` in the stand-in for Nuke."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import stage as stages
from inve_client.plugin.messages import RefusedError
from stage import FakeNukeError, Stage


@pytest.fixture
def host(stage: Stage) -> object:
    from inve_nuke.host import NukeHost

    return NukeHost()


def test_without_nuke_it_says_where_it_runs() -> None:
    root = Path(__file__).resolve().parents[2]
    code = (
        f"import sys; sys.path[:0] = [{str(root / 'daemon')!r}, {str(root / 'plugins' / 'nuke')!r}]\n"
        "from inve_client.plugin.messages import RefusedError\n"
        "try:\n    import inve_nuke.host\nexcept RefusedError as error:\n    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "start Nuke" in run.stdout


def test_in_terminal_mode_messages_are_printed(terminal: Stage) -> None:
    from inve_nuke.host import NukeHost

    host = NukeHost()
    host.message("frames 1001-1070 are ready")
    assert terminal.messages == []
    assert terminal.printed == ["frames 1001-1070 are ready"]


def test_undo_is_one_step_and_takes_a_failure_back(host: object, nuke: ModuleType) -> None:
    grade = host.create("Grade")
    steps = nuke.Undo.undoSize()
    with host.undo("INVE: two things"):
        host.set_value(grade, "multiply", 2)
        host.create("NoOp")
    assert nuke.Undo.undoSize() == steps + 1
    assert nuke.Undo.undoDescribe(0) == "INVE: two things"
    with pytest.raises(RefusedError, match="no knob"), host.undo("INVE: fails"):
        host.set_values(grade, {"multiply": 9, "divide": 1})
    assert host.value(grade, "multiply") == 2
    assert nuke.Undo.undoSize() == steps + 1
    with host.unrecorded():
        host.create("NoOp")
    assert nuke.Undo.undoSize() == steps + 1


def test_nodes_are_made_beside_others_and_leave_the_selection(host: object, nuke: ModuleType) -> None:
    group = nuke.nodes.Group()
    with group:
        inner = nuke.nodes.NoOp()
    below = nuke.nodes.NoOp()
    below.setSelected(True)
    made = host.create("Write", beside=inner, inputs=[inner], file="/cache/plate.%04d.exr", file_type="exr")
    assert made.parent() is group
    assert host.name(made) == "Group1.Write1"
    assert nuke.selectedNodes() == [below]
    assert host.is_alive(made)
    host.delete(made)
    assert not host.is_alive(made)


def test_a_knob_that_is_missing_is_named(host: object) -> None:
    read = host.create("Read")
    with pytest.raises(RefusedError, match=r"Read1 \(Read\) has no knob 'shot' in Nuke 15"):
        host.value(read, "shot")


def test_knobs_are_read_and_set_by_name(host: object) -> None:
    pin = host.create("CornerPin2D")
    host.set_value(pin, "to1", [3, 4])
    assert host.value(pin, "to1") == [3, 4]
    assert not host.is_animated(pin, "to1")
    host.set_script(pin, "to1", "{curve x1001 1.5 x1003 3.5} 7")
    assert [host.number_at(pin, "to1", 1003, index) for index in (0, 1)] == [3.5, 7]
    assert host.is_animated(pin, "to1")
    write = host.create("Write")
    assert host.choose(write, "datatype", "32 bit float")
    assert not host.choose(write, "datatype", "64 bit float")
    assert host.value(write, "datatype") == "32 bit float"


def test_callbacks_tell_which_knob_and_end(host: object, nuke: ModuleType, tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []
    end = host.listen("knob changed", lambda node, knob: heard.append((node.name(), knob)), "Grade")
    host.listen("node deleted", lambda node, knob: heard.append(("deleted", node.name())), "Grade")
    host.listen("script saved", lambda node, knob: heard.append(("saved", knob)))
    grade = nuke.nodes.Grade()
    grade.showControlPanel()
    stages.move(grade, "multiply", 2)
    end()
    stages.move(grade, "multiply", 3)
    nuke.scriptSave(str(tmp_path / "a.nk"))
    host.delete(grade)
    assert heard == [("Grade1", "showPanel"), ("Grade1", "multiply"), ("saved", ""), ("deleted", "Grade1")]


def test_rendering_tells_cancelling_from_failing(
    host: object, stage: Stage, nuke: ModuleType, tmp_path: Path
) -> None:
    constant = nuke.nodes.Constant()
    constant["format"].fromScript("8 4 0 0 8 4 1 tiny")
    path = str(tmp_path / "c.%04d.exr")
    write = host.create("Write", inputs=[constant], file=path, file_type="exr", raw=True)
    host.render(write, 1, 2)
    assert [frame for _, frame in stage.rendered] == [1, 2]
    stage.cancel_after = 1
    with pytest.raises(RefusedError) as cancelled:
        host.render(write, 1, 2)
    assert cancelled.value.problem.code == "cancelled"
    stage.cancel_after = None
    host.set_value(write, "file", str(tmp_path / "none" / "c.%04d.exr"))
    with pytest.raises(RefusedError, match=r"frames 1-2: .*folder does not exist"):
        host.render(write, 1, 2)


def test_menus_and_panels(host: object, stage: Stage) -> None:
    pressed: list[int] = []
    host.add_command("Nuke", "INVE/Insert node", lambda: pressed.append(1))
    stage.commands["Nuke/INVE/Insert node"].invoke()
    host.register_panel("inve_nuke.panel.widget.Panel", "INVE", "inve.panel")
    assert pressed == [1]
    assert stage.panels == [("inve_nuke.panel.widget.Panel", "INVE", "inve.panel")]
    with pytest.raises(FakeNukeError, match="no menu"):
        host.add_command("Nuek", "INVE/Insert node", print)

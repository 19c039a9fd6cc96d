"""`NukeHost` in the stand-in for Nuke."""

from __future__ import annotations

import subprocess
import sys
import threading
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


def in_thread(stage: Stage, call: object) -> list[object]:
    """What a call off the main thread gives, or raises, while the main thread goes on."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(call())
        except (RefusedError, FakeNukeError) as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        stage.run_main_thread(0.05)
    return results


def test_without_nuke_it_says_where_it_runs() -> None:
    root = Path(__file__).resolve().parents[2]
    code = (
        f"import sys; sys.path[:0] = [{str(root / 'daemon')!r}, {str(root / 'plugins' / 'nuke')!r}]\n"
        "from inve_client.plugin.messages import RefusedError\n"
        "try:\n    import inve_nuke.host\nexcept RefusedError as error:\n    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "start Nuke" in run.stdout


def test_a_call_on_the_main_thread_brings_back_what_it_gave(
    host: object, stage: Stage, nuke: ModuleType
) -> None:
    assert in_thread(stage, lambda: host.in_main_thread_with_result(lambda: nuke.nodes.NoOp().name())) == [
        "NoOp1"
    ]
    assert host.in_main_thread_with_result(lambda: 7) == 7  # from the main thread itself Nuke would hang


def test_a_call_on_the_main_thread_brings_back_what_it_raised(host: object, stage: Stage) -> None:
    def refuse() -> None:
        raise RefusedError("not now")

    def fail() -> None:
        raise ZeroDivisionError("one by none")

    (refused,) = in_thread(stage, lambda: host.in_main_thread_with_result(refuse))
    assert isinstance(refused, RefusedError)
    assert str(refused) == "not now"
    (failed,) = in_thread(stage, lambda: host.in_main_thread_with_result(fail))
    assert isinstance(failed, RefusedError)
    assert "one by none" in str(failed)
    assert not stage.printed


def test_in_terminal_mode_calls_run_at_once_and_messages_are_printed(terminal: Stage) -> None:
    from inve_nuke.host import NukeHost

    host, ran = NukeHost(), []
    host.in_main_thread(lambda: ran.append(1))
    host.message("frames 1001-1070 are ready")
    assert ran == [1]
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


def test_progress_shows_and_knows_cancel(host: object, stage: Stage) -> None:
    with host.progress("INVE") as bar:
        bar.report(0.256, "frame 3 of 12")
        assert not bar.cancelled
        stage.cancelled = True
        assert bar.cancelled
        bar.report(1.7, "done")
    assert ("INVE", 26, "frame 3 of 12") in stage.progress
    assert stage.progress[-1] == ("INVE", 100, "done")


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

"""The INVE node: the toolset, its knobs, and what a script keeps of it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import OpenImageIO as oiio  # noqa: N813 - the name that its own documentation uses
import pytest
from node_support import HEIGHT, WIDTH, write_frames

import stage as stages
from inve_client.plugin.messages import RefusedError
from inve_nuke import node as nodes
from inve_nuke.node import InveNode
from stage import Stage


@pytest.fixture
def host(stage: Stage) -> object:
    from inve_nuke.host import NukeHost

    return NukeHost()


def shown(nuke: ModuleType, node: InveNode, frame: int, tmp_path: Path) -> float:
    """The red of what an INVE node gives at a frame."""
    path = str(tmp_path / "shown.%04d.exr")
    write = nuke.nodes.Write(inputs=[node.host_node], file=path, file_type="exr", raw=True)
    write["datatype"].setValue("32 bit float")
    nuke.execute(write, frame, frame)
    nuke.delete(write)
    return float(oiio.ImageBuf(path % frame).getpixel(0, 0)[0])


@pytest.fixture
def node(host: object, nuke: ModuleType, tmp_path: Path) -> InveNode:
    """An INVE node beneath a plate of frames 1001-1005, in a script that was saved."""
    nuke.scriptSave(str(tmp_path / "sh 010_comp v3.nk"))
    plate = nuke.nodes.Read(
        file=write_frames(tmp_path / "plate", "plate", range(1001, 1006), 0), first=1001, last=1005
    )
    plate.setSelected(True)
    return nodes.insert(host)


def test_the_toolset_has_what_the_issue_lists(node: InveNode, nuke: ModuleType) -> None:
    group = node.host_node
    buttons = ("connect", "prepare", "cancel", "send_edits", "render", "track_selected", "export")
    assert all(group[f"inve_{name}"].Class() == "PyScript_Knob" for name in buttons)
    assert group["inve_preset"].values() == ["preview", "fast", "quality", "paper"]
    assert group["inve_show"].values() == ["plate", "result", "layer"]
    inputs = {inner["number"].value(): inner.name() for inner in group.nodes() if inner.Class() == "Input"}
    assert inputs[nodes.PLATE] == "plate"
    assert inputs[nodes.PAINT] == "paint"
    assert inputs[nodes.VECTORS] == "vectors"
    assert [inputs[index] for index in nodes.MATTES] == ["matte", "matte2", "matte3", "matte4"]
    hidden = ("inve_key", "inve_document", "inve_result", "inve_arrived")
    assert not any(group[name].visible() for name in hidden)


def test_inserting_takes_over_what_is_above(node: InveNode, nuke: ModuleType) -> None:
    settings = node.settings()
    settings.check()
    assert settings.shot == "sh_010_comp_v3"
    assert (settings.first, settings.last, settings.reference_frame) == (1001, 1005, 1001)
    assert (settings.preset, settings.working_size, settings.endpoint) == ("fast", None, "")
    assert settings.grade == {
        "hue": 0, "saturation": 1, "brightness": 0, "exposure": 0, "contrast": 1, "pivot": 0.18, "gamma": 1,
    }  # fmt: skip
    assert node.plate is nuke.toNode("Read1")
    assert nuke.Undo.undoDescribe(0) == "Insert INVE"
    second = nodes.insert(node.host)
    assert second.settings().shot == "sh_010_comp_v3_2"
    assert [found.name for found in nodes.all_of(node.host)] == ["INVE1", "INVE2"]
    nuke.undo()
    assert [found.name for found in nodes.all_of(node.host)] == ["INVE1"]


@pytest.mark.parametrize(
    ("knob", "value", "sentence"),
    [
        ("inve_shot", "my shot", "shot name of INVE1 .* got 'my shot'"),
        ("inve_shot", "", "1 to 64"),
        ("inve_first", 1010, "must go forward, got 1010-1005"),
        ("inve_reference", 7, "within 1001-1005, got 7"),
        ("inve_size", 32, "64 to 4096 pixels, or 0 for the default, got 32"),
    ],
)
def test_settings_that_will_not_do_are_named(node: InveNode, knob: str, value: object, sentence: str) -> None:
    node.host_node[knob].setValue(value)
    with pytest.raises(RefusedError, match=sentence):
        node.settings().check()


def test_inputs_are_found_by_what_they_are_for(node: InveNode, nuke: ModuleType) -> None:
    front, back = nuke.nodes.NoOp(name="front"), nuke.nodes.NoOp(name="back")
    node.host_node.setInput(1, front)
    node.host_node.setInput(5, back)
    assert node.mattes == [front, back]
    assert node.paint is None
    roto = nuke.nodes.RotoPaint()
    dot = nuke.nodes.Dot(inputs=[roto])
    node.host_node.setInput(2, dot)
    assert node.paint is roto
    node.host_node.setInput(2, nuke.nodes.Grade())
    with pytest.raises(RefusedError, match=r"takes a RotoPaint or Roto node, got Grade1 \(Grade\)"):
        _ = node.paint
    node.host_node.setInput(0, None)
    with pytest.raises(RefusedError, match="no plate"):
        _ = node.plate


def test_the_switch_shows_plate_result_and_layer(node: InveNode, nuke: ModuleType, tmp_path: Path) -> None:
    assert shown(nuke, node, 1003, tmp_path) == 1003  # nothing has arrived
    pattern = write_frames(tmp_path / "out", "res.v0001", range(1001, 1004), 5000)
    node.show_result(pattern, 1001, 1005, arrived={1001, 1003})
    assert [shown(nuke, node, frame, tmp_path) for frame in (1001, 1002, 1003, 1004)] == [
        6001,
        1002,
        6003,
        1004,
    ]
    read = node.host_node.node("INVE_Read")
    assert [read[knob].value() for knob in ("first", "last", "origfirst", "origlast")] == [1001, 1005] * 2
    node.show_result(pattern, 1001, 1003)
    assert shown(nuke, node, 1002, tmp_path) == 6002
    stages.move(node.host_node, "inve_show", "plate")
    assert shown(nuke, node, 1002, tmp_path) == 1002


def test_layers_are_those_that_the_files_have(node: InveNode, nuke: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    spec = oiio.ImageSpec(WIDTH, HEIGHT, 7, oiio.FLOAT)
    spec.channelnames = ["R", "G", "B", "paint.red", "paint.green", "paint.blue", "uv.u"]
    out = oiio.ImageOutput.create("a.exr")
    assert out.open(str(folder / "r.1001.exr"), spec)
    out.write_image(np.broadcast_to(np.arange(7, dtype=np.float32), (HEIGHT, WIDTH, 7)).copy())
    out.close()
    node.show_result(str(folder / "r.%04d.exr"), 1001, 1001)
    assert node.refresh_layers() == ["paint", "uv"]
    node.host_node["inve_show"].setValue("layer")
    assert shown(nuke, node, 1001, tmp_path) == 3
    # The choice is the Group's own work: it goes without the plugin, while the panel is open.
    node.host_node.showControlPanel()
    stages.move(node.host_node, "inve_layer", "uv")
    assert shown(nuke, node, 1001, tmp_path) == 6
    assert node.refresh_layers() == ["paint", "uv"]
    assert node.host_node["inve_layer"].value() == "uv"


def test_a_saved_script_shows_its_result_without_plugin_and_daemon(
    node: InveNode, nuke: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.show_result(write_frames(tmp_path / "out", "res.v0001", range(1001, 1006), 5000), 1001, 1005, {1002})
    node.key = "abc123"
    node.document = '{"version": 2, "layers": [{"name": "a [b] $c {d} \\"e\\""}]}'
    node.result = {"state": 1, "folder": "/somewhere else/out", "revision": 3}
    node.show_status("Learning", 0.42)
    assert node.host_node["inve_status"].value() == "▮▮▮▮▯▯▯▯▯▯ Learning"
    node.rest()
    path = str(tmp_path / "saved.nk")
    nuke.scriptSave(path)
    for module in [name for name in sys.modules if name.startswith("inve_nuke")]:
        monkeypatch.delitem(sys.modules, module)
    stage = stages.fresh()
    nuke.scriptOpen(path)
    assert not [name for name in sys.modules if name.startswith("inve_nuke")]
    again = nuke.toNode("INVE1")
    assert again["inve_status"].value() == "Offline, shows the last result."
    from inve_nuke.host import NukeHost
    from inve_nuke.node import InveNode as Again

    opened = Again(NukeHost(), again)
    assert [shown(nuke, opened, frame, tmp_path) for frame in (1001, 1002)] == [1001, 6002]
    assert opened.key == "abc123"
    assert opened.document == '{"version": 2, "layers": [{"name": "a [b] $c {d} \\"e\\""}]}'
    assert opened.result == {"state": 1, "folder": "/somewhere else/out", "revision": 3}
    # Its buttons say what is missing.
    monkeypatch.setitem(sys.modules, "inve_nuke", None)
    monkeypatch.setitem(sys.modules, "inve_nuke.actions", None)
    stages.press(again, "inve_prepare")
    assert "not installed in this Nuke" in stage.messages[-1]
    assert "inve-daemon install-plugin nuke" in stage.messages[-1]


def test_stored_state_that_is_damaged_is_said(node: InveNode) -> None:
    assert node.result == {}
    node.host_node["inve_result"].setValue('{"state": 1')
    with pytest.raises(RefusedError, match="last result is damaged"):
        _ = node.result
    node.host_node["inve_result"].setValue("[1]")
    with pytest.raises(RefusedError, match="no map"):
        _ = node.result


def test_the_cache_lies_beside_the_script(node: InveNode, nuke: ModuleType, tmp_path: Path) -> None:
    assert node.cache_folder == str(tmp_path / "inve")
    node.host_node["inve_cache"].setValue("/fast/disk/inve/")
    assert node.cache_folder == "/fast/disk/inve"
    stages.fresh()
    fresh = nodes.insert(node.host)
    with pytest.raises(RefusedError, match="never saved; save it, or set the cache folder"):
        _ = fresh.cache_folder


def test_the_cache_folder_is_one_that_nuke_and_we_understand_alike(
    node: InveNode, nuke: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = node.host_node["inve_cache"]
    monkeypatch.setenv("CACHES", "/fast/disk")
    cache.setValue("[getenv CACHES]/inve")
    assert node.cache_folder == "/fast/disk/inve"
    cache.setValue("~/inve")
    assert node.cache_folder == str(Path.home() / "inve")
    for wrong in ("inve", "/fast/100%_done", "/fast/%V/inve", "/fast/shot##"):
        cache.setValue(wrong)
        with pytest.raises(
            RefusedError, match=r"cache folder of INVE1 must be an absolute path .* tab Files"
        ):
            _ = node.cache_folder
    cache.setValue("inve")
    nuke.root()["project_directory"].setValue("/project")
    assert node.cache_folder == "/project/inve"
    # The folder beside the script is looked at alike.
    cache.setValue("")
    (tmp_path / "100%d").mkdir()
    nuke.scriptSave(str(tmp_path / "100%d" / "a.nk"))
    with pytest.raises(RefusedError, match=r"got '.*100%d/inve'"):
        _ = node.cache_folder


def test_only_inve_nodes_are_taken(host: object, nuke: ModuleType) -> None:
    with pytest.raises(RefusedError, match="Group1 is no INVE node"):
        InveNode(host, nuke.nodes.Group())


def test_nodes_in_groups_are_found(node: InveNode, nuke: ModuleType) -> None:
    with nuke.nodes.Group():
        nodes.insert(node.host)
    assert [found.name for found in nodes.all_of(node.host)] == ["INVE1", "Group1.INVE1"]

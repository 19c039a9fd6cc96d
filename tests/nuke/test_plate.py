"""Which files of the plate, the mattes and the vectors the daemon is given, and what is rendered for it."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import OpenImageIO as oiio  # noqa: N813 - the name that its own documentation uses
import pytest
from node_support import FRAMES, inve_on_read, pixel, write_frames, write_picture

from inve_client.plugin.messages import RefusedError
from inve_core.media import read_matte
from inve_core.media.vectors import read_vectors
from inve_nuke import exr_frames, opening, plate, vectors
from inve_nuke import node as nodes
from inve_nuke.fingerprints import Fingerprints
from inve_nuke.node import InveNode
from stage import Stage


@pytest.fixture
def node(stage: Stage, nuke: ModuleType, tmp_path: Path) -> InveNode:
    """An INVE node beneath a Read of frames 1001-1005, in a script that was saved."""
    return inve_on_read(nuke, tmp_path)


def between(nuke: ModuleType, node: InveNode, class_name: str, **knobs: object) -> object:
    """Put a node between the plate and the INVE node."""
    made = getattr(nuke.nodes, class_name)(inputs=[node.host_node.input(0)], **knobs)
    node.host_node.setInput(0, made)
    return made


def test_the_files_of_a_read_are_named_as_they_are(node: InveNode, nuke: ModuleType, stage: Stage) -> None:
    between(nuke, node, "Dot")
    source = plate.plate_of(node.host, node)
    assert not source.why
    assert source.pattern == nuke.toNode("Read1")["file"].value()
    assert stage.rendered == []
    assert nuke.allNodes("Write") == []


@pytest.mark.parametrize(
    ("knob", "value", "why"),
    [
        ("frame_mode", "offset", "shows other frames than its files' numbers say"),
        ("frame", "1", "shows other frames"),
        ("first", 1003, "has the frames 1003-1005 only"),
        ("disable", True, "is disabled"),
        ("colorspace", "AlexaV3LogC", "converts its files from 'AlexaV3LogC'"),
    ],
)
def test_a_read_that_nuke_changes_is_rendered(
    node: InveNode, nuke: ModuleType, knob: str, value: object, why: str
) -> None:
    nuke.toNode("Read1")[knob].setValue(value)
    source = plate.plate_of(node.host, node)
    assert why in source.why
    assert source.rendered == tuple(FRAMES)


def test_a_comp_is_rendered_in_its_own_values_and_windows(
    node: InveNode, nuke: ModuleType, stage: Stage, tmp_path: Path
) -> None:
    between(nuke, node, "Grade")["multiply"].setValue(1.5)
    for frame in FRAMES:
        spec = oiio.ImageSpec(4, 3, 3, oiio.HALF)
        spec.x, spec.y, spec.full_width, spec.full_height = -1, 2, 10, 6
        spec.attribute("PixelAspectRatio", 2.0)
        path = str(tmp_path / "plate" / f"plate.{frame}.exr")
        out = oiio.ImageOutput.create(path)
        assert out.open(path, spec)
        out.write_image(oiio.ImageBuf(oiio.ImageSpec(4, 3, 3, oiio.FLOAT)).get_pixels() + 0.7)
        out.close()
    steps, selected = nuke.Undo.undoSize(), nuke.selectedNodes()
    source = plate.plate_of(node.host, node)
    assert source.why == "Grade1 is a Grade, no Read."
    assert source.pattern == str(tmp_path / "inve" / "comp" / "plate" / "plate.%04d.exr")
    header = oiio.ImageInput.open(source.pattern % 1003).spec()
    assert header.format == oiio.FLOAT
    assert (header.x, header.y, header.width, header.height) == (-1, 2, 4, 3)
    assert (header.full_width, header.full_height) == (10, 6)
    assert header.get_float_attribute("PixelAspectRatio") == 2.0
    assert pixel_of_window(source.pattern % 1003) == pytest.approx(1.05, rel=1e-3)
    assert nuke.Undo.undoSize() == steps
    assert nuke.selectedNodes() == selected
    assert nuke.allNodes("Write") == []


def pixel_of_window(path: str) -> float:
    """The red of the data window's first pixel."""
    return float(oiio.ImageInput.open(path).read_image(oiio.FLOAT)[0, 0, 0])


def test_only_what_changed_is_rendered_again(node: InveNode, nuke: ModuleType, tmp_path: Path) -> None:
    grade = between(nuke, node, "Grade")

    def again() -> list[int]:
        return list(plate.plate_of(node.host, node).rendered)

    assert again() == [*FRAMES]
    assert again() == []
    # What only looks otherwise.
    grade["xpos"].setValue(500)
    grade["label"].setValue("warmer")
    grade.setName("Warm")
    assert again() == []
    grade["multiply"].setValue(2)
    assert again() == [*FRAMES]
    # One file of the plate was rendered anew.
    write_picture(tmp_path / "plate" / "plate.1003.exr", 77)
    os.utime(tmp_path / "plate" / "plate.1003.exr", ns=(1, 1))
    assert again() == [1003]
    assert pixel(plate.plate_of(node.host, node).pattern % 1003)[0] == 154
    # A file of the cache is gone; the range grows.
    os.unlink(plate.plate_of(node.host, node).pattern % 1002)
    assert again() == [1002]
    node.host_node["inve_last"].setValue(1004)
    assert again() == []
    # A node that takes other frames: all depends on all.
    between(nuke, node, "TimeOffset", time_offset=1)
    assert again() == [1001, 1002, 1003, 1004]
    write_picture(tmp_path / "plate" / "plate.1003.exr", 78)
    assert again() == [1001, 1002, 1003, 1004]


@pytest.mark.parametrize("where", ["variable", "project", "relative", "elsewhere"])
def test_files_whose_path_nuke_works_out_are_looked_at(
    node: InveNode, nuke: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Where only Nuke finds them, every frame counts as changed."""
    monkeypatch.setenv("PLATES", str(tmp_path / "plate"))
    project = {"project": "[getenv PLATES]/..", "elsewhere": str(tmp_path / "nowhere")}
    nuke.root()["project_directory"].setValue(project.get(where, ""))
    folder = {"variable": "[getenv PLATES]", "project": "plate"}.get(where, "../plate")
    nuke.toNode("Read1")["file"].setValue(f"{folder}/plate.%04d.exr")

    def prints() -> list[str]:
        seen = Fingerprints(node.host, node.plate, 1001, 1005)
        return [seen.at(frame) for frame in FRAMES]

    before = prints()
    write_picture(tmp_path / "plate" / "plate.1003.exr", 77)
    os.utime(tmp_path / "plate" / "plate.1003.exr", ns=(1, 1))
    changed = [frame for frame, one, other in zip(FRAMES, before, prints(), strict=True) if one != other]
    assert changed == ([1003] if where in ("variable", "project") else [*FRAMES])


def test_paint_may_take_from_other_frames(node: InveNode, nuke: ModuleType, tmp_path: Path) -> None:
    between(nuke, node, "RotoPaint")
    assert plate.plate_of(node.host, node).rendered == tuple(FRAMES)
    assert plate.plate_of(node.host, node).rendered == ()
    write_picture(tmp_path / "plate" / "plate.1003.exr", 77)
    assert plate.plate_of(node.host, node).rendered == tuple(FRAMES)


def test_what_changes_outside_of_a_group_is_seen_within(node: InveNode, nuke: ModuleType) -> None:
    grade = nuke.nodes.Grade(inputs=[nuke.toNode("Read1")])
    with nuke.nodes.Group() as group:
        inside = nuke.nodes.Input(name="plate")
        inner = nodes.insert(node.host)
        inner.host_node.setInput(nodes.PLATE, inside)
    group.setInput(0, grade)
    node.host.set_values(inner.host_node, {"inve_first": 1001, "inve_last": 1002, "inve_reference": 1001})
    assert plate.plate_of(node.host, inner).rendered == (1001, 1002)
    assert plate.plate_of(node.host, inner).rendered == ()
    grade["multiply"].setValue(2)
    source = plate.plate_of(node.host, inner)
    assert source.rendered == (1001, 1002)
    assert pixel(source.pattern % 1002)[0] == 2004


def test_a_cancelled_render_goes_on_where_it_was(node: InveNode, nuke: ModuleType, stage: Stage) -> None:
    between(nuke, node, "Grade")["multiply"].setValue(3)
    stage.cancel_after = 3
    with pytest.raises(RefusedError) as cancelled:
        plate.plate_of(node.host, node)
    assert cancelled.value.problem.code == "cancelled"
    assert nuke.allNodes("Write") == []
    stage.cancel_after = None
    # The third may have been cut off, so it is not trusted.
    assert plate.plate_of(node.host, node).rendered == (1003, 1004, 1005)


def test_what_cannot_be_sent_is_said(node: InveNode, nuke: ModuleType, stage: Stage, tmp_path: Path) -> None:
    nuke.root()["proxy"].setValue(True)
    with pytest.raises(RefusedError, match="proxy mode is on"):
        plate.plate_of(node.host, node)
    nuke.root()["proxy"].setValue(False)
    write_picture(tmp_path / "small.1001.exr", 1, size=(5, 5))
    small = nuke.nodes.Read(file=str(tmp_path / "small.%04d.exr"), first=1001, last=1001)
    node.host_node.setInput(1, small)
    with pytest.raises(RefusedError, match="Read2 must have the plate's format of 10x6, got 5x5"):
        plate.mattes_of(node.host, node)
    node.host_node.setInput(1, None)
    between(nuke, node, "Grade")
    node.host_node["inve_cache"].setValue(str(tmp_path / "plate" / "plate.1001.exr" / "cache"))
    with pytest.raises(RefusedError, match=r"cannot be written in .*tab Files"):
        plate.plate_of(node.host, node)


def test_mattes_come_front_to_back_as_coverage(node: InveNode, nuke: ModuleType, tmp_path: Path) -> None:
    files = write_frames(tmp_path / "matte", "m", FRAMES, 0.5 - 1001, suffix="png")
    front = nuke.nodes.Read(file=files, first=1001, last=1005)
    front["colorspace"].setValue("sRGB")
    roto = nuke.nodes.Roto(inputs=[nuke.nodes.Constant(inputs=[])])
    nuke.toNode("Constant1")["color"].setValue([0.1, 0.2, 0.3, 0.75])
    nuke.toNode("Constant1")["format"].fromScript("10 6 0 0 10 6 1 plate")
    node.host_node.setInput(1, front)
    node.host_node.setInput(4, roto)
    first, second = plate.mattes_of(node.host, node)
    assert not first.why
    assert first.pattern == files
    assert second.rendered == tuple(FRAMES)
    assert "matte2/matte2.%04d.exr" in second.pattern
    assert read_matte(second.pattern % 1001).max() > 0
    assert oiio.ImageInput.open(second.pattern % 1001).spec().channelnames == ("R", "G", "B", "A")


def test_a_shot_is_opened_with_its_mattes_front_to_back_and_the_log_says_what_was_rendered(
    node: InveNode, nuke: ModuleType, tmp_path: Path
) -> None:
    front = nuke.nodes.Read(
        file=write_frames(tmp_path / "front", "f", FRAMES, suffix="png"), first=1001, last=1005
    )
    back = nuke.nodes.Dot(inputs=[nuke.toNode("Read1")])
    made = nuke.nodes.Grade(inputs=[back])
    node.host_node.setInput(nodes.MATTES[0], front)
    node.host_node.setInput(nodes.MATTES[2], back)
    node.host_node.setInput(nodes.MATTES[1], made)
    said: list[str] = []
    wanted = opening.of(node.host, node, said.append)
    rendered = str(tmp_path / "inve" / "comp" / "matte2" / "matte2.%04d.exr")
    assert wanted.mattes == (front["file"].value(), rendered, nuke.toNode("Read1")["file"].value())
    assert (wanted.frames, wanted.frame_range, wanted.flow) == (wanted.mattes[2], (1001, 1005), None)
    assert said == ["INVE1: the matte 2 goes as EXR, 5 of 5 frames rendered now. Grade1 is a Grade, no Read."]
    write_picture(tmp_path / "plate" / "plate.1003.exr", 77)
    opening.of(node.host, node, said.append)
    assert "matte 2 goes as EXR, 1 of 5 frames rendered now" in said[1]


def test_vectors_of_a_group_are_cut_out_in_that_group(
    node: InveNode, nuke: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = nuke.toNode("Read1")["file"].value()
    with nuke.nodes.Group() as group:
        read = nuke.nodes.Read(file=pattern, first=1001, last=1005)
        generator = nuke.nodes.VectorGenerator(inputs=[read])
        inner = nodes.insert(node.host)
        inner.host_node.setInput(nodes.PLATE, generator)
    node.host.set_values(inner.host_node, {"inve_first": 1001, "inve_last": 1002, "inve_reference": 1001})
    made: list[object] = []
    write = exr_frames.write

    def watched(host: object, source: object, wanted: exr_frames.Wanted) -> list[int]:
        made.append((source.Class(), source.parent()))
        return write(host, source, wanted)

    monkeypatch.setattr(exr_frames, "write", watched)
    found = vectors.vectors_of(node.host, inner)
    assert found is not None
    assert found.rendered == (1001, 1002)
    assert made == [("Remove", group)]


def test_vectors_come_from_their_input_or_from_the_plate(
    node: InveNode, nuke: ModuleType, stage: Stage
) -> None:
    assert vectors.vectors_of(node.host, node) is None
    generator = nuke.nodes.VectorGenerator(inputs=[nuke.toNode("Read1")])
    node.host_node.setInput(nodes.VECTORS, generator)
    source = vectors.vectors_of(node.host, node)
    assert source is not None
    names = oiio.ImageInput.open(source.pattern % 1002).spec().channelnames
    assert set(names) == {"forward.u", "forward.v", "backward.u", "backward.v"}
    # As the daemon reads them: y down.
    forward, backward = read_vectors(source.pattern % 1002, ("forward", "backward"))
    assert forward[2, 3].tolist() == [1.5, 0.5]
    assert backward[2, 3].tolist() == [-1.5, -0.5]
    assert nuke.allNodes("Remove") == []
    # In line above the node, they come with the plate, whose own files still are named as they are.
    node.host_node.setInput(nodes.VECTORS, None)
    node.host_node.setInput(0, generator)
    assert vectors.vectors_of(node.host, node) is not None
    # Rendered before, they are read from where they are.
    before = nuke.nodes.Read(file=source.pattern, first=1001, last=1005)
    node.host_node.setInput(nodes.VECTORS, before)
    again = vectors.vectors_of(node.host, node)
    assert again is not None
    assert again == plate.Source(source.pattern)
    node.host_node.setInput(nodes.VECTORS, nuke.toNode("Read1"))
    with pytest.raises(RefusedError, match=r"must give forward\.u, .* Read1 lacks forward\.u"):
        vectors.vectors_of(node.host, node)


def test_a_per_cent_sign_in_a_folder_is_no_frame(node: InveNode, nuke: ModuleType, tmp_path: Path) -> None:
    wanted = exr_frames.Wanted(str(tmp_path / "100%_done"), "plate", 1001, 1002, "rgb")
    assert exr_frames.write(node.host, node.plate, wanted) == [1001, 1002]
    assert exr_frames.write(node.host, node.plate, wanted) == []


def test_runs_are_stretches_without_gaps() -> None:
    assert list(exr_frames.runs([])) == []
    assert list(exr_frames.runs([1001, 1002, 1005, 1007, 1008])) == [(1001, 1002), (1005, 1005), (1007, 1008)]

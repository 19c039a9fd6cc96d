"""Whose files go to the daemon as they are: those that it reads to the values that Nuke shows."""

from __future__ import annotations

import zlib
from pathlib import Path
from types import ModuleType

import pytest
from node_support import FRAMES, inve_on_read, write_picture

from inve_core.media import read_picture
from inve_nuke import exr_frames, plate
from inve_nuke.node import InveNode
from stage import Stage


@pytest.fixture
def node(stage: Stage, nuke: ModuleType, tmp_path: Path) -> InveNode:
    """An INVE node beneath a Read of frames 1001-1005, in a script that was saved."""
    return inve_on_read(nuke, tmp_path)


@pytest.mark.parametrize(
    ("space", "management", "is_direct"),
    [
        ("default (linear)", "Nuke", True),
        ("linear", "Nuke", True),
        ("sRGB", "Nuke", False),
        ("scene_linear", "OCIO", True),
        ("raw", "OCIO", True),
        ("linear", "OCIO", False),
        ("sRGB", "OCIO", False),
    ],
)
def test_an_exr_is_direct_where_nuke_leaves_its_values(
    node: InveNode, nuke: ModuleType, space: str, management: str, is_direct: bool
) -> None:
    nuke.root()["colorManagement"].setValue(management)
    nuke.root()["workingSpaceLUT"].setValue("linear" if management == "Nuke" else "ACES - ACEScg")
    nuke.toNode("Read1")["colorspace"].setValue(space)
    assert (not plate.plate_of(node.host, node).why) is is_direct


def test_a_png_in_srgb_is_what_the_daemon_reads_too(node: InveNode, nuke: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "png").mkdir()
    for frame in FRAMES:
        write_picture(tmp_path / "png" / f"p.{frame}.png", 0.5)
    read = nuke.toNode("Read1")
    read["file"].setValue(str(tmp_path / "png" / "p.####.png"))
    read["colorspace"].setValue("sRGB")
    direct = plate.plate_of(node.host, node)
    assert not direct.why
    node.host_node["inve_always_render"].setValue(True)
    rendered = plate.plate_of(node.host, node)
    assert "always render the plate" in rendered.why
    # The daemon sees the same light, whichever way the plate comes.
    ours = read_picture(rendered.pattern % 1001).pixels[0, 0, :3]
    theirs = read_picture(str(tmp_path / "png" / "p.1001.png")).pixels[0, 0, :3]
    # The daemon keeps eight bits as half floats, which have eleven.
    assert ours == pytest.approx(theirs, rel=2**-11)
    node.host_node["inve_always_render"].setValue(False)
    nuke.root()["colorManagement"].setValue("OCIO")
    assert "would not read .png files" in plate.plate_of(node.host, node).why


@pytest.mark.parametrize(
    ("file", "space", "why"),
    [
        ("p.####.dpx", "Cineon", "would not read .dpx files in 'Cineon' as Nuke does"),
        ("p.####.dpx", "sRGB", "would not read .dpx files"),
        ("p.####.cin", "Cineon", "would not read .cin files"),
        ("p.####.tif", "sRGB", "would not read .tif files"),
        ("p.####.jpg", "rec709", "would not read .jpg files in 'rec709'"),
        ("p.####.png", "raw", "would not read .png files in 'raw'"),
        ("p.mov", "rec709", "is no sequence with one frame number"),
        ("p.mp4", "sRGB", "is no sequence with one frame number"),
        ("p.####.jpg", "sRGB", ""),
    ],
)
def test_only_files_that_the_daemon_reads_as_nuke_does_are_direct(
    node: InveNode, nuke: ModuleType, monkeypatch: pytest.MonkeyPatch, file: str, space: str, why: str
) -> None:
    monkeypatch.setattr(exr_frames, "write", lambda *_: [])
    monkeypatch.setattr(plate, "check_pictures", lambda *_: None)
    read = nuke.toNode("Read1")
    read["file"].setValue(f"/plates/{file}")
    read["colorspace"].setValue(space)
    source = plate.plate_of(node.host, node)
    assert why in source.why
    assert bool(source.why) is bool(why)


def name_curve(png: Path, *chunks: tuple[bytes, bytes]) -> None:
    """Put chunks in the place of what a PNG's header says of its colour."""
    data = png.read_bytes()
    made, at = data[:8], 8
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] not in (b"sRGB", b"gAMA", b"cHRM", b"iCCP"):
            made += data[at:end]
        if data[at + 4 : at + 8] == b"IHDR":
            for kind, content in chunks:
                check = zlib.crc32(kind + content).to_bytes(4, "big")
                made += len(content).to_bytes(4, "big") + kind + content + check
        at = end
    png.write_bytes(made)


def test_a_png_that_the_daemon_reads_otherwise_is_rendered(
    node: InveNode, nuke: ModuleType, tmp_path: Path
) -> None:
    def as_srgb(first: Path) -> bool:
        return read_picture(str(first)).pixels[0, 0, 0] == pytest.approx(0.2158, abs=1e-3)

    (tmp_path / "png").mkdir()
    for frame in FRAMES:
        write_picture(tmp_path / "png" / f"p.{frame}.png", 0.5)
    first, read = tmp_path / "png" / "p.1001.png", nuke.toNode("Read1")
    read["file"].setValue(str(tmp_path / "png" / "p.####.png"))
    read["colorspace"].setValue("sRGB")
    for gamma in (45455, 100000, 55556):
        name_curve(first, (b"gAMA", gamma.to_bytes(4, "big")))
        assert not as_srgb(first)
        assert "name a gamma" in plate.plate_of(node.host, node).why
    # Where a file says sRGB too, that is what the daemon goes by.
    for chunks in ([], [(b"sRGB", b"\0"), (b"gAMA", (45455).to_bytes(4, "big"))]):
        name_curve(first, *chunks)
        assert as_srgb(first)
        assert not plate.plate_of(node.host, node).why
    read["premultiplied"].setValue(True)
    assert "the alpha of Read1" in plate.plate_of(node.host, node).why
    read["premultiplied"].setValue(False)
    # An alpha: the daemon multiplies by it, Nuke does not.
    for frame in FRAMES:
        write_picture(tmp_path / "png" / f"p.{frame}.png", 0.5, names="RGBA")
    assert not as_srgb(first)
    assert "the alpha of Read1" in plate.plate_of(node.host, node).why

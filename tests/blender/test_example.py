"""The documented example, with a fake worker and with a model that is really learned."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import OpenImageIO
import pytest
from blender_support import ROOT, VERSIONS, Blender, daemon_command, daemon_environment
from daemon_support import Clip, Daemon

from inve_core.synthetic import make_clip

EXAMPLE = ROOT / "plugins" / "blender" / "examples" / "paint_and_render.py"
COLOR = [1.5, 0.25, 0.0, 1.0]


def edits(folder: Path, x: float, y: float, width: float = 4.0, frame: int = 1001) -> Path:
    line = {"type": "stroke", "frame": frame, "points": [[x, y], [x + 4, y]], "width": width, "color": COLOR}
    path = folder / "edits.json"
    path.write_text(
        json.dumps({"version": 1, "layers": [{"name": "paint", "kind": "sketch", "edits": [line]}]}), "utf-8"
    )
    return path


def plates_of(clip: Clip, folder: Path) -> Path:
    """The plate's pictures in a folder of their own, as the example wants them."""
    folder.mkdir()
    for path in sorted(clip.folder.glob("plate.*")):
        shutil.copy(path, folder)
    return folder


@pytest.mark.long
def test_the_example_on_a_clip_that_is_really_learned(blender: Blender, short: Path, tmp_path: Path) -> None:
    """The whole way with the real worker, in one Blender only."""
    if blender.version != VERSIONS[-1]:
        pytest.skip(f"Blender {VERSIONS[-1]} does it")
    make_clip(frames=5, width=128, height=72, seed=3).write(tmp_path / "clip")
    plates = tmp_path / "clip" / "frames"
    first = int(min(plates.iterdir()).stem.rpartition(".")[2])
    endpoint = f"ipc://{short}/real.sock"
    command = daemon_command(endpoint, tmp_path / "store", tmp_path, fake=False)
    process = subprocess.Popen(command, env=daemon_environment())
    try:
        told = blender.run(
            "example.py",
            400,
            example=EXAMPLE,
            endpoint=endpoint,
            plates=plates,
            edits=edits(tmp_path, 20, 20, 8.0, first),
            problems=[],
        )
    finally:
        process.terminate()
        process.wait(60)
    assert len(told["files"]) == 5
    for rendered, file in zip(told["frames"], told["files"], strict=True):
        shown, edited = read(rendered), read(file)
        np.testing.assert_allclose(shown, edited, atol=2e-3)
        reddish = (edited[..., 0] > 1.2) & (edited[..., 2] < 0.1)
        assert 20 < reddish.sum() < 400, "the stroke is on each frame"
    # Where it was drawn, it is.
    np.testing.assert_allclose(read(told["frames"][0])[20, 22], COLOR, atol=0.05)


def read(path: str) -> np.ndarray:
    return OpenImageIO.ImageInput.open(path).read_image("float")[..., :4]


def test_the_example(blender: Blender, painting: Daemon, clip: Clip, tmp_path: Path) -> None:
    plates = plates_of(clip, tmp_path / "plates")
    other = plates_of(clip, blender.resources / "other")
    outside = [str(other), "none.json", "none.blend", "", painting.endpoint]
    told = blender.run(
        "example.py",
        240,
        example=EXAMPLE,
        endpoint=painting.endpoint,
        plates=plates,
        edits=edits(tmp_path, 8, 10),
        problems=[outside],
    )
    assert "--root" in told["said"]
    assert len(told["frames"]) == len(told["files"]) == 4
    for index, (rendered, file) in enumerate(zip(told["frames"], told["files"], strict=True)):
        np.testing.assert_allclose(read(rendered), read(file), atol=1e-3)
        np.testing.assert_allclose(read(rendered)[10, 8 + index], COLOR, atol=1e-3)

"""The whole bridge, nothing made up: a daemon process, a socket, a synthetic clip that is really learned."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from daemon_support import environment, sketch, stroke, texture, write_picture

from inve_client import Client
from inve_client.errors import TimedOut, Unreachable
from inve_core.media.exr import read_parts
from inve_core.media.pictures import read_picture
from inve_core.synthetic import make_clip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def endpoint(sockets: Path) -> str:
    return f"ipc://{sockets}/d.sock"


def start(endpoint: str, store: Path, root: Path) -> tuple[subprocess.Popen[bytes], Client]:
    command = [sys.executable, "-m", "inve_daemon", "serve", "--bind", endpoint, "--store", str(store)]
    process = subprocess.Popen([*command, "--root", str(root), "--device", "cpu"], env=environment())
    client = Client(endpoint)
    deadline = time.monotonic() + 30
    while True:
        try:
            client.hello(timeout_s=1.0)
            return process, client
        except (Unreachable, TimedOut):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_learn_edit_kill_restart_track_render(endpoint: str, tmp_path: Path) -> None:
    make_clip(frames=4, width=128, height=80, seed=1).write(tmp_path / "clip")
    store = tmp_path / "store"
    process, client = start(endpoint, store, tmp_path)
    client.open_shot("shot", str(tmp_path / "clip/frames"), [str(tmp_path / "clip/mattes")])
    result = client.wait_job(client.train("shot", preset="preview", working_size=96), timeout_s=400)
    assert result["frames"] == 4
    assert result["psnr_db"] > 20
    red = stroke(1002, 20.0, points=[[20.0, 15.0], [40.0, 15.0]], width=6.0)
    revision = client.put_edits("shot", sketch(red))["revision"]
    process.send_signal(signal.SIGKILL)
    process.wait()

    process, client = start(endpoint, store, tmp_path)
    try:
        assert client.describe_shot("shot")["revision"] == revision
        (track,) = client.track("shot", [{"id": "p", "frame": 1002, "x": 30.0, "y": 15.0}])["tracks"]
        assert (track["x"][1], track["y"][1]) == (30.0, 15.0)
        job = client.render_to("shot", str(tmp_path / "out/f.%04d.exr"), layers=True)
        assert client.wait_job(job, timeout_s=200)["frames"] == 4
        plate = read_picture(sorted((tmp_path / "clip/frames").glob("*.png"))[1])
        parts = read_parts(tmp_path / "out/f.1002.exr")
        edited = parts["rgba"][1]
        changed = (edited != plate.pixels).any(-1)
        assert changed[15, 25:35].all()
        assert not changed[40:].any()
        assert {"edit.paint", "matte.foreground", "uv.background"} <= parts.keys()
        (inline,) = client.render("shot", [1002], layers=True)
        again = tmp_path / "again.exr"
        again.write_bytes(inline.exr)
        np.testing.assert_array_equal(read_parts(again)["rgba"][1], edited)
        assert inline.touched == changed.sum()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.long
def test_edits_that_went_out_and_came_in_render_the_same(tmp_path: Path) -> None:
    def run(store: str, *words: str) -> None:
        command = [sys.executable, "-m", "inve_daemon", *words, "--store", str(tmp_path / store)]
        done = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    make_clip(frames=3, width=96, height=64, seed=2).write(tmp_path / "clip")
    clip = ["clip/frames", "--mattes", "clip/mattes", "--preset", "preview", "--working-size", "96"]
    run("here", "train", *clip, "--name", "shot")
    # Another machine that has learned the same shot.
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    write_picture(tmp_path / "logo.png", 16, 12, value=200)
    frame = read_frames(tmp_path / "clip")[1]
    stack = sketch(stroke(frame, points=[[20.0, 15.0], [70.0, 40.0]], width=5.0, hardness=0.5))
    sign = texture("logo.png", frame=frame, x=40.0, y=30.0, width=20.0, height=15.0, rotation=20.0)
    stack["layers"].append({"name": "sign", "kind": "texture", "opacity": 0.75, "edits": [sign]})
    (tmp_path / "edits.json").write_text(json.dumps(stack))
    run("here", "edit", "shot", "edits.json")
    run("here", "edit", "shot", "--out", "out.json")
    (tmp_path / "logo.png").unlink()
    run("there", "edit", "shot", "out.json")
    for store in ("here", "there"):
        run(store, "render", "shot", "--out", f"{store}-frames/f.%04d.exr", "--layers", "--device", "cpu")
    names = sorted(path.name for path in (tmp_path / "here-frames").iterdir())
    assert len(names) == 3
    for name in names:
        mine, theirs = (read_parts(tmp_path / f"{store}-frames" / name) for store in ("here", "there"))
        assert mine.keys() == theirs.keys() > {"edit.paint", "edit.sign"}
        for part in mine:
            np.testing.assert_array_equal(mine[part][1], theirs[part][1])
        assert (mine["edit.paint"][1] != 0).any()
        assert (mine["edit.sign"][1] != 0).any()


def read_frames(clip: Path) -> list[int]:
    """The frame numbers of a clip on disk."""
    return [int(path.stem.rpartition(".")[2]) for path in sorted((clip / "frames").iterdir())]

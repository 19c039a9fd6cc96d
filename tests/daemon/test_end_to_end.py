"""The whole bridge, nothing made up: a daemon process, a socket, a synthetic clip that is really learned."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from daemon_support import environment, sketch, stroke

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

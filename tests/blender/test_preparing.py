"""A strip prepared in a real Blender against a real daemon, whose worker learns in no time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from blender_support import VERSIONS, Blender, daemon_command, daemon_environment
from daemon_support import Clip, Daemon

from inve_client import Client
from inve_core.synthetic import make_clip


def test_a_strip_is_prepared_cancelled_and_refused(blender: Blender, daemon: Daemon, clip: Clip) -> None:
    daemon.start().close()
    told = blender.run("prepare.py", endpoint=daemon.endpoint, clip=clip.folder)

    with Client(daemon.endpoint) as client:
        shots = {shot["shot"]: shot for shot in client.list_shots()}
    assert set(shots) == set(told["names"])
    first = shots[told["name"]]
    assert first["frames_pattern"] == clip.frames
    assert (first["first_frame"], first["last_frame"]) == (1001, 1004)
    assert first["video_layers"] == ["foreground", "background"]
    assert told["name"].startswith("plate-")
    assert told["ready"].startswith("Ready, 30.0 dB")
    assert "Opening the shot" in told["seen"]
    assert told["after_early_cancel"] in ([], ["cancelled"])
    assert "not" in told["cancel_twice"]
    assert all(told["unchanged"].values()), told["unchanged"]

    code, message = told["outside"]
    assert code == "path_refused"
    assert "/etc" in message
    assert "--root" in message
    expected = {
        "matte gone": "must be one of this scene's, got 'matte'; choose it again.",
        "colour": "must be a movie or an image sequence, got a colour",
        "gap": "must be 'plate.1002.png', got 'plate.1003.png'",
        "still": "got a single one",
        "unsaved": "has not been saved",
    }
    for case, text in expected.items():
        assert text in told["refusals"][case], told["refusals"][case]
    assert "press Connect" in told["not_connected"]
    assert told["offline"] == "Offline."
    assert max(one[3] for one in told["operator_ms"]) < 16, told["operator_ms"][:5]


@pytest.mark.timeout(600)
@pytest.mark.skipif("INVE_BLENDER" not in os.environ, reason="takes a minute; make test-blender runs it")
def test_a_clip_is_really_learned(blender: Blender, short: Path, tmp_path: Path) -> None:
    """With the worker that learns: stages, the time left, paintable before the end. In one Blender only."""
    if blender.version != VERSIONS[-1]:
        pytest.skip(f"Blender {VERSIONS[-1]} does it")
    make_clip(frames=5, width=128, height=72, seed=3).write(tmp_path / "clip")
    endpoint = f"ipc://{short}/real.sock"
    command = daemon_command(endpoint, tmp_path / "store", tmp_path, fake=False)
    process = subprocess.Popen(command, env=daemon_environment())
    try:
        told = blender.run("learn.py", 560, endpoint=endpoint, clip=tmp_path / "clip")
    finally:
        process.terminate()
        process.wait(60)
    assert any(text.startswith("Learning") and text.endswith("left") for text in told["seen"]), told["seen"]
    assert told["stages"] >= 2, told["seen"]
    assert told["trained_before_final"]
    assert told["standing"].startswith("Ready"), told["standing"]
    assert max(one[3] for one in told["operator_ms"]) < 16, told["operator_ms"][:5]

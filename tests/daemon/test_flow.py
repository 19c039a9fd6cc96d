"""Flow of one's own: named by clients and on the command line, kept with the shot, needed to learn only."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemon_support import FRAMES, HEIGHT, WIDTH, Clip, environment

from inve_client import Client, errors
from inve_client.plugin import messages
from inve_core.synthetic import make_clip
from inve_core.synthetic_flow import write_flow, write_vectors


@pytest.fixture
def flow(clip: Clip) -> str:
    (clip.folder / "flow").mkdir()
    for frame in FRAMES:
        write_vectors(clip.folder / "flow" / f"mv.{frame}.exr", np.zeros((HEIGHT, WIDTH, 4)))
    return str(clip.folder / "flow" / "mv.%04d.exr")


def test_a_shot_has_its_flow_and_another_flow_is_another_shot(client: Client, clip: Clip, flow: str) -> None:
    opened = client.open_shot("shot", clip.frames, [clip.mattes], flow=flow)
    assert opened["flow_pattern"] == flow
    assert client.open_shot("shot", clip.frames, [clip.mattes], flow=flow)["revision"] == opened["revision"]
    assert client.list_shots()[0]["flow_pattern"] == flow
    with pytest.raises(errors.ShotExists, match="other flow_pattern"):
        client.open_shot("shot", clip.frames, [clip.mattes])
    assert client.open_shot("plain", clip.frames)["flow_pattern"] is None
    with pytest.raises(errors.ShotExists, match="other flow_pattern"):
        client.open_shot("plain", clip.frames, flow=flow)


def test_a_plugin_asks_for_it_only_where_there_is_one(client: Client, clip: Clip, flow: str) -> None:
    assert "flow" not in messages.OpenShot("shot", clip.frames).fields()
    asked = messages.OpenShot("shot", clip.frames, flow=flow).fields()
    assert messages.Shot.from_wire(client.ask("open_shot", **asked)).flow_pattern == flow


def test_it_is_looked_at_when_the_shot_is_opened(
    client: Client, clip: Clip, flow: str, tmp_path: Path
) -> None:
    with pytest.raises(errors.PathRefused, match="the flow '/etc' is outside the folders"):
        client.open_shot("shot", clip.frames, flow="/etc/mv.%04d.exr")
    with pytest.raises(errors.BadField, match="`flow` must be a path without NUL"):
        client.open_shot("shot", clip.frames, flow="/a\0b")
    Path(flow % 1004).unlink()
    with pytest.raises(
        errors.MediaError, match=r"must cover frames 1001-1004, got 1001-1003; add frame 1004"
    ):
        client.open_shot("shot", clip.frames, flow=flow)
    outside = tmp_path.parent / f"{tmp_path.name}-outside.exr"
    write_vectors(outside, np.zeros((HEIGHT, WIDTH, 4)))
    Path(flow % 1004).symlink_to(outside)
    with pytest.raises(errors.PathRefused, match=r"the picture .*1004\.exr' is outside the folders"):
        client.open_shot("shot", clip.frames, flow=flow)
    assert client.list_shots() == []


def test_it_is_needed_to_learn_and_not_to_render(
    client: Client, clip: Clip, flow: str, tmp_path: Path
) -> None:
    client.open_shot("shot", clip.frames, [clip.mattes], flow=flow)
    client.wait_job(client.train("shot", seed=3), timeout_s=60)
    with pytest.raises(errors.PathRefused, match="would replace a picture of the shot"):
        client.wait_job(client.render_to("shot", flow), timeout_s=60)
    # Those that are left are not written over either.
    Path(flow % 1002).unlink()
    with pytest.raises(errors.PathRefused, match="would replace a picture of the shot"):
        client.wait_job(client.render_to("shot", flow), timeout_s=60)
    shutil.rmtree(Path(flow).parent)
    client.close_shot("shot")
    assert len(client.render("shot", [1002])) == 1
    job = client.render_to("shot", str(tmp_path / "out" / "f.%04d.exr"))
    assert client.wait_job(job, timeout_s=60)["frames"] == 4
    with pytest.raises(errors.MediaError, match=r"flow' of .* does not exist"):
        client.wait_job(client.train("shot", seed=4), timeout_s=60)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_command_line_learns_from_it(tmp_path: Path) -> None:
    truth = make_clip(frames=3, width=96, height=64, seed=2)
    truth.write(tmp_path)
    write_flow(truth, tmp_path)

    def train(*words: str, code: int = 0) -> dict[str, Any]:
        command = [sys.executable, "-m", "inve_daemon", "train", "frames", "--mattes", "mattes", *words]
        command += ["--preset", "preview", "--working-size", "96", "--store", "store", "--json"]
        done = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    given = train("--flow", "flow/%04d.exr", "--name", "given")
    # What is exact leaves nothing to disagree about; computed flow leaves some 0.05 px.
    assert given["flow_error_px"] < 0.02
    (tmp_path / "flow" / "1002.exr").write_bytes((tmp_path / "flow" / "1002.exr").read_bytes()[:900])
    refused = train("--flow", "flow/%04d.exr", "--name", "damaged", code=2)
    assert refused["error"]["code"] == "bad_media"
    assert "1002.exr" in refused["error"]["message"]

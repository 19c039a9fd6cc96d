"""The demo as a whole: a real daemon with its real worker, the synthetic clip, and the promised figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from inve_client.errors import CallError
from inve_core.errors import MediaError
from inve_core.media import read_parts
from inve_core.media.movies import MovieReader
from inve_daemon.demo import run_demo

# How long it takes depends on what else the machine does; the demo itself judges that.
TIMES = {"learning_s", "total_s", "prepare_s", "render_s"}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_demo_reaches_its_figures(tmp_path: Path) -> None:
    lines: list[str] = []
    report = run_demo(
        frames=None, mattes=None, out=tmp_path, preset="preview", device="cpu", echo=lines.append
    )
    figures = {figure["name"]: figure for figure in report["figures"]}
    missed = {name: one["value"] for name, one in figures.items() if one["passed"] is False}
    assert set(missed) <= TIMES, missed
    asked = {name for name, one in figures.items() if one["target"] is not None}
    assert asked >= {
        "point_error_median_px",
        "visibility_right",
        "matte_iou_mean",
        "stroke_drawn_max_px",
        "stroke_outside_matte_max",
        "changed_pixels",
    }
    assert 0.5 < figures["untouched_share"]["value"] < 0.95
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(json.dumps(report))
    assert any(str(tmp_path / "contact_sheet.png") in line for line in lines)
    for name in ("contact_sheet.png", "convergence.png", "edits.json", "tracks.json", "logo.png"):
        assert (tmp_path / name).stat().st_size > 1000
    assert MovieReader(tmp_path / "demo.mp4").frames == 24
    assert len(list((tmp_path / "edited").glob("*.exr"))) == 24
    parts = read_parts(tmp_path / "edited" / "frame.1001.exr")
    assert {"rgba", "matte.foreground", "uv.foreground", "uv.background"} <= set(parts)


def test_a_clip_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="nowhere"):
        run_demo(
            frames=str(tmp_path / "nowhere" / "%04d.png"),
            mattes=None,
            out=tmp_path / "out",
            preset="preview",
            device="cpu",
            echo=print,
        )
    assert not (tmp_path / "out").exists()


def test_a_store_that_is_in_use_is_named(tmp_path: Path) -> None:
    """The demo's daemon says itself why it cannot start."""
    socket = tmp_path / "d.sock"
    tmp_path.chmod(0o700)
    command = [sys.executable, "-m", "inve_daemon", "serve", "--bind", f"ipc://{socket}", "--device", "cpu"]
    holder = subprocess.Popen(
        [*command, "--store", str(tmp_path / "store")], stderr=subprocess.PIPE, text=True
    )
    try:
        assert holder.stderr is not None
        while "listening" not in holder.stderr.readline():
            assert holder.poll() is None
        with pytest.raises(CallError, match="did not start"):
            run_demo(frames=None, mattes=None, out=tmp_path, preset="preview", device="cpu", echo=print)
    finally:
        holder.terminate()
        holder.communicate()

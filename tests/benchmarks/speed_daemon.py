"""Speed of the daemon over its real socket: from a stroke to its picture, from a clip to its files."""

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from speed_clips import Pattern

from inve_client import Client
from inve_client.errors import Cancelled, TimedOut, Unreachable

START_S = 120.0
TRAIN_S = 300.0


@contextlib.contextmanager
def running_daemon(folder: Path, roots: list[Path], device: str) -> Iterator[Client]:
    """`inve-daemon serve` as a process, its worker ready."""
    repository = Path(__file__).resolve().parents[2]
    endpoint = f"ipc://{folder}/d.sock"
    command = [sys.executable, "-m", "inve_daemon", "serve", "--bind", endpoint, "--store", str(folder / "s")]
    for root in roots:
        command += ["--root", str(root)]
    paths = os.pathsep.join([str(repository), str(repository / "daemon"), os.environ.get("PYTHONPATH", "")])
    with open(folder / "daemon.log", "wb") as log:
        process = subprocess.Popen(
            [*command, "--device", device],
            env={**os.environ, "PYTHONPATH": paths},
            stderr=log,
            stdout=log,
        )
    try:
        with Client(endpoint) as client:
            _until_ready(client, process, folder / "daemon.log")
            yield client
    finally:
        process.terminate()
        process.wait(60)


def _until_ready(client: Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(Unreachable, TimedOut):
            if client.status(timeout_s=1.0)["worker"]["state"] == "ready":
                return
        time.sleep(0.05)
    raise RuntimeError(f"the daemon did not start: {log.read_text()[-2000:]}")


def make_editable(client: Client, shot: str, clip: Pattern, working_size: int | None) -> float:
    """Learn a shot until it can be edited, and no longer; returns the seconds that took."""
    started = time.perf_counter()
    client.open_shot(shot, clip.frames, clip.mattes)
    job = client.train(shot, preset="preview", working_size=working_size)
    while not client.describe_shot(shot)["trained"]:
        if client.describe_job(job)["state"] == "failed" or time.perf_counter() - started > TRAIN_S:
            raise RuntimeError(f"the shot was not learned: {client.describe_job(job)}")
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    client.cancel(job)
    with contextlib.suppress(Cancelled):
        client.wait_job(job, timeout_s=TRAIN_S)
    return seconds


@contextlib.contextmanager
def learning(client: Client, shot: str, preset: str, working_size: int | None) -> Iterator[None]:
    """A shot is being learned, past its preparation; cancelled at the end."""
    job = client.train(shot, preset=preset, working_size=working_size, seed=1)
    deadline = time.perf_counter() + TRAIN_S
    while client.describe_job(job)["progress"]["stage"] != "learning" and time.perf_counter() < deadline:
        time.sleep(0.02)
    try:
        yield
    finally:
        client.cancel(job)
        with contextlib.suppress(Cancelled):
            client.wait_job(job, timeout_s=TRAIN_S)


def stroke_to_picture(
    client: Client, shot: str, strokes: int, **how: Any
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Strokes sent one by one, each followed by the current frame, as a plugin does while someone paints.

    Args:
        client: connected.
        shot: an editable one.
        strokes: how many.
        how: keywords of `Client.render`.

    Returns:
        p50 and p99 in ms, of all and of its two parts, and each stroke's own seconds.
    """
    about = client.describe_shot(shot)
    frame = about["frames"][len(about["frames"]) // 2]
    width, height = about["width"], about["height"]
    empty = {"version": 1, "layers": [{"name": "paint", "kind": "sketch"}]}
    revision = client.put_edits(shot, empty)["revision"]
    client.render(shot, [frame], **how)
    samples = []
    random = np.random.default_rng(0)
    for _ in range(strokes):
        points = (random.uniform(0.1, 0.9, (1, 2)) + random.uniform(-0.05, 0.05, (8, 2))) * (width, height)
        edit = {
            "type": "stroke",
            "frame": frame,
            "points": points.tolist(),
            "width": height / 60,
            "color": [1.0, 0.0, 0.0, 1.0],
        }
        started = time.perf_counter()
        answer = client.patch_edits(shot, revision, edits=[{"layer": "paint", "edit": edit}])
        revision = answer["revision"]
        put = time.perf_counter()
        (rendered,) = client.render(shot, [frame], **how)
        # In hand means that it can be read: every page of it is touched.
        pages = np.frombuffer(rendered.exr, np.uint8)[::4096].sum()
        ended = time.perf_counter()
        assert pages
        assert rendered.touched
        samples.append({"total": ended - started, "edit": put - started, "render": ended - put})
    return percentiles(samples), samples


def percentiles(samples: list[dict[str, float]]) -> dict[str, float]:
    """p50 and p99 in ms of each part of the samples' seconds."""
    return {
        f"{part}_p{share}_ms": float(np.percentile([one[part] for one in samples], share)) * 1e3
        for part in ("total", "edit", "render")
        for share in (50, 99)
    }


def clip_to_files(client: Client, shot: str, folder: Path, repeats: int = 2) -> dict[str, Any]:
    """A shot with a stroke as half-float ZIP EXR on disk: seconds of the first time and of later ones."""
    about = client.describe_shot(shot)
    frames, width, height = about["frames"], about["width"], about["height"]
    stroke = {
        "type": "stroke",
        "frame": frames[len(frames) // 2],
        "points": [[width * share, height / 2] for share in (0.2, 0.5, 0.8)],
        "width": height / 60,
        "color": [1.0, 0.0, 0.0, 1.0],
    }
    client.put_edits(shot, {"version": 1, "layers": [{"name": "paint", "kind": "sketch", "edits": [stroke]}]})
    seconds = []
    for number in range(repeats):
        started = time.perf_counter()
        job = client.render_to(shot, str(folder / f"{number}" / "f.%05d.exr"), bits=16)
        client.wait_job(job, timeout_s=TRAIN_S)
        seconds.append(time.perf_counter() - started)
        assert len(list((folder / f"{number}").glob("*.exr"))) == len(frames)
    written = sum(path.stat().st_size for path in (folder / "0").glob("*.exr"))
    return {
        "frames": len(frames),
        "first_s": seconds[0],
        "again_s": statistics.median(seconds[1:]),
        "written_mib": written / 2**20,
    }

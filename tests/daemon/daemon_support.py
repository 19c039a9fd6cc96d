"""What the daemon's tests share: a small clip, edits, and a daemon as a process that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inve_client import Client
from inve_client.errors import TimedOut, Unreachable

HERE = Path(__file__).resolve().parent
FAKE_CLI = (sys.executable, str(HERE / "serve_fake.py"))
WIDTH, HEIGHT, FRAMES = 32, 24, (1001, 1002, 1003, 1004)


@dataclass(frozen=True)
class Clip:
    folder: Path

    @property
    def frames(self) -> str:
        return str(self.folder / "plate.%04d.png")

    @property
    def mattes(self) -> str:
        return str(self.folder / "matte.%04d.png")


def write_picture(path: Path, width: int = WIDTH, height: int = HEIGHT, value: int = 90) -> None:
    assert cv2.imwrite(str(path), np.full((height, width, 3), value, np.uint8))


def write_clip(folder: Path) -> Clip:
    folder.mkdir()
    for frame in FRAMES:
        write_picture(folder / f"plate.{frame}.png")
        write_picture(folder / f"matte.{frame}.png", value=255)
    return Clip(folder)


class Daemon:
    """`inve-daemon serve` with the fake worker, or with the one of another command line, as a process."""

    def __init__(self, sockets: Path, store: Path, root: Path, cli: tuple[str, ...] = FAKE_CLI) -> None:
        self.endpoint = f"ipc://{sockets}/d.sock"
        self.store, self.root, self.cli = store, root, cli
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> Client:
        command = [*self.cli, "serve", "--bind", self.endpoint, "--store", str(self.store)]
        self.process = subprocess.Popen(
            [*command, "--root", str(self.root), "--device", "cpu", *more], env=environment()
        )
        client = Client(self.endpoint)
        deadline = time.monotonic() + 30
        while True:
            try:
                client.hello(timeout_s=1.0)
                return client
            except (Unreachable, TimedOut):
                assert self.process.poll() is None, "the daemon did not start"
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def end(self, number: int = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)


def environment(**more: str) -> dict[str, str]:
    """This process's, with its import path for the other Python."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **more}


def stroke(frame: int = 1001, x: float = 10.0, **fields: Any) -> dict[str, Any]:
    return {
        "type": "stroke",
        "frame": frame,
        "points": [[x, 10.0], [x + 5, 12.0]],
        "width": 3.0,
        "color": [1.0, 0.0, 0.0, 1.0],
        **fields,
    }


def sketch(*edits: dict[str, Any], name: str = "paint") -> dict[str, Any]:
    return {"version": 1, "layers": [{"name": name, "kind": "sketch", "edits": list(edits)}]}


def texture(image: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "texture",
        "image": image,
        "frame": 1001,
        "x": 10,
        "y": 10,
        "width": 8,
        "height": 6,
        **fields,
    }


def open_and_train(client: Client, clip: Clip, shot: str = "shot", seed: int = 5) -> dict[str, Any]:
    client.open_shot(shot, clip.frames, [clip.mattes])
    return client.wait_job(client.train(shot, seed=seed), timeout_s=60)


def until(condition: Any, timeout_s: float = 20.0) -> Any:
    """Ask until the answer is something; fails when it takes too long."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return answer

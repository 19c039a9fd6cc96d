"""A worker whose learning side is made of sleeps and small files: real pictures, edits and paths, no torch.

Run as a script it is a worker process; tests import its names to know what it does.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inve_core.errors import CheckpointError, DeviceError, MediaError
from inve_core.media.pictures import Picture
from inve_daemon.worker.core import InveCore
from inve_daemon.worker.process import run_worker
from inve_daemon.worker.tasks import TrainingPace

ITERATION_S = 0.01
# The first iteration that has losses to show.
SHOWN_FROM = 1
# What a training does is told by its seed: this many iterations, or one of these.
DIES, RUNS_OUT_OF_MEMORY, IS_BROKEN, FINDS_A_DAMAGED_PICTURE = 901, 902, 903, 904
LONG = 100_000


@dataclass(frozen=True)
class FakeProgress:
    stage: str
    iteration: int
    iterations: int
    losses: dict[str, float]
    iterations_per_s: float
    seconds_left: float


class FakeTrainer:
    def __init__(self, seed: int, preset: str, resume: Path | None) -> None:
        self.seed, self.preset = seed, preset
        self.iteration = 0
        self.began_at = 0
        if resume is not None:
            document = json.loads((resume / "checkpoint.json").read_text())
            if document["seed"] != seed:
                raise CheckpointError("of another seed.")
            self.iteration = self.began_at = document["iteration"]

    @property
    def report(self) -> dict[str, Any]:
        return {
            "iterations": self.iteration,
            "began_at": self.began_at,
            "train_s": 0.5,
            "psnr_db": 30.0,
            "flow_error_px": float("nan"),
            "matte_iou": None,
            "device": "a fake",
            "backend": "fake",
            "preset": self.preset,
            "warnings": [],
        }

    def run(self) -> Iterator[FakeProgress]:
        if self.seed == DIES:
            os._exit(9)
        if self.seed == RUNS_OUT_OF_MEMORY:
            raise MemoryError
        if self.seed == IS_BROKEN:
            raise RuntimeError("a mistake in the fake")
        if self.seed == FINDS_A_DAMAGED_PICTURE:
            raise MediaError("'plate.1003.png' is truncated; write the file again.")
        while self.iteration < self.seed:
            time.sleep(ITERATION_S)
            self.iteration += 1
            left = (self.seed - self.iteration) * ITERATION_S
            losses = {"loss": 1.0} if self.iteration >= SHOWN_FROM else {}
            yield FakeProgress("learning", self.iteration, self.seed, losses, 100.0, left)

    def snapshot(self, moments: bool = True) -> "FakeSnapshot":
        return FakeSnapshot(self.seed, self.iteration, self.report, moments)

    def release(self) -> None:
        self.released = True


@dataclass(frozen=True)
class FakeSnapshot:
    seed: int
    iteration: int
    report: dict[str, Any]
    moments: bool

    def write(self, folder: Path) -> None:
        document = {"seed": self.seed, "iteration": self.iteration}
        (folder / "checkpoint.json").write_text(json.dumps(document))
        (folder / "weights.safetensors").write_bytes(b"w" * 1000)
        if self.moments:
            (folder / "trainer.safetensors").write_bytes(b"t" * 2000)


@dataclass(frozen=True)
class FakeRendered:
    picture: Picture
    touched: int
    parts: tuple[Any, ...] = ()


class FakeRenderer:
    def __init__(self, iteration: int, source: Any, texture_path: Any) -> None:
        self.iteration = iteration
        self.source, self.texture_path = source, texture_path

    def render(self, stack: Any, frame: int, **options: Any) -> FakeRendered:
        time.sleep(0.02)
        edits = [edit for layer in stack.layers for edit in layer.edits]
        for edit in edits:
            if hasattr(edit, "image"):
                assert self.texture_path(edit.image).is_file()
        return FakeRendered(self.source.read(frame), touched=len(edits))

    def atlas(self, video_layer: str, stack: Any, long_edge: int, frame: int | None = None) -> Picture:
        picture = self.source.read(self.source.frames[0])
        # That a frame is asked for is seen in the picture.
        return replace(picture, pixels=picture.pixels.astype("float32") / (1 if frame is None else frame))


class FakeCore(InveCore):
    """Real sources, edits and files; learning, rendering and tracking are made up."""

    def device(self, name: str) -> tuple[str, str]:
        if name.startswith("cuda"):
            raise DeviceError(f"The device {name!r} is not there; use --device cpu.")
        return "cpu", "a fake"

    def import_all(self) -> None:
        """There is no torch here."""

    def backend(self, device: str) -> tuple[str, list[str]]:
        return "fake", ["the real one is not here"]

    def trainer(self, source: Any, **options: Any) -> FakeTrainer:
        for done in range(3):
            options["on_progress"]("reading", done, 3)
        return FakeTrainer(options["seed"], options["preset"], options["resume"])

    def renderer(self, folder: Path, source: Any, device: str, texture_path: Any) -> FakeRenderer:
        iteration = json.loads((folder / "checkpoint.json").read_text())["iteration"]
        return FakeRenderer(iteration, source, texture_path)

    def renderer_of(self, trainer: Any, source: Any, texture_path: Any) -> FakeRenderer:
        return FakeRenderer(trainer.iteration, source, texture_path)

    def track(self, renderer: Any, points: list[dict[str, Any]], frames: list[int] | None) -> dict[str, Any]:
        frames = list(renderer.source.frames) if frames is None else frames
        count = len(frames)
        return {
            "frames": frames,
            "iteration": renderer.iteration,
            "tracks": [
                {
                    "id": point["id"],
                    "x": [point["x"]] * count,
                    "y": [point["y"]] * count,
                    "visible": [True] * count,
                    "confidence": [1.0] * count,
                }
                for point in points
            ],
        }


WORKER_COMMAND = (sys.executable, str(Path(__file__).resolve()))

if __name__ == "__main__":
    run_worker(FakeCore, TrainingPace(first_save_s=0.1, save_every_s=0.3))

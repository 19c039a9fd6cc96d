"""`inve-daemon` whose worker learns nothing and paints: a square of a stroke's colour at its first point.

With each frame the square is a pixel further right, so that frames can be told apart. Run as a script without
arguments it is that worker.
"""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "daemon"))

from daemon_fakes import FakeCore, FakeRendered, FakeRenderer

from inve_daemon import supervisor
from inve_daemon.cli import main
from inve_daemon.worker.process import run_worker
from inve_daemon.worker.tasks import TrainingPace

HALF = 2
RENDER_S = float(os.environ.get("RENDER_S", "0.05"))


class PaintingRenderer(FakeRenderer):
    def render(self, stack: Any, frame: int, **options: Any) -> FakeRendered:
        time.sleep(RENDER_S)
        picture = self.source.read(frame)
        pixels = picture.pixels.astype("float32")
        touched = 0
        for layer in stack.layers:
            strokes = [edit for edit in layer.edits if hasattr(edit, "color")]
            for edit in strokes if layer.enabled else ():
                x, y = (int(value) for value in edit.points[0][:2])
                x += frame - self.source.frames[0]
                pixels[y - HALF : y + HALF + 1, x - HALF : x + HALF + 1] = edit.color
                touched += (2 * HALF + 1) ** 2
        return FakeRendered(replace(picture, pixels=pixels.astype(picture.pixels.dtype)), touched)


class PaintingCore(FakeCore):
    def renderer(self, folder: Path, source: Any, device: str, texture_path: Any) -> PaintingRenderer:
        return PaintingRenderer(0, source, texture_path)

    def renderer_of(self, trainer: Any, source: Any, texture_path: Any) -> PaintingRenderer:
        return PaintingRenderer(trainer.iteration, source, texture_path)

    def track(self, renderer: Any, points: list[dict[str, Any]], frames: list[int] | None) -> dict[str, Any]:
        """Points go right and down; on the second frame something is in front of them."""
        told = super().track(renderer, points, frames)
        for track in told["tracks"]:
            track["x"] = [x + 2.0 * index for index, x in enumerate(track["x"])]
            track["y"] = [y + 1.0 * index for index, y in enumerate(track["y"])]
            track["visible"] = [index != 1 for index in range(len(told["frames"]))]
        return told


supervisor.WORKER_COMMAND = (sys.executable, str(Path(__file__).resolve()))

if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] == "serve":
        main()
    else:
        run_worker(PaintingCore, TrainingPace(first_save_s=0.1, save_every_s=0.3))

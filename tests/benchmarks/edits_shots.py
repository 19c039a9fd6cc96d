"""The shots of the edits' benchmark: the synthetic clip or a folder of frames and mattes, learned once.

What was learned is kept in a folder where one is named, so that another run measures the same model.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from inve_core.checkpoint import load_model
from inve_core.clip import load_clip, open_source
from inve_core.model import LayeredAtlas
from inve_core.presets import PRESETS, TrainingSettings
from inve_core.source import ShotSource
from inve_core.synthetic import SyntheticClip, make_clip
from inve_core.training import Trainer

SYNTHETIC = "synthetic"


@dataclass(frozen=True, eq=False)
class LearnedShot:
    """A clip and its model; `truth` where the clip is the synthetic one."""

    name: str
    source: ShotSource
    model: LayeredAtlas
    truth: SyntheticClip | None


@dataclass(frozen=True)
class Learning:
    """How the benchmark's shots are learned; the preset's own where None.

    Attributes:
        frames: the most of a clip that is used; the synthetic one has that many.
        width, height: of the synthetic clip.
        kept: the folder where models are kept between runs.
    """

    preset: str
    working_size: int | None
    iterations: int | None
    batch: int | None
    frames: int
    width: int
    height: int
    device: str
    seed: int
    kept: Path | None

    def settings(self) -> TrainingSettings:
        """The preset with what is given instead."""
        given = {"working_size": self.working_size, "iterations": self.iterations, "batch": self.batch}
        settings = replace(PRESETS[self.preset], **{k: v for k, v in given.items() if v is not None})
        return replace(settings, least_iterations=min(settings.least_iterations, settings.iterations))

    def key(self) -> str:
        """Names what is learned with these settings."""
        settings = self.settings()
        size = f"{settings.working_size}_{settings.iterations}x{settings.batch}"
        return f"{self.preset}_{size}_{self.frames}f_{self.width}x{self.height}_s{self.seed}"


def learned_shot(name: str, learning: Learning, scratch: Path) -> LearnedShot:
    """Learn a clip, or take what is kept of it.

    Args:
        name: "synthetic", or a folder that holds frames/ and mattes/.
        scratch: where the synthetic clip's pictures are written.

    Raises:
        MediaError: its pictures are missing or cannot be read.
    """
    truth = None
    if name == SYNTHETIC:
        truth = make_clip(learning.frames, learning.width, learning.height)
        truth.write(scratch / SYNTHETIC)
        folder = scratch / SYNTHETIC
    else:
        folder = Path(name)
    plate, matte = str(folder / "frames"), str(folder / "mattes")
    found = open_source(plate, [matte])
    source = open_source(plate, [matte], (found.frames[0], found.frames[: learning.frames][-1]))
    kept = None if learning.kept is None else learning.kept / f"{folder.name}_{learning.key()}"
    if kept is None or not (kept / "checkpoint.json").exists():
        clip = load_clip(source, learning.settings().working_size, learning.settings().longest_gap)
        trainer = Trainer(clip, learning.settings(), device=learning.device, seed=learning.seed)
        for progress in trainer.run():
            if progress.iteration % 200 == 0:
                print(f"{folder.name}: {progress.stage} {progress.iteration}", file=sys.stderr, flush=True)
        if kept is None:
            return LearnedShot(folder.name, source, trainer.model.eval(), truth)
        trainer.save(kept)
    return LearnedShot(folder.name, source, load_model(kept, learning.device).eval(), truth)

"""A small synthetic clip, on disk, in memory and learned: made once and shared by the tests of the core."""

from pathlib import Path
from typing import NamedTuple

import pytest

from inve_core.clip import Clip, ShotSource, load_clip, open_source
from inve_core.model import LayeredAtlas
from inve_core.presets import TrainingSettings, preset
from inve_core.synthetic import SyntheticClip, make_clip
from inve_core.training import Trainer


class Shot(NamedTuple):
    """The clip's truth, its files, its working copy, and what was learned from it."""

    truth: SyntheticClip
    source: ShotSource
    clip: Clip
    model: LayeredAtlas
    trainer: Trainer


@pytest.fixture(scope="session")
def quick() -> TrainingSettings:
    """The preview preset, cut down to seconds."""
    return preset(
        "preview", working_size=160, batch=2_000, iterations=250, least_iterations=250, inverse_iterations=120
    )


@pytest.fixture(scope="session")
def shot(tmp_path_factory: pytest.TempPathFactory, quick: TrainingSettings) -> Shot:
    folder: Path = tmp_path_factory.mktemp("shot")
    truth = make_clip(frames=8, width=160, height=96)
    truth.write(folder)
    source = open_source(str(folder / "frames"), [str(folder / "mattes")])
    clip = load_clip(source, 160, longest_gap=4)
    trainer = Trainer(clip, quick, device="cpu", seed=1)
    for _ in trainer.run():
        pass
    return Shot(truth, source, clip, trainer.model.eval(), trainer)

"""A small synthetic clip, on disk, in memory and learned: made once and shared by the tests of the core."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

# Tests are imported by path, so what they share is made importable here.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from inve_core.clip import Clip, ShotSource, load_clip, open_source
from inve_core.model import LayeredAtlas
from inve_core.presets import TrainingSettings, preset
from inve_core.synthetic import SyntheticClip, make_clip
from inve_core.training import Trainer

# Helpers that several test files share lie beside them.
sys.path.insert(0, str(Path(__file__).resolve().parent))


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


@pytest.fixture
def interpreted() -> Callable[[str], None]:
    """Runs the functions `check_*` of a test file in a child that has Triton's interpreter on.

    It must be switched on before Triton is imported, and stays on after that.
    """
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed here; make setup brings it on Linux on x86-64")

    def run(file: str) -> None:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file]
        command += ["-o", "python_functions=check_*", "-o", "python_classes=None"]
        environment = os.environ | {"TRITON_INTERPRET": "1", "INVE_BACKEND": "triton", "OMP_NUM_THREADS": "1"}
        root = Path(__file__).parents[2]
        child = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
        assert child.returncode == 0, child.stdout[-6000:] + child.stderr[-2000:]
        assert "skipped" not in child.stdout

    return run

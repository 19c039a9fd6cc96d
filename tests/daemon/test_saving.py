"""When training is saved, and what of it: by a thread, lightly at first, and never at learning's expense."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from daemon_fakes import FakeCore, FakeSnapshot

from inve_client import errors
from inve_daemon.pipe import Message
from inve_daemon.store.files import ContentFiles
from inve_daemon.worker.saving import Saving
from inve_daemon.worker.scheduler import Scheduler, Task
from inve_daemon.worker.tasks import Tasks, TrainingPace


class Core(FakeCore):
    """Without pictures."""

    def find_files(self, *args: Any) -> list[str]:
        return []

    def source(self, values: dict[str, Any]) -> Any:
        return None


@pytest.fixture
def files(tmp_path: Path) -> ContentFiles:
    files = ContentFiles(tmp_path)
    files.create()
    return files


def train(
    files: ContentFiles,
    pace: TrainingPace,
    iterations: int,
    resume: str | None = None,
    core: Core | None = None,
    device: str = "cpu",
    told: list[Message] | None = None,
) -> list[Message]:
    """What the worker tells of a training, its result last."""
    told = [] if told is None else told
    scheduler = Scheduler(lambda block: None, lambda task, error: None)
    tasks = Tasks(core or Core(), files, device, scheduler, pace)
    source = {"frames": [1, 2], "frames_pattern": "", "matte_patterns": []}
    settings = {"preset": "fast", "working_size": None, "seed": iterations, "resume": resume}
    steps = tasks.start(
        "train",
        Task(1, told.append, long=True),
        {"shot": "s", "source": source, "folders": [], **settings},
    )
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            return [*told, ended.value]


def test_the_first_checkpoint_is_light_and_the_next_ones_are_whole(files: ContentFiles) -> None:
    *told, result = train(files, TrainingPace(first_save_s=0.05, save_every_s=0.05), 60)
    *saved, last = [message for message in told if message["event"] == "checkpoint"]
    assert last["address"] == result["model"]
    assert len(saved) >= 3
    whole = [(files.path(message["address"]) / "trainer.safetensors").exists() for message in saved]
    assert whole == [False] + [True] * (len(saved) - 1)
    reached = [message["report"]["iterations"] for message in saved]
    assert reached == sorted(set(reached))
    assert saved[0]["report"]["psnr_db"] == 30.0
    assert saved[0]["report"]["flow_error_px"] is None
    assert result["report"]["iterations"] == 60
    # What is resumed has a better checkpoint than a light one would be.
    *told, _ = train(files, TrainingPace(first_save_s=0.0, save_every_s=0.1), 60, saved[0]["address"])
    again = [message for message in told if message["event"] == "checkpoint"]
    assert all((files.path(message["address"]) / "trainer.safetensors").exists() for message in again)


def test_nothing_is_saved_before_a_look_says_how_good_it_is(files: ContentFiles, monkeypatch: Any) -> None:
    monkeypatch.setattr("daemon_fakes.SHOWN_FROM", 30)
    *told, _ = train(files, TrainingPace(first_save_s=0.0, save_every_s=9.0), 60)
    saved = [message for message in told if message["event"] == "checkpoint"]
    # What is learned in the end is told of before it is the result.
    assert [message["report"]["iterations"] for message in saved] == [30, 60]


@pytest.mark.parametrize("error", [MemoryError("no room"), errors.Cancelled("The job was cancelled.")])
def test_what_is_learned_survives_baking(files: ContentFiles, error: Exception) -> None:
    class Unbakeable:
        source = SimpleNamespace(frames=[1, 2])
        cleared = False

        def bake(self, on_frame: Any) -> int:
            on_frame(1)
            raise error

        @property
        def fields(self) -> Any:
            return SimpleNamespace(clear=lambda: setattr(self, "cleared", True))

    renderer = Unbakeable()

    class NoBakingCore(Core):
        def renderer_of(self, *args: Any) -> Any:
            return renderer

    told: list[Message] = []
    if isinstance(error, errors.Cancelled):
        with pytest.raises(errors.Cancelled):
            train(files, TrainingPace(9.0, 9.0), 5, core=NoBakingCore(), device="cuda:0", told=told)
        assert told[-2]["event"] == "checkpoint"
        return
    *_, result = train(files, TrainingPace(9.0, 9.0), 5, core=NoBakingCore(), device="cuda:0", told=told)
    assert renderer.cleared
    assert "no room" in result["warnings"][0]
    assert result["report"]["iterations"] == 5


class SlowSnapshot(FakeSnapshot):
    """Held up until the test lets it go, or broken."""

    def __init__(self, go_on: threading.Event, error: errors.InveError | None = None) -> None:
        super().__init__(1, 1, {"iterations": 1}, moments=True)
        object.__setattr__(self, "go_on", go_on)
        object.__setattr__(self, "error", error)

    def write(self, folder: Path) -> None:
        assert self.go_on.wait(20)
        if self.error is not None:
            raise self.error
        super().write(folder)


def test_a_snapshot_is_written_beside_what_goes_on(files: ContentFiles) -> None:
    go_on = threading.Event()
    saving = Saving(files)
    saving.begin(SlowSnapshot(go_on))
    assert saving.finished() is None
    assert saving.busy
    go_on.set()
    saved = saving.finished(wait=True)
    assert saved is not None
    assert files.path(saved.address).is_dir()
    assert not saving.busy
    assert saving.finished(wait=True) is None
    saving.close()


def test_what_cannot_be_written_is_told_to_whoever_asks(files: ContentFiles) -> None:
    go_on = threading.Event()
    go_on.set()
    saving = Saving(files)
    saving.begin(SlowSnapshot(go_on, errors.StorageError("The disk is full.")))
    with pytest.raises(errors.StorageError, match="full"):
        saving.finished(wait=True)
    assert not saving.busy
    saving.close()

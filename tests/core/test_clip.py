"""Clips: read, resized, encoded for learning; cancelled without reading on."""

import threading

import numpy as np
import pytest

from inve_core.clip import choose_exposure, encode_for_learning, load_clip, open_source
from inve_core.errors import Cancelled, MediaError
from inve_core.media.colour import linear_to_srgb
from inve_core.source import ShotSource, layer_names
from inve_core.threads import mapped_in_threads, usable_cores


def test_a_clip_is_read_at_working_size(shot):
    clip = load_clip(shot.source, 80, longest_gap=2)
    assert clip.rgb.shape == (8, 48, 80, 3)
    assert clip.mattes.shape == (8, 1, 48, 80)
    assert [flow.gap for flow in clip.flows] == [1, 2]
    assert clip.exposure == 1.0
    # Averaging areas keeps the mean of the mattes.
    assert clip.mattes.mean() == pytest.approx(shot.clip.mattes.mean(), rel=1e-3)


def test_full_size_frames_keep_their_codes(shot):
    """8-bit sRGB to linear half and back is the same code, so that learning sees what the file has."""
    assert np.array_equal(shot.clip.rgb, shot.truth.rgb)


def test_progress_counts_and_may_cancel(shot):
    seen = []

    def on_progress(stage: str, done: int, total: int) -> None:
        seen.append((stage, done, total))
        if stage == "flow" and done == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        load_clip(shot.source, 160, longest_gap=1, on_progress=on_progress)
    assert seen[:8] == [("reading", done, 8) for done in range(1, 9)]
    assert seen[8:] == [("flow", done, 7) for done in range(1, 4)]


def test_leaving_early_begins_nothing_more():
    begun = []
    go_on = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item:
            go_on.wait(5)
        return item

    def leave_after_the_first() -> None:
        with mapped_in_threads(work, range(100), 1) as results:
            assert next(results) == 0
            threading.Timer(0.05, go_on.set).start()
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        leave_after_the_first()
    assert len(begun) <= 2


def test_learning_encoding_is_finite_and_clipped():
    odd = np.array([[[np.nan, np.inf, -np.inf], [-0.5, 0.5, 7.0]]], np.float32)
    assert encode_for_learning(odd, 1.0).tolist() == [[[0, 255, 0], [0, 188, 255]]]


@pytest.mark.parametrize(
    ("limit", "cores"), [("max 100000", 8), ("250000 100000", 3), ("1000 100000", 1), ("9000000 100000", 8)]
)
def test_no_more_threads_than_a_container_may_use(monkeypatch, limit, cores):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(8), raising=False)
    monkeypatch.setattr("pathlib.Path.read_text", lambda path: limit)
    assert usable_cores() == cores


def test_learning_encoding_is_the_srgb_curve():
    linear = np.linspace(0, 1, 300_003, dtype=np.float32).reshape(-1, 1, 3)
    exact = linear_to_srgb(linear.astype(np.float64)) * 255 + 0.5
    got = encode_for_learning(linear, 1.0)
    # Another way to take a power may round the other way, but only where the curve all but meets a half.
    assert np.abs(got - (exact - 0.5)).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(("level", "expected"), [(0.5, 1.0), (8.0, 0.9 / 8), (0.01, 90.0), (0.0, 1.0)])
def test_exposure_brings_bright_and_dark_plates_into_range(level, expected):
    assert choose_exposure([np.full((4, 4, 3), level, np.float32)]) == pytest.approx(expected, rel=1e-4)


def test_a_source_survives_being_plain_data(shot):
    again = ShotSource.from_dict(shot.source.to_dict())
    assert again == shot.source
    assert np.array_equal(again.read(1003).pixels, shot.source.read(1003).pixels)


def test_layers_are_named_front_to_back():
    assert layer_names(0) == ("background",)
    assert layer_names(3) == ("foreground", "foreground2", "foreground3", "background")


def test_frames_outside_the_shot_and_tiny_frames_are_refused(shot):
    with pytest.raises(MediaError, match="frame 1 is not in the shot"):
        shot.source.read(1)
    with pytest.raises(MediaError, match="at least 16 pixels"):
        load_clip(shot.source, 20)


def test_mattes_must_match_the_frames(shot, tmp_path):
    folder = shot.source.matte_patterns[0]
    import shutil

    shutil.copytree(folder, tmp_path / "mattes")
    next(iter(sorted((tmp_path / "mattes").iterdir()))).unlink()
    with pytest.raises(MediaError, match=r"must cover frames 1001-1008, got 1002-1008; add frame 1001"):
        open_source(shot.source.frames_pattern, [str(tmp_path / "mattes")])

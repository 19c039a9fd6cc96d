"""What the demo's figures are worth: each measure on inputs whose answer is known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from inve_core.errors import StorageError
from inve_core.synthetic import FIRST_FRAME, SyntheticClip, make_clip, pixel_centres
from inve_daemon.demo import measures
from inve_daemon.demo.report import Figure, table, write_json

FRAMES = 4


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return make_clip(FRAMES, 160, 96)


def true_tracks(clip: SyntheticClip, points: list[dict]) -> dict:
    """TRACKS.json as a perfect tracker would answer."""
    frames = [FIRST_FRAME + index for index in range(FRAMES)]
    tracks = []
    for point in points:
        xy = np.array([[point["x"], point["y"]]])
        start = point["frame"] - FIRST_FRAME
        layer = "foreground" if clip.visible("foreground", start, xy)[0] else "background"
        places = np.concatenate([clip.position(layer, start, xy, index) for index in range(FRAMES)])
        seen = [bool(clip.visible(layer, i, places[i : i + 1])[0]) for i in range(FRAMES)]
        tracks.append({"id": point["id"], "x": list(places[:, 0]), "y": list(places[:, 1]), "visible": seen})
    return {"frames": frames, "tracks": tracks}


def test_a_perfect_tracker_has_no_error(clip: SyntheticClip) -> None:
    points = measures.query_points(clip, (FIRST_FRAME, FIRST_FRAME + 2))
    errors = measures.point_errors(clip, points, true_tracks(clip, points))
    assert errors.points == len(points) == 2 * 13 * 8
    assert errors.distances_px.max() < 1e-9
    assert errors.visibility_right == 1.0
    assert set(errors.by_layer_px) == {"foreground", "background"}


def test_a_shifted_tracker_is_off_by_its_shift(clip: SyntheticClip) -> None:
    points = measures.query_points(clip, (FIRST_FRAME,))
    tracks = true_tracks(clip, points)
    for track in tracks["tracks"]:
        track["x"] = [x + 3.0 for x in track["x"]]
        track["y"] = [y - 4.0 for y in track["y"]]
        track["visible"] = [not seen for seen in track["visible"]]
    errors = measures.point_errors(clip, points, tracks)
    np.testing.assert_allclose(errors.distances_px, 5.0)
    assert errors.visibility_right == 0.0


def test_the_frame_that_was_picked_on_does_not_count(clip: SyntheticClip) -> None:
    points = measures.query_points(clip, (FIRST_FRAME + 1,))
    tracks = true_tracks(clip, points)
    for track in tracks["tracks"]:
        track["x"][1] += 100.0
        track["visible"][1] = False
    errors = measures.point_errors(clip, points, tracks)
    assert errors.distances_px.max() < 1e-9
    assert errors.visibility_right == 1.0


def test_iou() -> None:
    a = np.zeros((4, 4))
    b = np.zeros((4, 4))
    a[:, :2], b[:, 1:3] = 1.0, 0.6
    assert measures.iou(a, b) == pytest.approx(4 / 12)
    assert measures.iou(a, a) == 1.0
    assert measures.iou(np.zeros((2, 2)), np.zeros((2, 2))) == 1.0


def test_outside_share_weighs_by_coverage_and_by_matte() -> None:
    coverage = np.array([[1.0, 0.5, 0.5]])
    assert measures.outside_share(coverage, np.array([[1.0, 1.0, 0.0]])) == pytest.approx(0.25)
    assert measures.outside_share(coverage, np.array([[1.0, 0.5, 1.0]])) == pytest.approx(0.125)
    assert measures.outside_share(np.zeros((1, 3)), np.zeros((1, 3))) == 0.0


def drawn_line(line: np.ndarray, width: float, size: tuple[int, int]) -> np.ndarray:
    """Coverage of a polyline by a second way: distances of supersampled positions to its many points."""
    fine = 4
    xy = pixel_centres(size[0] * fine, size[1] * fine) / fine
    distance = np.min([np.hypot(xy[..., 0] - x, xy[..., 1] - y) for x, y in line], axis=0)
    return (distance <= width / 2).reshape(size[1], fine, size[0], fine).mean((1, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def wave() -> np.ndarray:
    along = np.linspace(10.0, 70.0, 240)
    return np.stack([along, 30.0 + 4.0 * np.sin(along / 12.0)], 1)


def test_a_stroke_where_it_belongs_has_no_offset(wave: np.ndarray) -> None:
    coverage = drawn_line(wave, 5.0, (80, 60))
    offsets = measures.centreline_offsets(coverage, measures.resample(wave), 5.0, np.ones((60, 80), bool))
    assert len(offsets) > 40
    # Four samples a pixel and a bent line: their centre of gravity is off by a few hundredths.
    assert offsets.max() < 0.1


def test_a_moved_stroke_is_off_by_its_move(wave: np.ndarray) -> None:
    coverage = drawn_line(wave + np.array([0.0, 1.5]), 5.0, (80, 60))
    offsets = measures.centreline_offsets(coverage, measures.resample(wave), 5.0, np.ones((60, 80), bool))
    slope = 4.0 / 12.0  # at most; across the line the move is shorter by its cosine
    assert offsets.max() < 1.5 + 0.15
    assert offsets.min() > 1.5 * math.cos(math.atan(slope)) - 0.15


def test_a_missing_stroke_is_infinitely_off(wave: np.ndarray) -> None:
    offsets = measures.centreline_offsets(
        np.zeros((60, 80), np.float32), measures.resample(wave), 5.0, np.ones((60, 80), bool)
    )
    assert len(offsets) > 40
    assert np.isinf(offsets).all()


def test_a_stroke_is_not_judged_where_something_hides_it(wave: np.ndarray) -> None:
    coverage = drawn_line(wave, 5.0, (80, 60))
    clear = np.ones((60, 80), bool)
    clear[:, 40:] = False
    coverage[:, 40:] = 0.0
    offsets = measures.centreline_offsets(coverage, measures.resample(wave), 5.0, clear)
    assert 10 < len(offsets) < 30
    assert offsets.max() < 0.1
    assert len(measures.centreline_offsets(coverage, measures.resample(wave), 5.0, ~clear & clear)) == 0


def test_a_line_shorter_than_its_width_is_not_judged() -> None:
    line = measures.resample(np.array([[10.0, 10.0], [13.0, 10.0]]))
    full = np.ones((20, 20))
    assert len(measures.centreline_offsets(full.astype(np.float32), line, 5.0, full > 0)) == 0


def test_resample_keeps_the_ends_and_the_spacing() -> None:
    line = measures.resample(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 9.0]]))
    np.testing.assert_allclose(line[[0, -1]], [[0.0, 0.0], [3.0, 9.0]])
    np.testing.assert_allclose(np.hypot(*np.diff(line, axis=0).T), 1.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_changed_bits_sees_what_comparison_does_not(dtype: type) -> None:
    before = np.zeros((2, 3, 4), dtype)
    before[0, 0, 0] = np.nan
    after = before.copy()
    untouched = np.ones((2, 3), bool)
    assert measures.changed_bits(before, after, untouched) == 0
    after[1, 2, 3] = -0.0
    assert measures.changed_bits(before, after, untouched) == 1
    untouched[1, 2] = False
    assert measures.changed_bits(before, after, untouched) == 0


def test_another_precision_counts_as_all_changed() -> None:
    before = np.zeros((2, 3, 4), np.float16)
    assert measures.changed_bits(before, before.astype(np.float32), np.ones((2, 3), bool)) == 6


def test_figures_know_whether_they_are_good_enough() -> None:
    assert Figure("a", "a", 1.5, "px", 1.5).passed is True
    assert Figure("a", "a", 1.51, "px", 1.5).passed is False
    assert Figure("a", "a", 0.96, "", 0.97, "at least").passed is False
    assert Figure("a", "a", 0.97, "", 0.97, "at least").passed is True
    assert Figure("a", "a", 5.0).passed is None
    assert Figure("a", "a", float("nan"), "", 1.0).passed is False


def test_the_table_says_what_was_missed() -> None:
    lines = list(table([Figure("a", "first", 0.25, "px", 1.5), Figure("b", "the second", 3.0, "px", 1.5)]))
    assert lines[0].split() == ["first", "0.25", "px", "at", "most", "1.5", "px", "ok"]
    assert lines[1].split() == ["the", "second", "3", "px", "at", "most", "1.5", "px", "MISSED"]


def test_the_report_is_json_even_where_a_number_is_none(tmp_path: Path) -> None:
    write_json(tmp_path / "r.json", {"figures": [Figure("a", "a", math.inf, "px", 1.5).to_dict()]})
    figure = json.loads((tmp_path / "r.json").read_text())["figures"][0]
    assert figure["value"] is None
    assert figure["passed"] is False
    assert figure["target"] == {"good": "at most", "value": 1.5}


def test_a_report_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("")
    with pytest.raises(StorageError, match="in the way"):
        write_json(tmp_path / "in the way" / "r.json", {})

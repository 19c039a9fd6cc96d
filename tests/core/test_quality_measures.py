"""The quality benchmark's measures, on arrays whose answer is known and on the synthetic clip's truth."""

import copy
import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from inve_core.presets import PRESETS
from inve_core.rendering import Renderer

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def module(name: str) -> ModuleType:
    return importlib.import_module(f"quality_{name}")


@pytest.fixture(scope="module")
def sliding(shot):
    """The learned model with an object that slides over its own map by 4 px a frame."""
    model = copy.deepcopy(shot.model)
    for t in range(len(shot.clip)):
        slide = torch.eye(3)
        slide[0, 2] = 4.0 * (t - 3)
        model.transforms[0, t] = model.transforms[0, t] @ slide
        model.inverse_transforms[0, t] = torch.linalg.inv(model.transforms[0, t])
    return model


# -- joints --------------------------------------------------------------------------------------------


def test_pck_is_the_share_within_a_part_of_the_mattes_size():
    pck = module("points").pck
    errors, areas = np.array([9.0, 11.0, 19.0, 21.0]), np.full(4, 10_000.0)
    assert pck(errors, areas, 0.1) == 0.25
    assert pck(errors, areas, 0.2) == 0.75
    # The matte of each frame counts for itself.
    assert pck(errors, np.array([10_000.0, 10_000, 10_000, 40_000]), 0.2) == 1.0
    assert pck(np.zeros(0), np.zeros(0), 0.2) is None


def test_a_joint_is_asked_where_it_is_first_seen_and_counted_where_it_is_seen_later():
    visible = np.array([[0, 1, 0, 0], [1, 1, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]], bool)
    pairs = module("points").pairs_of(visible)
    assert pairs.joint.tolist() == [0, 1]
    assert pairs.query.tolist() == [1, 0]
    assert list(zip(pairs.joint[pairs.goal_of].tolist(), pairs.goal.tolist(), strict=True)) == [
        (0, 3),
        (1, 1),
        (1, 3),
    ]


def test_marked_joints_are_rows_and_columns_of_a_full_hd_picture(tmp_path, shot):
    entry = '[{"image_path": "x/01003.jpg", "joints": [[540, 960], [0, 0]], "visibility": [true, false]}]'
    (tmp_path / "badja.json").write_text(entry)
    joints = module("points").read_joints(tmp_path / "badja.json", shot.source)
    assert joints.frames == (1003,)
    # Half of a marked pixel is a 24th of one at 160 pixels.
    assert joints.xy[0, 0] == pytest.approx((80 + 1 / 24, 48 + 0.5 * 96 / 1080))
    assert joints.visible.tolist() == [[True, False]]


def true_joints(shot, off: float):
    """Points of the object with their true places, moved by `off` pixels on all but the first frame."""
    points = module("points")
    frames = (1001, 1004, 1008)
    y, x = np.nonzero(shot.clip.mattes[0, 0] == 1)
    start = np.stack((x, y), 1)[:: len(x) // 20] + 0.5
    xy = np.stack([shot.truth.position("foreground", 0, start, frame - 1001) for frame in frames])
    xy[1:, :, 0] += off
    return points.Joints(frames, xy, np.ones(xy.shape[:2], bool))


def test_joints_on_the_object_are_found_by_every_way_to_invert_the_map(shot):
    measured = module("points").measure_joints(shot.model, shot.source, true_joints(shot, 0.0))
    for found in (measured, measured["product"], measured["refined"], measured["numerical"]):
        # The bound of the tracking tests for this model.
        assert found["median_px"] < 0.8
        assert found["pck_0.1"] == 1.0
    assert measured["network"]["pck_0.2"] == 1.0
    assert measured["refined"]["median_px"] == pytest.approx(measured["median_px"], abs=1e-3)


def test_joints_that_are_elsewhere_are_not_found(shot):
    side = float(np.sqrt((shot.clip.mattes[:, 0] > 0.5).sum((1, 2)).max()))
    measured = module("points").measure_joints(shot.model, shot.source, true_joints(shot, 0.25 * side))
    assert measured["pck_0.2"] == 0.0
    assert measured["median_px"] == pytest.approx(0.25 * side, abs=0.8)


# -- colour along tracks -------------------------------------------------------------------------------


def test_colour_variance_takes_the_frames_that_count():
    colours = np.zeros((2, 4, 3))
    colours[0, :, 0] = [0, 2, 0, 100]
    counted = np.array([[True, True, True, False], [True, True, False, False]])
    variance = module("points").colour_variance(colours, counted)
    # The second point has too few frames; the first's red is 0, 2, 0.
    assert variance == pytest.approx([np.var([0, 2, 0]) / 3])


def test_pictures_are_read_at_pixel_centres():
    picture = np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1)
    xy = np.array([[[2.5, 1.5]], [[3.0, 1.5]], [[2.5, 2.0]]])
    assert module("points").sampled(picture, xy)[:, 0, 0] == pytest.approx([6.0, 6.5, 8.0])


def test_chained_flow_adds_up_frame_by_frame(shot):
    flow = shot.clip.flows[0]
    forward, backward = np.zeros_like(flow.forward), np.zeros_like(flow.backward)
    forward[..., 0] = np.arange(1, 8)[:, None, None]
    backward[..., 1] = -np.arange(1, 8)[:, None, None]
    clip = replace(shot.clip, flows=(replace(flow, forward=forward, backward=backward),))
    path = module("points").chained_flow(clip, np.array([[40.5, 50.5]]), 3)
    assert path[0, :, 0].tolist() == [40.5] * 4 + [44.5, 49.5, 55.5, 62.5]
    assert path[0, :, 1].tolist() == [44.5, 45.5, 47.5] + [50.5] * 5


def test_a_map_that_slides_is_less_consistent_in_colour(shot, sliding):
    measure = module("points").measure_consistency
    good, bad = measure(shot.model, shot.clip), measure(sliding, shot.clip)
    assert good["points"] > 200
    assert good["ratio"] < 1.5
    assert bad["map"] > 1.5 * good["map"]


# -- maps ----------------------------------------------------------------------------------------------


def test_flow_error_is_the_distance_in_the_target_frame(shot, monkeypatch):
    """Flow that is the exact truth and 3 px more along x: the maps must be found 3 px away from it."""
    motion = module("motion")
    monkeypatch.setattr(motion, "VECTORS", 5_000)
    flow = shot.clip.flows[0]
    forward = shot.truth.flow.astype(np.float16)
    forward[..., 0] += 3
    nothing = np.zeros_like(flow.backward_valid)
    exact = replace(flow, forward=forward, forward_valid=shot.truth.flow_valid, backward_valid=nothing)
    measured = motion.measure_flow(shot.model, replace(shot.clip, flows=(exact,)))
    for way in ("product", "refined", "numerical"):
        # The map itself is good to about 0.2 px on this clip.
        assert measured[way]["short"]["median"] == pytest.approx(3, abs=0.3)
    assert measured["refined"]["short"]["valid_share"] == pytest.approx(
        shot.truth.flow_valid.mean() / 2, abs=0.02
    )


def test_flow_error_sees_an_object_that_slides(shot, sliding, monkeypatch):
    motion = module("motion")
    monkeypatch.setattr(motion, "VECTORS", 20_000)
    good, bad = (motion.measure_flow(model, shot.clip)["product"] for model in (shot.model, sliding))
    assert good["long"]["gap"] == bad["long"]["gap"] == 4
    assert good["short"]["object"]["median"] < 0.5
    assert bad["short"]["object"]["median"] == pytest.approx(4, abs=0.5)
    assert bad["long"]["object"]["median"] == pytest.approx(16, abs=1)
    assert bad["long"]["ground"]["median"] == pytest.approx(good["long"]["ground"]["median"], abs=0.1)


def test_refined_inversion_goes_back_to_where_it_came_from(shot, monkeypatch):
    motion = module("motion")
    monkeypatch.setattr(motion, "ROUND_TRIPS", 5_000)
    measured = motion.measure_inversion(shot.model, shot.clip)
    median = {way: figures["round_trip_px"]["median"] for way, figures in measured.items()}
    assert median["refined"] < 0.01
    assert median["numerical"] < 0.01
    assert median["network"] > 5 * median["refined"]
    assert all(figures["seconds_a_million"] > 0 for figures in measured.values())


# -- edits ---------------------------------------------------------------------------------------------


def test_leak_is_what_lies_outside_the_matte():
    edits = module("edits")
    matte = np.zeros((20, 20), np.float32)
    matte[5:15, 5:15] = 1
    alpha = np.roll(matte, 3, axis=1)
    assert edits.leaked(matte, matte) == 0
    assert edits.leaked(alpha, matte) == 30
    assert edits.leaked(alpha, edits.grown(matte, 2)) == 10


def test_a_pattern_is_kept_where_flow_says_it_goes():
    edits = module("edits")
    depth = np.full((40, 60), -5.0)
    depth[10:30, 10:20] = 5.0
    everywhere, matte = np.ones((40, 60), bool), np.ones((40, 60), np.float32)
    # The frame's pixels come from 7 pixels further left on the painted frame.
    flow = np.zeros((40, 60, 2), np.float32)
    flow[..., 0] = -7
    moved = np.roll(depth > 0, 7, axis=1).astype(np.float32)
    must, kept, bare, spurious = edits.kept_counts(moved, matte, flow, everywhere, depth)
    assert (must, kept, spurious) == (200, 200, 0)
    assert bare > 1000
    # Left where it was painted, 3 of its 10 columns are still under where it should be.
    must, kept, _, spurious = edits.kept_counts(
        (depth > 0).astype(np.float32), matte, flow, everywhere, depth
    )
    assert (must, kept, spurious) == (200, 60, 140)


def test_the_pattern_lies_over_all_of_the_object():
    edits = module("edits")
    mattes = np.zeros((3, 90, 160), np.float32)
    mattes[0, 20:40, 30:60] = 1
    mattes[1, 20:70, 30:120] = 1
    pattern = edits.pattern_over(mattes)
    assert pattern.t == 1
    inside = pattern.depth(160, 90) > 0
    rows = inside & (mattes[1] > 0.5)
    # No place of the object is further from a line than half of the lines' spacing.
    assert rows.any(1)[20:70].all()
    assert rows.any(0)[30:120].all()
    assert 0.4 < rows.sum() / mattes[1].sum() < 0.8
    width = pattern.width
    assert pattern.depth(160, 90).max() == pytest.approx(width / 2, abs=0.5)


def test_edits_stay_on_the_synthetic_object_and_a_slide_is_seen(shot, sliding):
    measure = module("edits").measure_edits
    good = measure(Renderer(shot.model, shot.source), shot.clip)
    bad = measure(Renderer(sliding, shot.source), shot.clip)
    assert good["kept"] > 0.95
    assert good["kept_farthest"] == good["kept_by_gap"]["4"]
    assert good["drawn_kept"] > 0.98
    assert good["spurious"] < 0.05
    assert good["fill"] > 0.9
    assert good["leak"]["beyond_2px"] < 0.02
    assert good["fill_leak"]["above_matte"] < good["fill_leak"]["strict"]
    assert bad["kept"] < 0.8
    assert bad["spurious"] > 0.1


# -- the rest ------------------------------------------------------------------------------------------


def test_fields_are_measured_over_all_pixels(shot):
    measured = module("fields").measure_fields(shot.model, shot.clip)
    # The trainer's own figures are of random samples of the same pixels.
    assert measured["psnr_db"] == pytest.approx(shot.trainer.report["psnr_db"], abs=0.3)
    assert measured["matte_iou"] == pytest.approx(shot.trainer.report["matte_iou"], abs=0.01)
    assert measured["psnr_worst_frame_db"] <= measured["psnr_db"]
    assert measured["matte_iou_worst_frame"] <= measured["matte_iou"]
    assert module("fields").psnr_db(0.01) == pytest.approx(20)


def test_a_clip_comes_back_as_it_was_saved(shot, tmp_path):
    clips = module("clips")
    clips.save_clip(shot.clip, tmp_path)
    found = clips.saved_clip(tmp_path)
    assert found.source == shot.source
    assert (found.grid, found.exposure) == (shot.clip.grid, shot.clip.exposure)
    assert np.array_equal(found.rgb, shot.clip.rgb)
    assert np.array_equal(found.mattes, shot.clip.mattes)
    assert [flow.gap for flow in found.flows] == [1, 2, 4]
    assert np.array_equal(found.flows[2].backward, shot.clip.flows[2].backward)
    assert [flow.gap for flow in clips.for_learning(found, 2).flows] == [1, 2]


def test_settings_are_overridden_by_name():
    overridden = module("table").overridden
    changed = overridden(PRESETS["fast"], ["weights.flow=0.5", "batch=77", "identity_start=true"])
    assert (changed.weights.flow, changed.batch, changed.identity_start) == (0.5, 77, True)
    assert changed.weights.matte == PRESETS["fast"].weights.matte
    for wrong in ("flow=1", "weights=1", "batch.x=1", "batch=1.5", "identity_start=1", "batch"):
        with pytest.raises(ValueError, match="--set"):
            overridden(PRESETS["fast"], [wrong])


def test_the_table_has_medians_over_seeds_and_means_over_clips():
    table = module("table")
    runs = {
        "a": [{"fields": {"psnr_db": value}} for value in (20.0, 30.0, 21.0)],
        "b": [{"fields": {"psnr_db": value}, "joints": {"pck_0.2": 0.5}} for value in (31.0, None)],
    }
    summary = table.summarise(runs)
    assert summary["fields.psnr_db"] == {"clips": {"a": (20, 21, 30), "b": (31, 31, 31)}, "mean": 26}
    assert summary["joints.pck_0.2"]["clips"] == {"a": None, "b": (0.5, 0.5, 0.5)}
    text = table.table(runs)
    assert "20.00 21.00 30.00" in text
    assert "50.0%" in text
    assert table.finite({"x": [float("nan"), 1.0]}) == {"x": [None, 1.0]}

"""Optical flow and the parametric start, against the synthetic clip's truth."""

import cv2
import numpy as np
import pytest

from inve_core.motion.flow import clear_of_outlines, consistent, dis_flow, flow_over_gaps, gaps_for
from inve_core.motion.parametric import (
    chain,
    fit_transform,
    layer_masks,
    matches_of,
    parametric_motion,
    plausible,
)
from inve_core.motion.refinement import Matches, huber_of, refine
from inve_core.synthetic import make_clip


@pytest.fixture(scope="module")
def truth():
    return make_clip(frames=10, width=192, height=112)


@pytest.fixture(scope="module")
def flows(truth):
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in truth.rgb])
    return flow_over_gaps(grey, truth.mattes[:, None].astype(np.float32), gaps_for(10, 8))


def centres(width: int, height: int) -> np.ndarray:
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack((x, y), -1)


def test_gaps_double_as_far_as_the_clip_goes():
    assert gaps_for(10, 8) == (1, 2, 4, 8)
    assert gaps_for(8, 8) == (1, 2, 4)
    assert gaps_for(5, 1) == (1,)
    assert gaps_for(1, 8) == ()


def test_flow_is_right_where_it_says_so(truth, flows):
    start = centres(192, 112).reshape(-1, 2)
    for flow, most_px in zip(flows, (0.15, 0.25, 0.4, 0.8), strict=True):
        errors = []
        for i in range(len(flow.forward)):
            moved = start + flow.forward[i].reshape(-1, 2)
            for layer in ("foreground", "background"):
                here = flow.forward_valid[i].ravel() & truth.visible(layer, i, start)
                goal = truth.position(layer, i, start[here], i + flow.gap)
                errors.append(np.linalg.norm(moved[here] - goal, axis=1))
        assert np.median(np.concatenate(errors)) < most_px


def test_backward_flow_undoes_forward_flow(flows):
    longest = flows[-1]
    grid = np.stack(np.meshgrid(np.arange(192), np.arange(112)), -1).astype(np.float32)
    ahead = longest.forward[0].astype(np.float32)
    there = grid + ahead
    back = cv2.remap(longest.backward[0].astype(np.float32), there[..., 0], there[..., 1], cv2.INTER_LINEAR)
    round_trip = np.linalg.norm(ahead + back, axis=-1)
    # One pixel, and what half precision rounds off vectors of tens of pixels.
    assert round_trip[longest.forward_valid[0]].max() <= 1.1


def test_consistency_refuses_leaving_the_picture_and_changing_layer():
    flow = np.zeros((8, 8, 2), np.float32)
    none = np.zeros((0, 8, 8), np.float32)
    assert consistent(flow, -flow, none, none).all()
    flow[..., 0] = 3
    valid = consistent(flow, -flow, none, none)
    assert valid[:, :5].all()
    assert not valid[:, 5:].any()
    matte = np.zeros((1, 8, 8), np.float32)
    matte[:, :, 4:] = 1
    assert not consistent(np.zeros_like(flow), np.zeros_like(flow), matte, 1 - matte).any()


def test_dis_takes_pictures_smaller_than_its_pyramid():
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (24, 40)).astype(np.uint8), (5, 5), 1.5)
    flow = dis_flow(picture, np.roll(picture, 1, axis=1))
    assert flow.shape == (24, 40, 2)
    assert np.median(flow[..., 0]) == pytest.approx(1.0, abs=0.3)


def test_masks_are_exclusive_and_front_mattes_win():
    mattes = np.zeros((1, 2, 2, 2), np.float32)
    mattes[0, :, 0, 0] = 1
    mattes[0, 1, 1, 1] = 1
    masks = layer_masks(mattes)
    assert masks.sum(1).tolist() == [[[1, 1], [1, 1]]]
    assert masks[0, 0].tolist() == [[True, False], [False, False]]
    assert masks[0, 1].tolist() == [[False, False], [False, True]]


@pytest.mark.parametrize("model", ["homography", "affine", "similarity", "translation"])
def test_fit_recovers_a_transform_among_outliers(model):
    rng = np.random.default_rng(0)
    matrix = {
        "homography": np.array([[1.02, 0.01, 3], [-0.02, 0.99, -2], [1e-4, 5e-5, 1]]),
        "affine": np.array([[1.05, 0.02, 3], [-0.01, 0.97, -2], [0, 0, 1]]),
        "similarity": np.array([[1.01, -0.05, 3], [0.05, 1.01, -2], [0, 0, 1]]),
        "translation": np.array([[1, 0, 3], [0, 1, -2], [0, 0, 1.0]]),
    }[model]
    start = rng.uniform(0, 100, (300, 2))
    end = np.c_[start, np.ones(300)] @ matrix.T
    end = end[:, :2] / end[:, 2:]
    end[:60] += rng.uniform(5, 30, (60, 2))
    fitted = fit_transform(start, end, model)
    assert fitted is not None
    corner = np.array([100.0, 50.0, 1.0])
    expected, actual = matrix @ corner, fitted @ corner
    # A translation is the median vector, which outliers on one side pull by a little.
    assert np.allclose(expected[:2] / expected[2], actual[:2] / actual[2], atol=0.1)


def test_fit_gives_up_on_too_little():
    assert fit_transform(np.zeros((5, 2)), np.zeros((5, 2)), "translation") is None
    rng = np.random.default_rng(0)
    scattered = rng.uniform(0, 100, (200, 2)), rng.uniform(0, 100, (200, 2))
    assert fit_transform(*scattered, "homography") is None


def test_motion_puts_the_truth_within_a_pixel(truth, flows):
    motions = parametric_motion(flows, truth.mattes[:, None].astype(np.float32))
    assert [motion.model for motion in motions] == ["similarity", "homography"]
    points = centres(192, 112).reshape(-1, 2)[::37]
    for motion, layer, most_px in zip(motions, ("foreground", "background"), (3.0, 0.6), strict=True):
        assert np.allclose(motion.transforms[motion.reference], np.eye(3))
        for frame in range(10):
            here = points[truth.visible(layer, frame, points)]
            goal = truth.position(layer, frame, here, motion.reference)
            mapped = np.c_[here, np.ones(len(here))] @ motion.transforms[frame].T
            error = np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - goal, axis=1)
            assert np.median(error) < most_px


def test_refining_takes_drift_out_of_a_chain(truth, flows):
    """A chain with a small error in every step is brought back by the long gaps."""
    masks = layer_masks(truth.mattes[:, None].astype(np.float32))[:, 1]
    matches = list(matches_of(flows, masks, 200, np.random.default_rng(0)))
    good = parametric_motion(flows, truth.mattes[:, None].astype(np.float32))[1].transforms
    drift = np.eye(3)
    drift[0, 2] = 0.5
    drifted = np.stack([np.linalg.matrix_power(drift, i - 5) @ matrix for i, matrix in enumerate(good)])
    refined = refine(drifted, matches, "homography", 5)
    corner = np.array([150.0, 90.0, 1.0])

    def place(matrix: np.ndarray) -> np.ndarray:
        mapped = matrix @ corner
        return mapped[:2] / mapped[2]

    assert np.linalg.norm(place(drifted[0]) - place(good[0])) > 2
    assert np.linalg.norm(place(refined[0]) - place(good[0])) < 0.5


@pytest.mark.parametrize("model", ["homography", "affine", "similarity", "translation"])
def test_refining_finds_the_least_loss_and_its_equations_are_its_slope(model):
    """Against a general-purpose minimiser's numerical slope: at the end, no direction goes down any more."""
    rng = np.random.default_rng(0)
    true = [np.eye(3)]
    for _ in range(3):
        step = np.eye(3)
        step[0, 2], step[1, 2] = rng.normal(0, 5, 2)
        if model != "translation":
            angle, size = rng.normal(0, 0.05), 1 + rng.normal(0, 0.03)
            step[:2, :2] = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        if model in ("affine", "homography"):
            step[:2, :2] += rng.normal(0, 0.02, (2, 2))
        if model == "homography":
            step[2, :2] = rng.normal(0, 1e-4, 2)
        true.append(step @ true[-1])
    true = np.stack([matrix / matrix[2, 2] for matrix in true])
    matches = []
    for a in range(4):
        for b in range(4):
            start = rng.uniform(0, 100, (40, 2))
            moved = np.c_[start, np.ones(40)] @ (np.linalg.inv(true[b]) @ true[a]).T
            end = moved[:, :2] / moved[:, 2:] + rng.normal(0, 0.3, (40, 2))
            end[:4] += 20
            matches.append(Matches(a, b, start, end))
    begin = np.tile(np.eye(3), (4, 1, 1))
    begin[1:, :2, 2] = true[1:, :2, 2] + 3
    refined = refine(begin, matches, model, 0)
    assert np.array_equal(refined[0], begin[0])
    least = huber_of(refined, matches)
    assert least < huber_of(true, matches) < huber_of(begin, matches)
    for _ in range(60):
        nudged = refined.copy()
        nudged[rng.integers(1, 4), :2, 2] += rng.normal(0, 0.05, 2)
        assert huber_of(nudged, matches) > least - 1e-5


def test_missing_steps_hold_and_implausible_motion_is_noticed():
    step = np.eye(3)
    step[0, 2] = 4
    transforms = chain({(0, 1): step}, 3, 1)
    assert transforms[0][0, 2] == 4
    assert np.allclose(transforms[2], np.eye(3))
    assert plausible(transforms, 100, 50)
    transforms[2] = [[1, 0, 0], [0, 1, 0], [-0.02, 0, 1]]
    assert not plausible(transforms, 100, 50)


def test_a_clip_without_texture_falls_back_to_standing_still():
    grey = np.full((4, 64, 64), 128, np.uint8)
    mattes = np.zeros((4, 1, 64, 64), np.float32)
    motions = parametric_motion(flow_over_gaps(grey, mattes, (1, 2)), mattes)
    for motion in motions:
        assert np.allclose(motion.transforms, np.eye(3), atol=1e-6)


def test_flow_near_an_outline_does_not_count_but_limbs_keep_their_middle():
    matte = np.zeros((1, 80, 120), np.float32)
    matte[0, 10:60, 10:60] = 1
    matte[0, 60:80, 30:40] = 1
    clear = clear_of_outlines(matte)
    assert clear[30, 30]
    assert clear[30, 100]
    assert not clear[30, 12]
    assert not clear[30, 65]
    limb = clear[74, 30:40]
    assert limb.any()
    assert not limb[0]
    assert not limb[-1]
    assert clear_of_outlines(np.zeros((0, 8, 8), np.float32)).all()
    assert clear_of_outlines(np.zeros((1, 8, 8), np.float32)).all()

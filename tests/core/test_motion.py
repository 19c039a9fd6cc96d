"""Optical flow and the parametric start, against the synthetic clip's truth."""

import cv2
import numpy as np
import pytest
import torch

from inve_core.errors import MediaError
from inve_core.motion import device_flow
from inve_core.motion.flow import GapFlow, consistent, dis_flow, gaps_for, sample_at
from inve_core.motion.flow_jobs import begin_flow, flow_over_gaps
from inve_core.motion.parametric import (
    chain,
    fit_transform,
    layer_masks,
    matches_of,
    parametric_motion,
    plausible,
)
from inve_core.motion.refinement import BASES, HUBER_PX, Matches, equations, refine
from inve_core.motion.separation import Crop, extended, inner, layer_view, smoothed, snapped
from inve_core.synthetic import make_clip
from inve_core.threads import thread_pool


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


def test_backward_flow_undoes_forward_flow(truth, flows):
    longest = flows[-1]
    grid = np.stack(np.meshgrid(np.arange(192), np.arange(112)), -1).astype(np.float32)
    ahead = longest.forward[0].astype(np.float32)
    there = grid + ahead
    back = cv2.remap(longest.backward[0].astype(np.float32), there[..., 0], there[..., 1], cv2.INTER_LINEAR)
    round_trip = np.linalg.norm(ahead + back, axis=-1)
    # Away from the object, so that this does not read the flow of another layer.
    ground = inner(truth.mattes[0] < 0.5, 8) & inner(truth.mattes[8] < 0.5, 40)
    counts = longest.forward_valid[0] & ground
    assert counts.sum() > 500
    # At most 1.75 px over this gap, and what half precision rounds off vectors of tens of pixels.
    assert round_trip[counts].max() <= 1.85


@pytest.fixture
def crossing(truth):
    """Grey frames with two mattes: the object, and in front of it a post that is gone for two frames."""
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in truth.rgb])
    mattes = np.stack((np.zeros_like(truth.mattes), truth.mattes), 1).astype(np.float32)
    mattes[:, 0, 30:, 60:80] = 1
    mattes[4:6, 0] = 0
    grey[mattes[:, 0] > 0.5] = 180
    return grey, mattes


def assert_alike(ours, twins):
    """Bounds: OpenCV reads between pixels in steps of 1/32, which vectors and borderline checks feel."""
    for one, other in zip(ours, twins, strict=True):
        for way in ("forward", "backward"):
            vectors, twin = (np.asarray(getattr(flow, way), np.float32) for flow in (one, other))
            valid, twin_valid = (np.asarray(getattr(flow, f"{way}_valid")) for flow in (one, other))
            assert valid.mean() > 0.1
            assert (valid != twin_valid).mean() < 0.005
            apart = np.abs(vectors - twin).max(-1)[valid & twin_valid]
            assert (apart > 0.05).mean() < 0.001


def test_flow_by_torch_is_that_by_threads(crossing):
    gaps = gaps_for(10, 8)
    ours = flow_over_gaps(*crossing, gaps, device="cpu")
    assert_alike(ours, flow_over_gaps(*crossing, gaps))
    stack = ours[0].stack
    assert stack.shape == (10, 4, 2, 112, 192, 2)
    for level, flow in enumerate(ours):
        for way, first in (("forward", 0), ("backward", flow.gap)):
            part = stack[first : first + len(flow.forward), level, int(way == "backward")]
            assert torch.equal(~part.isnan().any(-1), getattr(flow, f"{way}_valid"))
            assert part.data_ptr() == getattr(flow, way).data_ptr()
    # What no pair reaches is not valid.
    assert stack[9, :, 0].isnan().all()
    assert stack[0, :, 1].isnan().all()


def test_flow_that_does_not_fit_the_device_goes_to_the_host(crossing, monkeypatch):
    gaps = gaps_for(10, 4)
    there = flow_over_gaps(*crossing, gaps, device="cpu")
    monkeypatch.setattr(device_flow, "free_bytes", lambda device: 1 << 20)
    done = []
    here = flow_over_gaps(*crossing, gaps, lambda: done.append(1), device="cpu")
    assert len(done) == 9 + 8 + 6
    for one, other in zip(here, there, strict=True):
        assert isinstance(one.forward, np.ndarray)
        assert np.array_equal(one.forward_valid, other.forward_valid.numpy())
        assert np.array_equal(one.backward_valid, other.backward_valid.numpy())
        known = one.backward_valid
        assert np.array_equal(one.backward[known], other.backward.numpy()[known])


@pytest.mark.parametrize("device", [None, "cpu"])
def test_what_goes_wrong_on_the_way_reaches_who_collects(device):
    def frames(i):
        if i == 5:
            raise MediaError("frame 5 is damaged")
        return np.zeros((32, 32), np.uint8), np.zeros((0, 32, 32), np.float32)

    with thread_pool(2) as pool:
        job = begin_flow(pool, 2, frames, (9, 32, 32), 0, (1, 2), device)
        with pytest.raises(MediaError, match="frame 5"):
            job.collect(lambda: None)


@pytest.mark.parametrize("size", [2, 7, 90])
def test_the_matrix_blurs_as_opencv_does(size):
    row = np.random.default_rng(0).random((1, size), np.float32)
    # OpenCV bends a border that is shorter than the kernel only once, so the two differ on tiny pictures.
    expected = cv2.GaussianBlur(cv2.copyMakeBorder(row, 0, 0, 80, 80, cv2.BORDER_REFLECT_101), (0, 0), 2.5)
    blurred = torch.from_numpy(row) @ device_flow.blur_matrix(size, 2.5).t()
    assert np.abs(blurred.numpy() - expected[:, 80:-80]).max() < 1e-5


def test_consistency_refuses_leaving_the_picture_and_the_layer():
    grey = np.zeros((8, 8), np.uint8)
    picture = layer_view(grey, np.zeros((0, 8, 8), np.float32), 0)
    flow = np.zeros((8, 8, 2), np.float32)
    assert consistent(flow, -flow, picture, picture).all()
    flow[..., 0] = 3
    valid = consistent(flow, -flow, picture, picture)
    assert valid[:, :5].all()
    assert not valid[:, 5:].any()
    assert not consistent(flow, np.zeros_like(flow), picture, picture).any()
    assert consistent(flow, np.zeros_like(flow), picture, picture, most_px=3.5)[:, :5].all()
    matte = np.zeros((1, 8, 8), np.float32)
    matte[:, :, 4:] = 1
    half = layer_view(grey, matte, 0)
    assert consistent(flow, -flow, picture, half)[:, 1:5].all()
    assert not consistent(flow, -flow, picture, half)[:, 0].any()


def test_cropped_fields_are_read_at_the_pictures_own_coordinates():
    picture = np.arange(200, dtype=np.float32).reshape(10, 20)
    at, of = Crop(4, 2, 18, 9), Crop(5, 3, 7, 6)
    flow = np.full((3, 2, 2), 2.0, np.float32)
    assert np.array_equal(sample_at(picture[at.slices], at, flow, of), picture[5:8, 7:9])
    assert at.joined(of) == at
    assert of.within(at) == (slice(1, 4), slice(1, 3))
    assert Crop.around(picture > 500, 3) == Crop.whole(picture)
    assert Crop.around(picture == 45, 3) == Crop(2, 0, 9, 6)


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
    matches = matches_of(flows, [np.flatnonzero(mask) for mask in masks], 192, 200, np.random.default_rng(0))
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
    pairs = []
    for a in range(4):
        for b in range(4):
            start = rng.uniform(0, 100, (40, 2))
            moved = np.c_[start, np.ones(40)] @ (np.linalg.inv(true[b]) @ true[a]).T
            end = moved[:, :2] / moved[:, 2:] + rng.normal(0, 0.3, (40, 2))
            end[:4] += 20
            pairs.append((a, b, rng.random(40) > 0.1, start, end))
    matches = Matches(*(np.array(one) for one in zip(*pairs, strict=True)))
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


def huber_of(transforms: np.ndarray, matches: Matches) -> float:
    """The mean Huber loss of 1 px that `refine` minimises."""
    losses = []
    for a, b, (start, end) in zip(matches.source, matches.target, matches.pairs(), strict=True):
        between = np.linalg.inv(transforms[b]) @ transforms[a]
        moved = np.c_[start, np.ones(len(start))] @ between.T
        error = np.linalg.norm(moved[:, :2] / moved[:, 2:] - end, axis=1)
        losses.append(np.where(error < HUBER_PX, 0.5 * error**2, HUBER_PX * (error - 0.5 * HUBER_PX)))
    return float(np.concatenate(losses).mean())


def equations_by_differences(
    transforms: np.ndarray, matches: Matches, basis: np.ndarray, unit: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """The slow twin of `equations`: a match at a time, and slopes by nudging each number of each frame."""
    free, step = basis.shape[1], 1e-6
    size = len(transforms) * free

    def error_of(update: np.ndarray, i: int, j: int, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        moved = []
        for frame in (i, j):
            a, b, x, y, c, d, g, h = basis @ update[frame * free : (frame + 1) * free]
            moved.append(transforms[frame] @ np.array([[1 + a, b, x], [c, 1 + d, y], [g, h, 1]]))
        mapped = np.linalg.inv(moved[1]) @ moved[0] @ np.append(start, 1.0)
        return (mapped[:2] / mapped[2] - end) * unit

    losses, normal, gradient = [], np.zeros((size, size)), np.zeros(size)
    for a, b, (starts, ends) in zip(matches.source, matches.target, matches.pairs(), strict=True):
        for match in zip(starts, ends, strict=True):
            error = error_of(np.zeros(size), a, b, *match)
            sides = [[error_of(way * row, a, b, *match) for row in np.eye(size)] for way in (step, -step)]
            jacobian = np.subtract(*sides).T / (2 * step)
            length = np.linalg.norm(error)
            losses.append(0.5 * length**2 if length < HUBER_PX else HUBER_PX * (length - 0.5 * HUBER_PX))
            weight = min(1.0, HUBER_PX / length)
            normal += weight * jacobian.T @ jacobian
            gradient += weight * jacobian.T @ error
    count = len(losses)
    return sum(losses) / count, normal / count, gradient / count


@pytest.mark.parametrize("model", ["homography", "affine", "similarity", "translation"])
def test_the_equations_of_all_pairs_at_once_are_those_of_each_match(model):
    rng = np.random.default_rng(0)
    transforms = np.tile(np.eye(3), (3, 1, 1)) + rng.normal(0, 0.02, (3, 3, 3))
    transforms /= transforms[:, 2:, 2:]
    pairs = [(0, 1), (1, 0), (0, 2), (2, 1), (1, 1)]
    start = rng.uniform(-1, 1, (5, 4, 2))
    matches = Matches(
        *np.array(pairs).T, rng.random((5, 4)) > 0.3, start, start + rng.normal(0, 0.02, (5, 4, 2))
    )
    fast = equations(transforms, matches, BASES[model], 50.0)
    slow = equations_by_differences(transforms, matches, BASES[model], 50.0)
    for one, other in zip(fast, slow, strict=True):
        # Central differences of a step of 1e-6 are good to about 1e-9 of the largest.
        assert np.allclose(one, other, rtol=0, atol=1e-7 * np.abs(other).max())


def test_matches_are_usable_vectors_of_the_layer_and_repeat_for_a_seed(truth, flows):
    masks = layer_masks(truth.mattes[:, None].astype(np.float32))[:, 0]
    places = [np.flatnonzero(mask) for mask in masks]

    def draw(some_flows, most):
        return matches_of(some_flows, places, 192, most, np.random.default_rng(3))

    found = draw(flows, 30)
    assert found.start.shape == (2 * (9 + 8 + 6 + 2), 30, 2)
    for a, b, (start, end) in zip(found.source, found.target, found.pairs(), strict=True):
        x, y = (start.T - 0.5).astype(int)
        flow = next(flow for flow in flows if flow.gap == abs(b - a))
        way, valid = ("forward", "forward_valid") if b > a else ("backward", "backward_valid")
        assert masks[a, y, x].all()
        assert getattr(flow, valid)[min(a, b), y, x].all()
        assert np.allclose(end - start, getattr(flow, way)[min(a, b), y, x])
    # Where there are fewer than asked for, all that are valid come, each once.
    everything = draw(flows[:1], 100_000)
    assert everything.usable[0].sum() == (masks[0] & flows[0].forward_valid[0]).sum()
    tensors = [
        GapFlow(flow.gap, *(torch.from_numpy(array) for array in list(vars(flow).values())[1:]))
        for flow in flows
    ]
    for one, other in zip(vars(found).values(), vars(draw(tensors, 30)).values(), strict=True):
        assert np.array_equal(one, other)


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


class TestSeparation:
    def test_the_inner_part_leaves_the_outline_out_but_keeps_the_middle_of_limbs(self):
        matte = np.zeros((80, 120), bool)
        matte[10:60, 10:60] = True
        matte[60:80, 30:36] = True
        kept = inner(matte, 8)
        assert kept[30, 30]
        assert not kept[30, 12]
        assert not kept[30, 65]
        limb = kept[74, 30:36]
        assert limb.any()
        assert not limb[0]
        assert not limb[-1]
        assert inner(np.ones((8, 8), bool), 4).all()

    def test_a_layer_is_carried_outward_and_the_other_side_is_gone(self):
        grey = np.full((60, 80), 200, np.uint8)
        grey[20:40, 20:50] = 50
        share = np.zeros((60, 80), np.float32)
        share[20:40, 20:50] = 1
        assert np.abs(extended(grey, share).astype(int) - 50).max() <= 1
        assert np.abs(extended(grey, 1 - share).astype(int) - 200).max() <= 1
        assert extended(grey, np.ones_like(share)) is grey

    def test_a_layer_in_front_is_a_place_to_go_behind_and_not_an_outline_to_stay_inside(self):
        mattes = np.zeros((2, 40, 60), np.float32)
        mattes[0, :, 30:40] = 1
        mattes[1, 10:30, 10:34] = 1
        grey = np.zeros((40, 60), np.uint8)
        front, middle, ground = (layer_view(grey, mattes, layer) for layer in range(3))
        assert front.share[20, 32] == 1
        assert middle.share[20, 32] == 0
        assert middle.nearest is not None
        assert middle.nearest[1][20, 32] == 0
        assert middle.nearest[1][5, 20] > 0
        assert ground.nearest is None
        assert front.clear[20, 30]
        assert not middle.clear[20, 28]
        assert middle.clear[20, 12]

    def test_vectors_that_miss_the_layer_go_to_its_nearest_pixel(self):
        mattes = np.zeros((1, 20, 30), np.float32)
        mattes[0, 5:15, 10:20] = 1
        view = layer_view(np.zeros((20, 30), np.uint8), mattes, 0)
        flow = np.zeros((20, 30, 2), np.float32)
        flow[10, 12] = 12, 1
        moved = snapped(flow, Crop.whole(flow), view)
        assert moved[10, 12].tolist() == [7, 1]
        assert moved[10, 15].tolist() == [0, 0]

    def test_smoothing_goes_by_the_vectors_that_come_back(self):
        flow = np.zeros((21, 21, 2), np.float32)
        flow[10, 10] = 40
        miss = np.zeros((21, 21), np.float32)
        miss[10, 10] = 80
        blurred = smoothed(flow, miss, np.ones((21, 21), np.float32), 2.0)
        assert np.abs(blurred).max() < 0.01

    def test_an_object_before_a_moving_ground_keeps_its_own_motion_up_to_its_outline(self):
        """What DIS on whole pictures gets wrong: near the outline the ground's motion wins."""
        rng = np.random.default_rng(0)
        ground = cv2.GaussianBlur(rng.integers(0, 255, (120, 200)).astype(np.uint8), (0, 0), 2)
        ground = cv2.normalize(ground, None, 0, 255, cv2.NORM_MINMAX)
        thing = np.full((40, 40), 128, np.uint8) + rng.integers(0, 12, (40, 40)).astype(np.uint8)
        frames, mattes = [], np.zeros((2, 1, 120, 200), np.float32)
        for i, (ground_x, thing_x) in enumerate(((0, 80), (6, 78))):
            frame = np.roll(ground, ground_x, axis=1)
            frame[40:80, thing_x : thing_x + 40] = thing
            mattes[i, 0, 40:80, thing_x : thing_x + 40] = 1
            frames.append(frame)
        (flow,) = flow_over_gaps(np.stack(frames), mattes, (1,))
        object_x = flow.forward[0, 40:80, 80:120, 0].astype(float)
        assert np.abs(object_x + 2).mean() < 0.5
        assert np.median(flow.forward[0, :30, :150, 0]) == pytest.approx(6, abs=0.3)
        whole = dis_flow(*frames)[40:80, 80:120, 0]
        assert np.abs(whole + 2).mean() > 2 * np.abs(object_x + 2).mean()


@pytest.mark.parametrize("seed", range(3))
def test_noise_gives_some_motion_and_no_error(seed):
    """Nothing matches: normal equations without a solution must not end a training."""
    random = np.random.default_rng(seed)
    grey = random.integers(0, 255, (4, 64, 96), np.uint8)
    mattes = np.zeros((4, 1, 64, 96), np.float32)
    mattes[:, :, 16:32, 24:48] = 1.0
    for motion in parametric_motion(flow_over_gaps(grey, mattes, gaps_for(4, 2)), mattes):
        assert np.isfinite(motion.transforms).all()
        assert (np.abs(np.linalg.det(motion.transforms)) > 0.1).all()

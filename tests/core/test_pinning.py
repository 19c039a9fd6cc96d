"""Textures held to tracked points: fits to exact tracks, and a learned shot of known motion."""

import math

import numpy as np
import pytest

from inve_core.edits import Texture
from inve_core.rendering.pinning import (
    _follow,
    fit_homographies,
    fit_robustly,
    fit_similarities,
    is_sound,
    track_placement,
    weighted_median,
)
from inve_core.rendering.placements import UNIT_CORNERS, Placement, projected, square_to_quad

DRAWN = 1004
T = DRAWN - 1001
# Corners on the ground that the object leaves alone.
CLEAR = ((112.0, 66.0), (154.0, 68.0), (152.0, 92.0), (114.0, 90.0))


def texture(**values: object) -> Texture:
    return Texture(image="a.png", frame=DRAWN, **values)


class TestFits:
    """The mathematics on exact tracks."""

    rng = np.random.default_rng(3)
    start = rng.random((49, 2)) * (40, 30) + (300, 200)

    def similarities(self) -> np.ndarray:
        made = []
        for angle, scale, shift in ((0.0, 1.0, (0, 0)), (0.4, 1.3, (60, -20)), (-2.0, 0.4, (900, 4))):
            cos, sin = scale * math.cos(angle), scale * math.sin(angle)
            made.append([[cos, -sin, shift[0]], [sin, cos, shift[1]], [0, 0, 1]])
        return np.array(made)

    def homographies(self) -> np.ndarray:
        quads = [
            ((300, 200), (340, 200), (340, 230), (300, 230)),
            ((310, 190), (360, 205), (352, 250), (306, 222)),
            ((1000, 50), (1030, 80), (1025, 90), (990, 75)),
        ]
        base = square_to_quad(np.array(quads[0], float))
        return np.array([square_to_quad(np.array(quad, float)) @ np.linalg.inv(base) for quad in quads])

    @pytest.mark.parametrize("kind", ["similarities", "homographies"])
    def test_exact_tracks_give_the_motion(self, kind):
        truth = getattr(self, kind)()
        fit = {"similarities": fit_similarities, "homographies": fit_homographies}[kind]
        end = projected(truth, self.start)
        found = fit(self.start, end, np.ones(end.shape[:2]))
        corners = UNIT_CORNERS * (40, 30) + (300, 200)
        assert projected(found, corners) == pytest.approx(projected(truth, corners), abs=1e-5)
        assert (found[:, 2] @ np.array([320.0, 215.0, 1.0]) > 0).all()

    @pytest.mark.parametrize("kind", ["similarities", "homographies"])
    @pytest.mark.parametrize("share", [0.1, 0.3])
    def test_landmarks_that_went_astray_do_not_count(self, kind, share):
        truth = getattr(self, kind)()
        fit = {"similarities": fit_similarities, "homographies": fit_homographies}[kind]
        end = projected(truth, self.start) + self.rng.normal(0, 0.05, (3, 49, 2))
        astray = self.rng.random((3, 49)) < share
        end[astray] += self.rng.normal(0, 25, (int(astray.sum()), 2))
        found = fit_robustly(fit, self.start, end, np.ones((3, 49)))
        corners = UNIT_CORNERS * (40, 30) + (300, 200)
        assert np.linalg.norm(projected(found, corners) - projected(truth, corners), axis=2).max() < 0.3

    def test_weights_count(self):
        truth, other = self.similarities()[1:2], self.similarities()[0:1]
        end, weights = projected(truth, self.start), np.ones((1, 49))
        end[:, :20], weights[:, :20] = projected(other, self.start)[:, :20], 1e-9
        assert fit_similarities(self.start, end, weights) == pytest.approx(truth, abs=1e-4)

    def test_tracks_that_fell_into_one_point_keep_their_size(self):
        found = fit_similarities(self.start, np.full((1, 49, 2), 7.0), np.ones((1, 49)))
        assert found[0, :2, :2] == pytest.approx(np.eye(2))
        assert np.isfinite(fit_homographies(self.start, np.full((1, 49, 2), 7.0), np.ones((1, 49)))).all()

    def test_the_weighted_median(self):
        values, weights = np.array([[5.0, 1.0, 9.0], [5.0, 1.0, 9.0]]), np.array([[1, 1, 1], [1, 1, 9.0]])
        assert weighted_median(values, weights).tolist() == [5.0, 9.0]

    def test_a_perspective_that_is_none_is_seen(self):
        corners = UNIT_CORNERS * (40, 30) + (300, 200)
        good = self.homographies()
        level = np.tile(np.eye(3), (4, 1, 1))
        behind, turned, tiny = good[0].copy(), good[0].copy(), good[0].copy()
        behind[2] = (-0.05, 0, 16)  # Its horizon, x = 320, goes through the quad.
        turned[0, 0] = -1
        tiny[:2, :2] *= 0.1
        bad = np.stack((behind, turned, tiny, np.full((3, 3), np.nan)))
        assert is_sound(good, self.similarities(), corners).all()
        assert not is_sound(bad, level, corners).any()


def true_motion(shot, layer: str, t: int, corners: np.ndarray) -> np.ndarray:
    """Where points of the drawn frame are on frame index t."""
    return shot.truth.position(layer, T, corners, t)


class TestTracking:
    """On the learned shot, whose true motion is known."""

    GROUND = ((14.0, 66.0), (66.0, 68.0), (62.0, 92.0), (18.0, 90.0))

    def placement(self, quad=GROUND, **values) -> Placement:
        return Placement.of(texture(corners=quad, **values))

    @pytest.mark.parametrize("anchor", [(0.5, 0.5), (0.0, 1.0)])
    def test_point_keeps_its_shape(self, shot, anchor):
        placement = self.placement(anchor=anchor)
        motion = track_placement(shot.model, 1, T, placement, "point")
        for t in range(8):
            moved = motion.from_drawn(t, placement.corners)
            start, end = placement.corners - placement.corners.mean(0), moved - moved.mean(0)
            affine = np.linalg.lstsq(start, end, rcond=None)[0].T
            assert np.linalg.svd(affine)[1] == pytest.approx([1, 1], abs=1e-3)
            assert math.atan2(affine[1, 0], affine[0, 0]) == pytest.approx(0, abs=1e-3)
            goal = true_motion(shot, "background", t, placement.anchor[None])
            assert math.dist(motion.from_drawn(t, placement.anchor[None])[0], goal[0]) < 0.5

    @pytest.mark.parametrize("tracking", ["point", "similarity", "corner"])
    def test_the_drawn_frame_is_exact(self, shot, tracking):
        placement = self.placement()
        motion = track_placement(shot.model, 1, T, placement, tracking)
        assert np.array_equal(
            motion.from_drawn(T, placement.corners), projected(np.eye(3), placement.corners)
        )

    def test_corner_is_the_true_homography(self, shot):
        placement = self.placement()
        motion = track_placement(shot.model, 1, T, placement, "corner")
        for t in range(8):
            goal = true_motion(shot, "background", t, placement.corners)
            found = motion.from_drawn(t, placement.corners)
            side = np.linalg.norm(np.roll(goal, -1, 0) - goal, axis=1)
            found_side = np.linalg.norm(np.roll(found, -1, 0) - found, axis=1)
            assert found_side == pytest.approx(side, rel=0.02)
            assert np.linalg.norm(found - goal, axis=1).max() < 0.02 * side.max()

    @pytest.mark.parametrize(
        ("tracking", "fit"), [("similarity", fit_similarities), ("corner", fit_homographies)]
    )
    @pytest.mark.parametrize("layer", ["foreground", "background"])
    def test_it_is_the_best_that_the_truth_allows(self, shot, layer, tracking, fit):
        """The object bends as well, which neither can follow: each is held against the best of its kind."""
        y, x = np.nonzero(shot.truth.mattes[T] > 0.5)
        place = {"x": float(x.mean()), "y": float(y.mean()), "width": 30.0, "height": 26.0}
        placement = Placement.of(texture(**place)) if layer == "foreground" else self.placement(CLEAR)
        motion = track_placement(
            shot.model, ("foreground", "background").index(layer), T, placement, tracking
        )
        points = placement.grid(9)
        true = np.stack([true_motion(shot, layer, t, points) for t in range(8)])
        goal = projected(fit(points, true, np.ones((8, 81))), placement.corners)
        found = projected(motion.matrices, placement.corners)
        side = np.linalg.norm(np.roll(goal, -1, 1) - goal, axis=2)
        assert np.linalg.norm(np.roll(found, -1, 1) - found, axis=2) == pytest.approx(side, rel=0.02)
        shape, goal_shape = (one - one.mean(1, keepdims=True) for one in (found, goal))
        assert np.linalg.norm(shape - goal_shape, axis=2).max() < 0.02 * side.max()
        assert np.linalg.norm(found - goal, axis=2).max() < 0.03 * side.max()

    @pytest.mark.parametrize("tracking", ["similarity", "corner"])
    def test_corners_on_another_video_layer_do_not_wreck_it(self, shot, tracking):
        # The right part of the quad lies on the object.
        y, x = np.nonzero(shot.truth.mattes[T] > 0.5)
        right, middle = float(x.min()) + 12.0, float(y.mean())
        quad = (
            (right - 60, middle - 20),
            (right, middle - 20),
            (right, middle + 20),
            (right - 60, middle + 20),
        )
        placement = self.placement(quad, anchor=(0.2, 0.5))
        on_object = shot.truth.visible("foreground", T, placement.grid(9))
        assert 0.05 < on_object.mean() < 0.6
        motion = track_placement(shot.model, 1, T, placement, tracking)
        for t in (0, 7):
            goal = true_motion(shot, "background", t, placement.corners)
            found = motion.from_drawn(t, placement.corners)
            assert np.linalg.norm(found - goal, axis=1).max() < 0.02 * 60

    @pytest.mark.parametrize("tracking", ["similarity", "corner"])
    def test_corners_outside_of_the_picture_do_not_wreck_it(self, shot, tracking):
        placement = self.placement(((-30, 60), (50, 60), (50, 120), (-30, 120)))
        motion = track_placement(shot.model, 1, T, placement, tracking)
        for t in (0, 7):
            goal = true_motion(shot, "background", t, placement.corners)
            found = motion.from_drawn(t, placement.corners)
            assert np.linalg.norm(found - goal, axis=1).max() < 0.02 * 80

    def test_an_anchor_that_is_lost_is_carried_by_the_rest(self, shot, monkeypatch):
        placement = self.placement(CLEAR)
        sound = track_placement(shot.model, 1, T, placement, "similarity")

        def losing(model, layer, t, points):
            tracks, weights = _follow(model, layer, t, points)
            if len(points) == 1:
                tracks[0, 6] += 500
            return tracks, weights

        monkeypatch.setattr("inve_core.rendering.pinning._follow", losing)
        found = track_placement(shot.model, 1, T, placement, "similarity")
        assert np.array_equal(found.matrices[:6], sound.matrices[:6])
        assert np.abs(found.matrices[6] - sound.matrices[6]).max() < 0.5

    def test_too_little_to_go_by_falls_back(self, shot):
        # A sliver of the quad is in the picture: enough to follow, not to tell its perspective.
        sliver = self.placement(((-60, 60), (1, 60), (1, 90), (-60, 90)), anchor=(1.0, 0.5))
        corner = track_placement(shot.model, 1, T, sliver, "corner")
        assert np.array_equal(corner.matrices[:, 2, :2], np.zeros((8, 2)))
        outside = self.placement(((-60, 60), (-5, 60), (-5, 90), (-60, 90)))
        still = track_placement(shot.model, 1, T, outside, "corner")
        assert still.matrices[:, :2, :2] == pytest.approx(np.tile(np.eye(2), (8, 1, 1)))

"""Splines: what they go through, how smooth they are, and the many at once against one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_edits import random_line

from inve_core.edits import Stroke
from inve_core.rendering import chains, curves, strokes

# No pen puts two points a thousandth of a pixel apart, where the pyramid runs out of digits long after.
Coordinates = st.integers(-512_000, 512_000).map(lambda thousandths: thousandths / 1024)
Points = st.lists(st.tuples(Coordinates, Coordinates), min_size=1, max_size=9)


def four_points(seed: int):
    return np.random.default_rng(seed).normal(0, 20, (4, 2))


@pytest.mark.parametrize("seed", range(5))
def test_the_pyramid_agrees_with_bezier_curves(seed):
    four = four_points(seed)
    span = curves.bezier_spans(*(one[None] for one in four))
    for share in np.linspace(0, 1, 7):
        there = curves.evaluate(span, np.array([share]))[0]
        assert curves.barry_goldman(four, float(share)) == pytest.approx(there, abs=1e-9)


@given(points=Points, closed=st.booleans())
def test_goes_through_its_points_in_short_steps(points, closed):
    closed = closed and len(points) > 2
    fine = curves.resample(np.array(points), 2.0, closed)
    assert np.isfinite(fine).all()
    for point in points:
        assert np.abs(fine - point).max(1).min() < 1e-6
    around = np.concatenate((fine, fine[:1])) if closed else fine
    assert np.hypot(*np.diff(around, axis=0).T).max(initial=0.0) <= 2.0 + 1e-6


@pytest.mark.parametrize("closed", [False, True])
def test_has_no_corner_at_its_points(closed):
    """Directions a hair before and behind a point agree: the curve is C1, in the parameter of its knots."""
    points = np.random.default_rng(3).normal(0, 30, (6, 2))
    following = np.roll(points, -1, 0)
    spans = curves.spans_of_lines(points, following, np.zeros(6, int), np.ones(6, bool))
    if not closed:
        spans = curves.spans_of_lines(points[:5], points[1:], np.zeros(5, int), np.zeros(5, bool))
    knots = np.sqrt(np.hypot(*(spans[:, 3] - spans[:, 0]).T))[:, None]
    leaving, arriving = 3 * (spans[:, 1] - spans[:, 0]) / knots, 3 * (spans[:, 3] - spans[:, 2]) / knots
    before = np.roll(arriving, 1, 0) if closed else arriving[:-1]
    after = leaving if closed else leaving[1:]
    assert np.allclose(before, after, atol=1e-9)


def test_straight_pieces_keep_to_the_curve():
    """Also where it turns so sharply that the spacing alone would cut the corner."""
    points = np.array([[0.0, 0.0], [30.0, 0.0], [31.0, 1.0], [0.0, 4.0]])
    coarse, fine = curves.resample(points, 4.0, False), curves.resample(points, 0.02, False)
    start, along = coarse[:-1], np.diff(coarse, axis=0)
    away = fine[:, None] - start
    share = np.clip((away * along).sum(-1) / (along**2).sum(-1), 0, 1)
    off = np.linalg.norm(away - share[..., None] * along, axis=-1).min(1)
    assert off.max() <= curves.FLATNESS_PX


def test_points_that_coincide_make_no_corner():
    """A pen that rests writes the same point many times; the line goes on as without."""
    points = np.array([[0.0, 0.0], [10.0, 5.0], [20.0, 0.0], [30.0, 9.0]])
    plain = curves.resample(points, 1.0, False)
    doubled = curves.resample(points[[0, 0, 1, 1, 1, 2, 3, 3]], 1.0, False)
    assert np.array_equal(np.unique(plain, axis=0), np.unique(doubled, axis=0))


def test_two_points_make_a_straight_line():
    fine = curves.resample(np.array([[0.0, 0.0, 1.0], [10.0, 5.0, 3.0]]), 1.0, False)
    assert fine[:, 1] == pytest.approx(fine[:, 0] / 2)
    assert fine[:, 2] == pytest.approx(1 + fine[:, 0] / 5)


@pytest.mark.parametrize("seed", range(8))
def test_many_at_once_as_one_by_one(seed):
    rng = np.random.default_rng(seed)
    edits = [Stroke(**random_line(rng, 160, 96), color=(1.0, 1.0, 1.0, 1.0)) for _ in range(25)]
    places = np.column_stack((rng.normal(0, 50, (25, 2)), rng.uniform(50, 200, 25)))
    places = np.where([[edit.space == "atlas"] for edit in edits], places, (0.0, 0.0, 1.0))
    fine, tapers, counts = chains.resample_all(edits, places)
    ends = np.cumsum(counts)
    for edit, place, low, high in zip(edits, places, ends - counts, ends, strict=True):
        points = strokes.control_points(edit)
        points[:, :2] = points[:, :2] * place[2] + place[:2]
        spacing = float(np.clip(edit.width * place[2] / 3, *strokes.SPACING_PX))
        expected = strokes.resample(points, spacing, edit.closed, edit.smooth)
        assert fine[low:high] == pytest.approx(expected[:, :2], abs=1e-9)
        taper = expected[:, 2:] if expected.shape[1] > 2 else np.ones((high - low, 2))
        assert tapers[low:high] == pytest.approx(taper, abs=1e-12)

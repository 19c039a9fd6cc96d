"""A Bezier's outline in straight pieces, and its soft edge."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inve_nuke.roto_shapes import Knot, Place, ShapeRefused, region

coordinates = st.floats(-4_000, 4_000)
tangents = st.floats(-500, 500)
places = st.tuples(coordinates, coordinates)
knots = st.tuples(st.tuples(tangents, tangents), places, st.tuples(tangents, tangents))


def corner(x: float, y: float) -> Knot:
    return ((0, 0), (x, y), (0, 0))


SQUARE = [corner(0, 0), corner(100, 0), corner(100, 100), corner(0, 100)]


def to_piece(place: Place, start: Place, end: Place) -> float:
    (px, py), (ax, ay), (bx, by) = place, start, end
    dx, dy = bx - ax, by - ay
    length = dx * dx + dy * dy
    share = min(max(((px - ax) * dx + (py - ay) * dy) / length, 0), 1) if length else 0
    return math.hypot(px - ax - share * dx, py - ay - share * dy)


def de_casteljau(points: list[Place], share: float) -> Place:
    while len(points) > 1:
        ends = points[1:]
        points = [
            (x + (ends[k][0] - x) * share, y + (ends[k][1] - y) * share)
            for k, (x, y) in enumerate(points[:-1])
        ]
    return points[0]


@settings(max_examples=60, deadline=None)
@given(st.lists(knots, min_size=3, max_size=4))
def test_an_outline_stays_within_a_tenth_of_a_pixel(shape: list[Knot]) -> None:
    outline, soft_px = region(shape, None, 0.0)
    assert soft_px == 0
    pieces = [(outline[k - 1], place) for k, place in enumerate(outline)]
    for index, (_, start, right) in enumerate(shape):
        left, end, _ = shape[(index + 1) % len(shape)]
        handles = [
            start,
            (start[0] + right[0], start[1] + right[1]),
            (end[0] + left[0], end[1] + left[1]),
            end,
        ]
        for k in range(21):
            place = de_casteljau(handles, k / 20)
            assert min(to_piece(place, *piece) for piece in pieces) < 0.1


def test_straight_sides_are_one_piece_each() -> None:
    assert region(SQUARE, None, 0.0)[0] == [(0, 0), (100, 0), (100, 100), (0, 100)]
    along = [((0, 0), (0, 0), (30, 0)), ((-30, 0), (100, 0), (0, 0)), corner(100, 100)]
    assert len(region(along, None, 0.0)[0]) == 3
    # A handle that leads back lets the line overshoot its end.
    back = [((0, 0), (0, 0), (-60, 0)), corner(100, 0), corner(100, 100)]
    assert len(region(back, None, 0.0)[0]) > 3


@pytest.mark.parametrize("reach", [10.0, -10.0])
@pytest.mark.parametrize("shape", [SQUARE, SQUARE[::-1]], ids=["against the clock", "with it"])
def test_a_feather_all_around_moves_every_side_by_half(shape: list[Knot], reach: float) -> None:
    outline, soft_px = region(shape, None, reach)
    assert soft_px == 10
    low, high = -reach / 2, 100 + reach / 2
    assert {(round(x, 9), round(y, 9)) for x, y in outline} == {
        (low, low),
        (high, low),
        (high, high),
        (low, high),
    }


def test_a_sharp_corner_moves_no_further_than_twice() -> None:
    needle = [corner(0, 0), corner(1000, -10), corner(1000, 10)]
    outline, _ = region(needle, None, 10.0)
    assert math.hypot(*outline[0]) == pytest.approx(10)


def test_feather_points_may_be_even_and_curved() -> None:
    kappa = 0.5522847498

    def circle(radius: float) -> list[Knot]:
        k = radius * kappa
        return [
            ((0, -k), (radius, 0), (0, k)),
            ((k, 0), (0, radius), (-k, 0)),
            ((0, k), (-radius, 0), (0, -k)),
            ((-k, 0), (0, -radius), (k, 0)),
        ]

    main, outer = circle(100), circle(120)
    offsets = circle(20)
    feather = [(left, offsets[k][1], right) for k, (left, _, right) in enumerate(outer)]
    outline, soft_px = region(main, feather, 0.0)
    assert soft_px == pytest.approx(20, abs=0.05)
    assert all(math.hypot(x, y) == pytest.approx(110, abs=0.05) for x, y in outline)


@pytest.mark.parametrize(
    ("shape", "feather", "feather_px", "message"),
    [
        (SQUARE[:2], None, 0.0, "a region needs three"),
        (SQUARE, [corner(0, 0)], 0.0, "1 feather points for 4"),
        (SQUARE, [corner(-8, -8), corner(8, -8), corner(8, 8), corner(-8, 8)], 5.0, "keep one of them"),
        (
            SQUARE,
            [corner(-8, 0), corner(40, 0), corner(40, 0), corner(-8, 0)],
            0.0,
            "feather of 0 to 40 pixels",
        ),
    ],
)
def test_what_is_no_region_is_refused(
    shape: list[Knot], feather: list[Knot] | None, feather_px: float, message: str
) -> None:
    with pytest.raises(ShapeRefused, match=message):
        region(shape, feather, feather_px)


def test_points_on_one_place_are_a_shape_of_nothing_and_no_error() -> None:
    outline, soft_px = region([corner(5, 5)] * 3, None, 10.0)
    assert (set(outline), soft_px) == ({(5, 5)}, 10.0)

"""A stroke while it is drawn, and what of it goes to the daemon."""

import math
import random
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inve_blender.drawing import MAX_VERTICES, Brush, StrokeCapture
from inve_client.plugin.polyline import TOLERANCE_PX, clip_line, clip_outline
from inve_core.edits import check_stack, parse_stack

SIZE = (640, 360)
BOX = (0.0, 0.0, 100.0, 50.0)


def capture(points, *, brush=None, closed=False, size=SIZE):
    """A capture with one segment, 8 ms a sample; points are (x, y) or (x, y, pressure)."""
    drawn = StrokeCapture(brush or Brush(6.0), *size, closed=closed)
    add_segment(drawn, points)
    return drawn


def add_segment(drawn, points):
    for number, (x, y, *pressure) in enumerate(points):
        drawn.add(x, y, pressure[0] if pressure else 1.0, 0.008 * number)
    drawn.lift()


def distance_to_line(point, line):
    """From a point to the nearest piece of a line, and the share of the way and index where that is."""
    best = (math.inf, 0, 0.0)
    for index, (a, b) in enumerate(pairwise(line)):
        dx, dy = b[0] - a[0], b[1] - a[1]
        length = dx * dx + dy * dy
        share = 0.0
        if length:
            share = min(1.0, max(0.0, ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / length))
        away = math.hypot(point[0] - a[0] - share * dx, point[1] - a[1] - share * dy)
        best = min(best, (away, index, share))
    return best


def spiral(count):
    return [(320 + 0.15 * k * math.cos(k / 50), 180 + 0.15 * k * math.sin(k / 50)) for k in range(count)]


@st.composite
def walks(draw):
    """Lines as hands draw them, and worse: short steps and long ones, standing still, turning back."""
    steps = draw(
        st.lists(
            st.tuples(
                st.floats(-math.pi, math.pi),
                st.sampled_from((0.0, 0.02, 0.3, 1.0, 9.0, 80.0)),
                st.floats(0, 1),
            ),
            min_size=1,
            max_size=60,
        )
    )
    heading, x, y, points = 0.0, 320.0, 180.0, []
    for turn, step, pressure in steps:
        heading += turn * draw(st.sampled_from((0.05, 1.0)))
        x, y = x + step * math.cos(heading), y + step * math.sin(heading)
        points.append((x, y, pressure))
    return points


@given(walks())
def test_thinning_stays_within_a_tenth_of_a_pixel(points):
    drawn = capture(points, size=(20_000, 20_000))
    line = drawn.vertices if len(drawn.vertices) > 1 else drawn.vertices * 2
    for point in points:
        assert distance_to_line(point, line)[0] <= TOLERANCE_PX
    assert drawn.vertices[0][:2] == points[0][:2]
    assert drawn.vertices[-1][:2] == pytest.approx(points[-1][:2], abs=1e-9)


def test_a_straight_line_keeps_its_ends_and_a_long_stroke_loses_most_points():
    assert capture([(k, 2 * k) for k in range(100)]).vertices == [(0, 0, 1), (99, 198, 1)]
    assert len(capture(spiral(1000)).vertices) < 500


def test_pressure_is_kept_where_the_line_is_straight():
    brush = Brush(20.0, pressure_opacity=True, least_width=0.25)
    points = [(k * 2.0, 50.0, 0.5 + 0.5 * math.sin(k / 15)) for k in range(200)]
    (line,) = capture(points, brush=brush).finish()
    assert len(line.points) < 100
    assert line.point_widths is not None
    assert line.point_opacities is not None
    for x, y, pressure in points[5:]:
        away, index, share = distance_to_line((x, y), line.points)
        widths = line.point_widths[index : index + 2]
        opacities = line.point_opacities[index : index + 2]
        assert away <= TOLERANCE_PX
        # 8 ms a sample behind 20 ms of evening out, at 0.5/15 a sample, is 0.1 at most.
        opacity = opacities[0] + share * (opacities[1] - opacities[0])
        assert opacity == pytest.approx(pressure, abs=0.1)
        assert widths[0] + share * (widths[1] - widths[0]) == pytest.approx(0.25 + 0.75 * opacity, abs=0.01)


def test_a_trembling_hand_is_smoothed_and_nothing_else_is():
    rng = random.Random(1)
    brush = Brush(6.0, jitter_px=2.0)
    true = [(20 + 1.5 * k, 180 + 60 * math.sin(k / 40)) for k in range(400)]
    shaken = [(x + rng.gauss(0, 0.7), y + rng.gauss(0, 0.7)) for x, y in true]

    def error(line):
        ways = [distance_to_line(point, line)[0] for point in true[5:-5]]
        return math.sqrt(sum(way * way for way in ways) / len(ways))

    smoothed = [vertex[:2] for vertex in capture(shaken, brush=brush).vertices]
    assert error(smoothed) < 0.6 * error(shaken)
    # A steady hand's own curve is left alone, and so are the ends of any.
    still = [vertex[:2] for vertex in capture(true, brush=brush).vertices]
    assert max(distance_to_line(point, still)[0] for point in true) < 2 * TOLERANCE_PX
    assert smoothed[0] == shaken[0]
    assert smoothed[-1] == shaken[-1]


def test_a_corner_moves_no_farther_than_a_tremble():
    corner = [(100 + k * 0.9, 100.0) for k in range(60)] + [(153.1, 100 + k * 0.9) for k in range(1, 60)]
    line = capture(corner, brush=Brush(6.0, jitter_px=2.0)).vertices
    assert max(distance_to_line(point, line)[0] for point in corner) <= 2.0


def test_what_is_shown_ends_at_the_pen_at_every_moment():
    drawn = StrokeCapture(Brush(6.0, jitter_px=2.0), *SIZE)
    before = []
    for number, (x, y) in enumerate(spiral(300)):
        drawn.add(x, y, 1.0, number * 0.008)
        shown = [*drawn.vertices, *drawn.tail()]
        assert shown[-1][:2] == (x, y)
        assert len(drawn.tail()) <= 8
        # What was certain stays as it was.
        assert drawn.vertices[: len(before)] == before
        before = list(drawn.vertices)


def test_a_point_costs_the_same_at_the_end_of_a_long_stroke():
    points = [(320 + 150 * math.cos(k / 7) + k % 3, 180 + 150 * math.sin(k / 9)) for k in range(20_000)]
    drawn = StrokeCapture(Brush(6.0, jitter_px=1.0), *SIZE)
    blocks = []
    for start in range(0, len(points), 500):
        begun = time.perf_counter()
        for number in range(start, start + 500):
            drawn.add(*points[number], 1.0, number * 0.008)
            drawn.tail()
        blocks.append(time.perf_counter() - begun)
    # The quickest block of each half, because others use this machine.
    assert min(blocks[20:]) < 2 * min(blocks[:20])


def test_segments_are_undone_one_by_one():
    drawn = StrokeCapture(Brush(6.0, jitter_px=2.0), *SIZE)
    add_segment(drawn, [(10, 10), (60, 10), (60, 40)])
    kept = list(drawn.vertices)
    add_segment(drawn, [(60, 40), (90, 90)])
    drawn.add(95, 95, 1, 2.0)
    drawn.add(99, 99, 1, 2.1)
    assert drawn.segments == 3
    assert drawn.undo()
    assert drawn.tail() == []
    assert drawn.undo()
    assert drawn.vertices == kept
    drawn.add(61, 41, 1, 3.0)
    drawn.add(80, 41, 1, 3.1)
    assert drawn.finish()[0].points == ((10, 10), (60, 10), (60, 40), (61, 41), (80, 41))
    drawn.cancel()
    assert drawn.is_empty
    assert not drawn.undo()
    assert drawn.finish() == ()


def test_a_tap_is_a_dot_as_wide_as_it_was_pressed():
    brush = Brush(6.0, jitter_px=2.0)
    (line,) = capture([(50, 60, 0.2), (50.4, 60.2, 0.9), (50.1, 59.8, 0.1)], brush=brush).finish()
    assert line.points == ((50, 60),)
    assert line.point_widths is not None
    assert 0.2 < line.point_widths[0] < 0.9


def test_a_mouse_needs_no_widths():
    (line,) = capture([(5, 5), (50, 5), (50, 20)]).finish()
    assert line.fields() == {"points": [[5, 5], [50, 5], [50, 20]]}


def test_a_stroke_that_leaves_the_picture_comes_back_as_another_line():
    lines = capture([(600, 100), (700, 100), (700, 200), (600, 200)], brush=Brush(10.0)).finish()
    assert [line.points for line in lines] == [
        ((600, 100), (pytest.approx(645, abs=0.002), 100)),
        ((pytest.approx(645, abs=0.002), 200), (600, 200)),
    ]
    assert capture([(700, 100), (800, 300)]).finish() == ()
    assert capture([(-50, -50)]).finish() == ()


def test_an_outline_is_cut_to_the_picture():
    (line,) = capture([(600, 100), (800, 100), (800, 200), (600, 200)], closed=True).finish()
    assert line.point_widths is None
    assert max(x for x, _ in line.points) == pytest.approx(643, abs=0.002)
    assert {(600, 100), (600, 200)} <= set(line.points)
    assert capture([(10, 10), (20, 10)], closed=True).finish() == ()
    assert capture([(10, 10), (20, 10), (30, 10), (15, 10)], closed=True).finish() == ()
    assert capture([(-90, 10), (-80, 20), (-70, 10)], closed=True).finish() == ()


FAR = st.floats(-2_000_000, 2_000_000) | st.floats(-40, 700)


@given(
    st.lists(st.tuples(FAR, FAR, st.floats(0, 1)), min_size=1, max_size=20),
    st.floats(0.5, 300),
    st.booleans(),
    st.booleans(),
    st.floats(0, 5),
)
@settings(deadline=None)
def test_the_daemon_takes_whatever_was_drawn(points, width, closed, opacity, jitter):
    brush = Brush(width, jitter, pressure_opacity=opacity)
    lines = capture(points, brush=brush, closed=closed).finish()
    edits = [
        {
            "type": "stroke",
            "frame": 1,
            "width": width,
            "closed": closed,
            "color": [1, 0, 0, 1],
            **line.fields(),
        }
        for line in lines
    ]
    stack = parse_stack({"version": 2, "layers": [{"name": "paint", "kind": "sketch", "edits": edits}]})
    check_stack(stack, width=SIZE[0], height=SIZE[1], frames=[1], video_layers=["background"])


@given(
    st.lists(st.tuples(st.floats(-50, 150), st.floats(-50, 100), st.floats(0, 1)), min_size=2, max_size=12)
)
def test_a_clipped_line_is_the_part_of_it_in_the_box(line):
    runs = clip_line(line, BOX)
    length = sum(math.dist(a[:2], b[:2]) for run in runs for a, b in pairwise(run))
    inside = 0.0
    for a, b in pairwise(line):
        for k in range(200):
            share = (k + 0.5) / 200
            x, y = (a[axis] + share * (b[axis] - a[axis]) for axis in (0, 1))
            inside += (BOX[0] <= x <= BOX[2] and BOX[1] <= y <= BOX[3]) * math.dist(a[:2], b[:2]) / 200
    # Each piece is sampled at 200 places of at most 1.3 pixels, and is cut at two of them.
    assert length == pytest.approx(inside, abs=2.6 * len(line))
    for run in runs:
        for x, y, _ in run:
            assert BOX[0] - 1e-9 <= x <= BOX[2] + 1e-9
            assert BOX[1] - 1e-9 <= y <= BOX[3] + 1e-9
        for point in run:
            assert distance_to_line(point, line)[0] < 1e-6


def test_pressure_is_cut_with_the_line():
    assert clip_line([(-100, 10, 0.0), (100, 10, 1.0)], BOX) == [[(0, 10, 0.5), (100, 10, 1.0)]]


def test_an_outline_around_the_box_becomes_the_box():
    around = clip_outline([(-10, -10, 1), (300, -10, 1), (300, 300, 1), (-10, 300, 1)], BOX)
    assert {point[:2] for point in around} == {(0, 0), (100, 0), (100, 50), (0, 50)}


def test_a_line_stops_growing_before_the_daemon_would_refuse_it():
    drawn = StrokeCapture(Brush(1.0), *SIZE)
    for number in range(MAX_VERTICES + 500):
        drawn.add(number % 2 * 300, number % 3 * 100, 1.0, number * 0.001)
    assert drawn.is_full
    assert len(drawn.finish()[0].points) <= MAX_VERTICES + 8  # the tail


@pytest.mark.parametrize("sample", [(math.nan, 0, 1, 0), (0, math.inf, 1, 0), (0, 0, math.nan, 0)])
def test_what_is_no_number_is_refused(sample):
    with pytest.raises(ValueError, match="finite"):
        StrokeCapture(Brush(6.0), *SIZE).add(*sample)

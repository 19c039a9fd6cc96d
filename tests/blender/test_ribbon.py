"""Strips of triangles along a line: they cover what the line covers, and only the end is made anew."""

import math
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inve_blender.ribbon import STRIP_VERTICES, Ribbon

WIDTH = 10.0


def ribbon():
    return Ribbon(lambda pressure: WIDTH * pressure)


def wave(count):
    return [(3.0 * k, 20 * math.sin(k / 9), 0.6 + 0.4 * math.cos(k / 30)) for k in range(count)]


def covers(strip, x, y):
    """Whether a place is in one of a strip's triangles."""
    for a, b, c in zip(strip, strip[1:], strip[2:], strict=False):
        sides = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area and (min(sides) >= -1e-9 or max(sides) <= 1e-9):
            return True
    return False


def away(x, y, line):
    """How far outside of the line's edge a place is, in pixels; widths are linear in between."""
    best = math.inf
    for a, b in pairwise(line):
        dx, dy = b[0] - a[0], b[1] - a[1]
        length = dx * dx + dy * dy
        share = min(1.0, max(0.0, ((x - a[0]) * dx + (y - a[1]) * dy) / length)) if length else 0.0
        half = WIDTH / 2 * (a[2] + share * (b[2] - a[2]))
        best = min(best, math.hypot(x - a[0] - share * dx, y - a[1] - share * dy) - half)
    return best


CORNERS = [(0, 0, 1.0), (40, 0, 1.0), (40, 30, 1.0), (5, 28, 0.5), (60, 26, 0.5)]


@pytest.mark.parametrize("line", [CORNERS, wave(40), [(3, 4, 1.0), (3.5, 4, 1.0)], [(3, 4, 0.8)] * 2])
def test_strips_cover_the_line_and_nothing_else(line):
    strip = ribbon().update(line, ())
    xs, ys = [x for x, _ in strip], [y for _, y in strip]
    inside = 0
    for i in range(60):
        for j in range(60):
            x = min(xs) - 2 + (max(xs) - min(xs) + 4) * i / 59
            y = min(ys) - 2 + (max(ys) - min(ys) + 4) * j / 59
            gap = away(x, y, line)
            # Steps of 20 degrees on a half width of 5 pixels leave 0.08, slanted sides of other widths more.
            if gap < -0.6:
                assert covers(strip, x, y), (x, y, gap)
                inside += 1
            elif gap > 0.6:
                assert not covers(strip, x, y), (x, y, gap)
    assert inside > 50


def test_what_is_sealed_stays_and_joins_what_follows():
    line, grown = wave(3 * STRIP_VERTICES), ribbon()
    before = []
    for count in range(1, len(line) + 1):
        live = grown.update(line[:count], [(3.0 * count, 0.0, 1.0)])
        assert all(one is other for one, other in zip(before, grown.sealed, strict=False))
        before = list(grown.sealed)
    assert len(before) == 2
    for one, other in pairwise([*before, live]):
        assert one[-2:] == other[:2]
    # All at once gives the same as bit by bit.
    again = ribbon()
    assert again.update(line, [(3.0 * len(line), 0.0, 1.0)]) == live
    assert again.sealed == before


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 400)), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_an_undo_and_other_vertices_leave_nothing_behind(turns):
    line, grown = [], ribbon()
    for number, (more, kept) in enumerate(turns):
        del line[kept:]
        line += [(float(len(line) + k), 40.0 * number, 1.0) for k in range(more)]
        live = grown.update(line, ())
        fresh = ribbon()
        assert fresh.update(line, ()) == live
        assert fresh.sealed == grown.sealed


def test_a_redraw_costs_the_same_at_the_end_of_a_long_stroke():
    line, grown, times = wave(40 * STRIP_VERTICES), ribbon(), []
    vertices = []
    for point in line:
        vertices.append(point)
        begun = time.perf_counter()
        live = grown.update(vertices, ())
        times.append(time.perf_counter() - begun)
        assert len(live) <= 2 * (STRIP_VERTICES + 20)
    # The same part of a strip's growth, the quickest of each half, because others use this machine.
    full = times[STRIP_VERTICES - 1 :: STRIP_VERTICES]
    assert min(full[20:]) < 2 * min(full[:20])


def test_nothing_gives_no_strip():
    assert ribbon().update([], []) == []


def test_a_strip_that_ends_where_the_pen_was_lifted_leaves_no_gap():
    line = [(float(k), 0.0, 1.0) for k in range(STRIP_VERTICES + 1)]
    line += [(float(STRIP_VERTICES), float(k), 1.0) for k in range(STRIP_VERTICES)]
    grown = ribbon()
    live = grown.update(line, ())
    for x, y, _ in line:
        assert any(covers(strip, x, y) for strip in (*grown.sealed, live)), (x, y)

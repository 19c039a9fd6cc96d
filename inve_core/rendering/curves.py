"""Smooth curves through control points: centripetal Catmull-Rom splines.

The knots of a span are the square root of its length apart, which keeps it free of cusps and loops (Catmull
and Rom 1974; Yuksel, Schaefer and Keyser 2011). `resample` evaluates them by the pyramid of Barry and Goldman
(1988), span by span; `bezier_spans` and `evaluate` say the same of many spans at once, as cubic Bezier
curves.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# How far straight pieces may lie off the curve that they stand for, in pixels.
FLATNESS_PX = 0.05


def resample(points: Floats, spacing: float, closed: bool) -> Floats:
    """Points along a spline, with all of its control points.

    Args:
        points: [n, 2 + c] x, y in pixels, and what else belongs to a point, which is linear in between.
        spacing: most pixels between neighbours.
        closed: whether the last point is joined to the first.

    Returns:
        [k, 2 + c]; a closed curve does not repeat its first point.
    """
    count = len(points)
    pieces = []
    for index in range(count if closed and count > 1 else count - 1):
        start, end = points[index], points[(index + 1) % count]
        if (start[:2] == end[:2]).all():
            pieces.append(start[None])
            continue
        before, after = _neighbour(points, index, -1, closed), _neighbour(points, index + 1, 1, closed)
        # An open end is followed by the mirror image of its own span.
        before = 2 * start - end if before is None else before
        after = 2 * end - start if after is None else after
        four = [place[:2] for place in (before, start, end, after)]
        bezier = bezier_spans(*(place[None] for place in four))
        steps = int(span_steps(bezier, np.array([spacing]))[0])
        for share in np.arange(steps) / steps:
            place = barry_goldman(four, float(share))
            pieces.append(np.concatenate((place, start[2:] + (end - start)[2:] * share))[None])
    if not closed or count == 1:
        pieces.append(points[-1:])
    return np.concatenate(pieces)


def _neighbour(points: Floats, index: int, step: int, closed: bool) -> Floats | None:
    """The nearest point in a direction that lies elsewhere than point `index`; None past an open end."""
    count = len(points)
    for number in range(1, count):
        other = index + step * number
        if not closed and not 0 <= other < count:
            return None
        if (points[other % count, :2] != points[index % count, :2]).any():
            found: Floats = points[other % count]
            return found
    return None


def barry_goldman(four: Sequence[Floats], share: float) -> Floats:
    """A place on the span between the middle two of four control points.

    Args:
        four: x and y of each; neighbours must differ.
        share: 0..1, how far on from the second to the third.

    Returns:
        [2] x and y.
    """
    knots = [0.0]
    for one, other in pairwise(four):
        knots.append(knots[-1] + float(np.sqrt(np.hypot(*(other - one)))))
    t = knots[1] + (knots[2] - knots[1]) * share
    level = list(four)
    for reach in (1, 2):
        level = [
            _between(level[k], level[k + 1], knots[k], knots[k + reach], t) for k in range(len(level) - 1)
        ]
    # The last level runs from the second knot to the third, as the span does.
    return _between(level[0], level[1], knots[1], knots[2], t)


def _between(one: Floats, other: Floats, low: float, high: float, t: float) -> Floats:
    return one + (other - one) * ((t - low) / (high - low))


def bezier_spans(before: Floats, start: Floats, end: Floats, after: Floats) -> Floats:
    """Control points [n, 4, 2] of the spans from `start` to `end`, [n, 2] each; neighbours must differ."""
    first, own, last = (
        np.sqrt(np.hypot(*(other - one).T))[:, None]
        for one, other in ((before, start), (start, end), (end, after))
    )
    # The pyramid's derivatives at both ends, by the share of the way.
    middle = (end - start) / own
    leaving = own * ((start - before) / first - (end - before) / (first + own) + middle)
    arriving = own * (middle - (after - start) / (own + last) + (after - end) / last)
    return np.stack((start, start + leaving / 3, end - arriving / 3, end), 1)


def evaluate(spans: Floats, share: Floats) -> Floats:
    """Places [n, 2] on spans [n, 4, 2] at shares [n] from 0 to 1."""
    share = share[:, None]
    rest = 1 - share
    a, b, c, d = spans.transpose(1, 0, 2)
    return rest**3 * a + 3 * rest**2 * share * b + 3 * rest * share**2 * c + share**3 * d


def span_steps(spans: Floats, spacing: Floats) -> Ints:
    """Into how many straight pieces [n] spans [n, 4, 2] fall: short ones, that keep to the curve.

    A piece is no longer than `spacing` [n], by the largest speed that the control points allow, and lies
    within FLATNESS_PX of the curve, by the largest second derivative that they allow.
    """
    legs = np.diff(spans, axis=1)
    speed = 3 * np.hypot(legs[..., 0], legs[..., 1]).max(1)
    bends = np.diff(legs, axis=1)
    bend = 6 * np.hypot(bends[..., 0], bends[..., 1]).max(1)
    steps = np.maximum(np.ceil(speed / spacing), np.ceil(np.sqrt(bend / (8 * FLATNESS_PX))))
    return np.maximum(1, steps).astype(np.int64)


def spans_of_lines(start: Floats, end: Floats, owner: Ints, closed: npt.NDArray[np.bool_]) -> Floats:
    """Spans [n, 4, 2] of many splines.

    Args:
        start, end: [n, 2] the ends of each line's spans in their order, none of them of no length.
        owner: [n] the line of each span, not falling.
        closed: [n] whether its line is closed.
    """
    count = len(owner)
    number = np.arange(count)
    first, last = np.searchsorted(owner, owner), np.searchsorted(owner, owner, side="right") - 1
    before = np.where(number > first, number - 1, last)
    after = np.where(number < last, number + 1, first)
    open_start = (~closed & (number == first))[:, None]
    open_end = (~closed & (number == last))[:, None]
    return bezier_spans(
        np.where(open_start, 2 * start - end, start[before]),
        start,
        end,
        np.where(open_end, 2 * end - start, end[after]),
    )

"""Tracks as what the knobs of a CornerPin2D and a Transform become."""

from __future__ import annotations

import math

import pytest
from test_tracker_script import track

from inve_client.plugin.messages import RefusedError
from inve_client.plugin.points import Track
from inve_nuke.geometry import Picture
from inve_nuke.track_values import corner_pin, transform

PICTURE = Picture(960, 540)
FRAMES = [1001, 1002, 1003]
# On the wire, y down: top left, top right, bottom right, bottom left.
CORNERS = {"tl": (100, 100), "tr": (300, 110), "br": (310, 290), "bl": (90, 300)}


def moving(name: str, x: float, y: float) -> Track:
    return track(name, FRAMES, [x, x + 10, x + 20], [y, y + 1, y + 2])


@pytest.mark.parametrize(
    "order", [("tl", "tr", "br", "bl"), ("br", "tl", "bl", "tr"), ("bl", "br", "tr", "tl")]
)
def test_corners_are_told_by_where_they_are(order: tuple[str, ...]) -> None:
    pins = corner_pin([moving(name, *CORNERS[name]) for name in order], PICTURE)
    for knob, name in (("to1", "bl"), ("to2", "br"), ("to3", "tr"), ("to4", "tl")):
        x, y = pins[knob]
        assert x.frames == y.frames == tuple(FRAMES)
        assert x.values == tuple(CORNERS[name][0] + step for step in (0, 10, 20))
        assert y.values == tuple(540 - CORNERS[name][1] - step for step in (0, 1, 2))
    assert pins["to1"][0].text == "{curve x1001 90 100 110}"


def test_four_points_that_are_no_corners_are_refused() -> None:
    inside = [moving(name, *place) for name, place in [*list(CORNERS.items())[:3], ("in", (250, 150))]]
    with pytest.raises(RefusedError, match="between the others"):
        corner_pin(inside, PICTURE)
    with pytest.raises(RefusedError, match="must get 4 tracks, got 3"):
        corner_pin(inside[:3], PICTURE)


def test_tracks_without_a_frame_in_common_are_refused() -> None:
    other = track("late", [1010], [1.0], [1.0])
    with pytest.raises(RefusedError, match="none in common"):
        corner_pin([other, *(moving(name, *place) for name, place in list(CORNERS.items())[:3])], PICTURE)


def test_only_frames_that_all_have_get_keys() -> None:
    short = track("short", FRAMES[1:], [90.0, 100.0], [300.0, 301.0])
    rest = [moving(name, *place) for name, place in list(CORNERS.items())[:3]]
    assert corner_pin([*rest, short], PICTURE)["to1"][0].frames == (1002, 1003)


def test_one_track_moves_and_does_nothing_on_its_reference_frame() -> None:
    keys = transform([moving("p", 100, 100)], PICTURE, 1002)
    assert keys.translate[0].values == (-10, 0, 10)
    assert keys.translate[1].values == (1, 0, -1)
    assert keys.center == (110, 439)
    assert (keys.rotate, keys.scale) == (None, None)


def turned(angles: list[float], scales: list[float], middle: tuple[float, float]) -> list[Track]:
    """Two tracks 200 pixels apart in Nuke, about a middle, turned against the clock and scaled."""
    frames = list(range(1001, 1001 + len(angles)))
    tracks = []
    for name, side in (("a", -1), ("b", 1)):
        arms = [
            (
                100 * side * scales[k] * math.cos(math.radians(angle)),
                100 * side * scales[k] * math.sin(math.radians(angle)),
            )
            for k, angle in enumerate(angles)
        ]
        tracks.append(
            track(name, frames, [middle[0] + x for x, _ in arms], [540 - middle[1] - y for _, y in arms])
        )
    return tracks


def test_two_tracks_turn_and_scale_about_their_middle() -> None:
    keys = transform(turned([0, 30, 90], [1, 1.5, 2], (400, 200)), PICTURE, 1001)
    assert keys.center == pytest.approx((400, 200))
    assert keys.translate[0].values == pytest.approx((0, 0, 0), abs=1e-9)
    assert keys.rotate is not None
    assert keys.scale is not None
    assert keys.rotate.values == pytest.approx((0, 30, 90))
    assert keys.scale.values == pytest.approx((1, 1.5, 2))


def test_a_turn_goes_on_past_half_a_circle() -> None:
    angles = [-170.0, -60.0, 60.0, 170.0, 200.0, 380.0 - 90]
    keys = transform(turned(angles, [1] * 6, (400, 200)), PICTURE, 1003)
    assert keys.rotate is not None
    assert keys.rotate.values == pytest.approx([angle - 60 for angle in angles])


def test_the_reference_frame_must_be_there_and_the_tracks_apart() -> None:
    with pytest.raises(RefusedError, match="reference frame 1009, got 1001-1003"):
        transform([moving("p", 100, 100)], PICTURE, 1009)
    with pytest.raises(RefusedError, match="lie on each other"):
        transform([moving("p", 100, 100), moving("q", 100, 100)], PICTURE, 1001)
    with pytest.raises(RefusedError, match="one track or two, got 3"):
        transform([moving("p", 100, 100)] * 3, PICTURE, 1001)
    with pytest.raises(RefusedError, match="one track or two, got 0"):
        transform([], PICTURE, 1001)

"""inve_blender.geometry by itself; test_geometry_render.py holds it against Blender."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inve_blender.geometry import NotInvertible, StripGeometry, StripTiming, check_strip

SIZES = st.integers(16, 8192)
FACTORS = st.floats(0.05, 20).flatmap(lambda size: st.sampled_from((size, -size)))
SHARES = st.floats(-1, 2)


@st.composite
def geometries(draw):
    return StripGeometry(
        name="plate",
        render_width=draw(SIZES),
        render_height=draw(SIZES),
        picture_width=draw(SIZES),
        picture_height=draw(SIZES),
        pixel_aspect=draw(st.floats(0.25, 4)),
        preview_scale=draw(st.sampled_from((0.25, 0.37, 0.5, 0.75, 1.0, 2.0))),
        offset=draw(st.tuples(*[st.floats(-5000, 5000)] * 2)),
        scale=draw(st.tuples(FACTORS, FACTORS)),
        rotation=draw(st.floats(-10, 10)),
        origin=draw(st.tuples(SHARES, SHARES)),
        flip=draw(st.tuples(st.booleans(), st.booleans())),
    )


def plain(**changes):
    fields = {"render_width": 96, "render_height": 54, "picture_width": 96, "picture_height": 54}
    return StripGeometry(name="plate", **{**fields, **changes})


@given(geometries(), SHARES, SHARES)
def test_there_and_back(geometry, across, down):
    x, y = across * geometry.picture_width, down * geometry.picture_height
    # The matrix adds numbers up to about 1e6 in doubles, and a small scale magnifies what it lost.
    assert geometry.to_source(*geometry.to_preview(x, y)) == pytest.approx((x, y), abs=1e-5)


@given(geometries(), SHARES, SHARES)
def test_back_and_there(geometry, across, up):
    view = across * geometry.render_width, up * geometry.render_height
    assert geometry.to_preview(*geometry.to_source(*view)) == pytest.approx(view, abs=1e-5)


def test_the_place_that_was_measured_in_a_real_preview():
    # Blender 3.4.1: a brush aimed 10 pixels from the left and 20 from below in 96x54 said this.
    assert plain().to_preview(10, 54 - 20) == pytest.approx((-38, -7), abs=0.04)


def test_each_part_of_a_transform():
    middle = (48, 27)
    assert plain().to_preview(*middle) == (0, 0)
    assert plain(offset=(5, 7)).to_preview(*middle) == (5, 7)
    assert plain(scale=(2, 3)).to_preview(49, 26) == pytest.approx((2, 3))
    assert plain(rotation=math.pi / 2).to_preview(49, 27) == pytest.approx((0, 1))
    assert plain(flip=(True, False), offset=(5, 7)).to_preview(49, 26) == pytest.approx((-6, 8))
    assert plain(pixel_aspect=2).to_preview(49, 26) == pytest.approx((2, 1))
    assert plain(origin=(0, 0), scale=(2, 2)).to_preview(0, 54) == pytest.approx((-48, -27))
    assert plain(origin=(1, 1), rotation=math.pi).to_preview(96, 0) == pytest.approx((48, 27))


def test_blender_drops_half_a_pixel_between_odd_and_even():
    assert plain(render_width=97).to_preview(48, 27) == pytest.approx((-0.5, 0))
    assert plain(render_width=95).to_preview(48, 27) == pytest.approx((0.5, 0))


def test_a_preview_at_half_size_shows_the_same_place_where_the_origin_is_the_middle():
    whole = plain(offset=(8, 4), scale=(1.5, 0.5), rotation=0.3)
    half = plain(offset=(8, 4), scale=(1.5, 0.5), rotation=0.3, preview_scale=0.5)
    # 27 rows hold 54 half a pixel off, and a pixel of that buffer is two of the render.
    assert half.to_preview(10, 20) == pytest.approx(whole.to_preview(10, 20), abs=1 + 1e-9)


def test_lengths_and_the_crop():
    geometry = plain(scale=(2, 8), crop=(10, 20, 5, 1), rotation=1)
    assert geometry.view_per_pixel == pytest.approx(4)
    assert geometry.visible == (10, 1, 76, 49)
    assert geometry.shows(10, 1)
    assert not geometry.shows(9, 1)
    assert not geometry.shows(10, 50)
    assert geometry.outline()[2] == pytest.approx(geometry.to_preview(76, 49))
    assert plain(pixel_aspect=2).to_offset(58, 17) == pytest.approx((10, 10))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scale": (0, 1)}, "Scale X 0,"),
        ({"scale": (1, 1e-9)}, "Scale Y 1e-09"),
        ({"offset": (math.nan, 0)}, "reset its transform"),
        ({"picture_width": 0}, "is 0x54 pixels"),
        ({"preview_scale": 0}, "scale 0 "),
        ({"proxies": True, "preview_scale": 0.5, "origin": (0, 0)}, "Proxy Render Size to 100%"),
    ],
)
def test_what_cannot_be_inverted_is_refused(changes, said):
    with pytest.raises(NotInvertible) as refused:
        plain(**changes)
    assert said in str(refused.value)
    assert "'plate'" in str(refused.value)


@pytest.mark.parametrize(
    ("strip_type", "more", "said"),
    [
        ("META", {}, "enter it with Tab"),
        ("SCENE", {}, "is a scene strip"),
        ("GAUSSIAN_BLUR", {}, "is a gaussian blur strip"),
        ("IMAGE", {"effects": ["CROSS", "TRANSFORM"]}, "moves its picture"),
        ("MOVIE", {"effects": ["SPEED"]}, "changes its timing"),
        ("MOVIE", {"retiming_keys": 2}, "retimed with 2 keys"),
        ("MOVIE", {"playback_rate": 1.25}, "plays 1.25 of its frames"),
        ("IMAGE", {"strobe": 2.0}, "Strobe 2,"),
        ("IMAGE", {"multiview": True}, "several views"),
    ],
)
def test_strips_that_are_refused(strip_type, more, said):
    with pytest.raises(NotInvertible) as refused:
        check_strip("plate", strip_type, **more)
    assert said in str(refused.value)


def test_strips_that_are_taken():
    check_strip("plate", "IMAGE", effects=["CROSS", "GLOW"], retiming_keys=1, strobe=0.0)
    check_strip("plate", "MOVIE", playback_rate=1.0)


@st.composite
def timings(draw):
    numbers = draw(
        st.one_of(
            st.builds(
                lambda first, count: range(first, first + count), st.integers(0, 2000), st.integers(1, 90)
            ),
            st.lists(st.integers(0, 2000), min_size=1, max_size=40, unique=True).map(sorted).map(tuple),
        )
    )
    start = draw(st.integers(-500, 500))
    first = draw(st.integers(start - 5, start + len(numbers)))
    last = draw(st.integers(first, start + len(numbers) + 5))
    return StripTiming("plate", start, first, last, numbers, draw(st.booleans()))


@given(timings())
def test_frames_there_and_back(timing):
    for number in timing.source_frames:
        scene_frame = timing.to_scene(number)
        assert scene_frame is not None
        if timing.is_shown(number):
            assert timing.to_source(scene_frame) == number
    shown = {timing.to_source(frame) for frame in range(timing.first, timing.last + 1)}
    held = {timing.source_frames[0], timing.source_frames[-1]}
    assert set(timing.shown_frames()) <= shown <= set(timing.shown_frames()) | held


def test_held_ends_and_reverse():
    numbers = (1001, 1002, 1005)
    forwards = StripTiming("plate", 10, 8, 14, numbers)
    assert [forwards.to_source(frame) for frame in range(8, 15)] == [1001] * 3 + [1002] + [1005] * 3
    backwards = StripTiming("plate", 10, 8, 14, numbers, reverse=True)
    assert [backwards.to_source(frame) for frame in range(8, 15)] == [1005] * 3 + [1002] + [1001] * 3
    assert backwards.to_scene(1001) == 12
    assert backwards.to_scene(1003) is None


def test_frames_outside_are_refused():
    timing = StripTiming("plate", 10, 12, 14, range(20))
    with pytest.raises(NotInvertible, match=r"Frame 11 is outside of 'plate', which is shown on 12-14"):
        timing.to_source(11)
    assert timing.shown_frames() == (2, 3, 4)


@pytest.mark.parametrize("fields", [(10, 12, 11, range(5)), (10, 10, 12, ()), (10, 10, 12, (7, 8, 7))])
def test_timings_that_cannot_be(fields):
    with pytest.raises(NotInvertible, match="'plate'"):
        StripTiming("plate", *fields)

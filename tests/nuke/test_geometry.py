"""Places and sizes in Nuke and on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inve_client.plugin.messages import RefusedError
from inve_nuke.geometry import Picture, check_same, picture_of, whole_frame

sizes = st.integers(1, 16_384)
pictures = st.builds(Picture, sizes, sizes, st.sampled_from((1.0, 0.5, 2.0)))
# Multiples of a sixteenth, which sums keep exact.
places = st.integers(-(2**20), 2**20).map(lambda sixteenths: sixteenths / 16)


def test_the_first_pixels_centre_is_at_one_half_in_both() -> None:
    picture = Picture(960, 540)
    assert picture.to_wire(0.5, 539.5) == (0.5, 0.5)
    assert picture.to_wire(0.5, 0.5) == (0.5, 539.5)
    assert picture.to_wire(959.5, 0.5) == (959.5, 539.5)
    assert picture.to_wire(0, 540) == (0, 0)


@given(pictures, places, places)
def test_there_and_back_is_where_it_was(picture: Picture, x: float, y: float) -> None:
    assert picture.to_nuke(*picture.to_wire(x, y)) == (x, y)
    assert picture.to_wire(*picture.to_nuke(x, y)) == (x, y)


@given(pictures, places, places)
def test_the_inside_of_the_picture_stays_inside(picture: Picture, x: float, y: float) -> None:
    def inside(x: float, y: float) -> bool:
        return 0 <= x <= picture.width and 0 <= y <= picture.height

    assert inside(x, y) == inside(*picture.to_wire(x, y))


@given(pictures, st.lists(st.tuples(places, places, places)))
def test_many_places_are_as_one_by_one(picture: Picture, rows: list[tuple[float, float, float]]) -> None:
    assert picture.all_to_wire(rows) == [list(picture.to_wire(x, y)) for x, y, _ in rows]


def test_proxy_mode_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"'RotoPaint1' .* proxy off"):
        picture_of("RotoPaint1", 960, 540, 1.0, proxy=True)
    assert picture_of("RotoPaint1", 960, 540, 2.0, proxy=False) == Picture(960, 540, 2.0)


@pytest.mark.parametrize(("width", "aspect"), [(0, 1.0), (960, 0.0), (960, float("nan"))])
def test_a_format_without_a_size_is_refused(width: int, aspect: float) -> None:
    with pytest.raises(RefusedError, match="above zero"):
        picture_of("Read1", width, 540, aspect, proxy=False)


def test_another_format_than_the_plates_is_refused() -> None:
    plate = Picture(960, 540)
    check_same("RotoPaint1", Picture(960, 540, 2.0), plate)
    with pytest.raises(RefusedError, match="960x540, got 1920x1080"):
        check_same("RotoPaint1", Picture(1920, 1080), plate)


def test_a_time_shows_the_nearest_frame() -> None:
    assert [whole_frame(time) for time in (1001, 1001.4, 1001.5, -0.6)] == [1001, 1001, 1002, -1]

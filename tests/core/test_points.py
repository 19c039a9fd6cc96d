"""Track queries: what is accepted, what is refused, and holding them against a shot."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inve_core.errors import PointError
from inve_core.points import QueryPoint, check_points, parse_points

NAN, INF = float("nan"), float("inf")
POINT: dict[str, Any] = {"id": "p0", "frame": 0, "x": 412.5, "y": 201.0, "video_layer": "auto"}
SHOT: dict[str, Any] = {
    "width": 500,
    "height": 300,
    "frames": range(1001, 1005),
    "video_layers": ("foreground",),
}


def test_the_example_of_the_design() -> None:
    expected = (QueryPoint(id="p0", frame=0, x=412.5, y=201.0, video_layer="auto"),)
    assert parse_points({"points": [POINT]}) == expected
    assert parse_points(json.dumps({"points": [POINT]}).encode()) == expected
    assert parse_points(b'{"points":[{"id":"p0","frame":0,"x":412.5,"y":201}]}') == expected


def test_no_points_are_no_error() -> None:
    assert parse_points(b'{"points": []}') == ()


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.integers(-99, 10**6)), max_size=20))
def test_order_and_values_are_kept(rows: list[tuple[float, float, int]]) -> None:
    given_points = [
        {"id": f"p{number}", "frame": frame, "x": x, "y": y} for number, (x, y, frame) in enumerate(rows)
    ]
    for data in ({"points": given_points}, json.dumps({"points": given_points}).encode()):
        found = parse_points(data)
        assert [(point.x, point.y, point.frame) for point in found] == rows
        assert [point.id for point in found] == [f"p{number}" for number in range(len(rows))]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"x": NAN}, "`points[0].x` must be a finite number, got nan"),
        ({"y": INF}, "`points[0].y` must be a finite number, got inf"),
        ({"x": "1"}, "`points[0].x` must be float, got '1'"),
        ({"frame": 1.5}, "`points[0].frame` must be int, got 1.5"),
        ({"id": ""}, "`points[0].id` must be 1 to 64 letters"),
        ({"id": 7}, "`points[0].id` must be str, got 7"),
        ({"video_layer": "a b"}, "`points[0].video_layer`"),
        ({"colour": 1}, "`points[0].colour` is not a known field"),
    ],
)
def test_refused_with_the_fields_path(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PointError) as error:
        parse_points({"points": [{**POINT, **change}]})
    assert sentence in str(error.value)


@pytest.mark.parametrize("field", ["id", "frame", "x", "y"])
def test_what_is_missing_is_named(field: str) -> None:
    point = {name: value for name, value in POINT.items() if name != field}
    with pytest.raises(PointError, match=rf"`points\[0\]\.{field}` is missing"):
        parse_points({"points": [point]})


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"points": {}}', b'{"points": [], "more": 1}', b"\xff"]
)
def test_no_list_of_points(data: bytes) -> None:
    with pytest.raises(PointError):
        parse_points(data)


def test_ids_are_unique() -> None:
    with pytest.raises(PointError, match=r"`points\[2\]\.id` is 'p0', which `points\[0\]` has already"):
        parse_points({"points": [POINT, {**POINT, "id": "p1"}, POINT]})


def test_too_many() -> None:
    with pytest.raises(PointError, match="100000"):
        parse_points({"points": [POINT] * 100_001})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"frame": 1000}, "`points[0].frame` is 1000, the shot has the frames 1001-1004"),
        (
            {"video_layer": "background"},
            "`points[0].video_layer` is 'background', the shot has 'auto', 'foreground'",
        ),
        ({"x": 500.5}, "`points[0]` is at (500.5, 201), outside the 500x300 picture"),
        ({"y": -0.5}, "`points[0]`"),
    ],
)
def test_what_does_not_fit_the_shot(change: dict[str, Any], sentence: str) -> None:
    points = parse_points({"points": [{**POINT, "frame": 1001, **change}]})
    with pytest.raises(PointError) as error:
        check_points(points, **SHOT)
    assert sentence in str(error.value)


def test_what_fits_the_shot() -> None:
    corners = [(0, 0), (500, 300), (0.5, 299.5)]
    points = [QueryPoint(id=f"p{number}", frame=1004, x=x, y=y) for number, (x, y) in enumerate(corners)]
    assert check_points(points, **SHOT) is None

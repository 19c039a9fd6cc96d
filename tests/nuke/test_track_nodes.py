"""Points picked in Nuke, and tracks as its nodes."""

from __future__ import annotations

from types import ModuleType

import pytest

from inve_client.plugin.messages import RefusedError
from inve_client.plugin.points import Point, Track
from inve_nuke import node as nodes
from inve_nuke import track_nodes
from inve_nuke.geometry import Picture
from stage import Stage

PICTURE = Picture(100, 60)
FRAMES = (1001, 1002, 1003)


@pytest.fixture
def host(stage: Stage) -> object:
    from inve_nuke.host import NukeHost

    return NukeHost()


def track(name: str, x: float, y: float, dx: float = 2.0) -> Track:
    """A point at (x, y) of the wire on frame 1001 that moves `dx` a frame, and is hidden on the last."""
    xs = tuple(x + dx * k for k in range(3))
    return Track(Point(name, 1001, x, y), FRAMES, xs, (y,) * 3, (True, True, False), (1.0, 0.9, 0.2))


def test_tracks_become_a_tracker_whose_tracks_are_points_again(host: object, nuke: ModuleType) -> None:
    node = nodes.insert(host).host_node
    made = track_nodes.make(host, "Tracker", node, [track("a", 10, 20), track("b", 50, 59)], PICTURE, 1001)
    assert made.Class() == "Tracker4"
    assert nuke.Undo.undoDescribe(0) == "INVE: Tracker of 2 points"
    points = track_nodes.points_of(host, made, PICTURE, 1002)
    assert points == [Point("a", 1002, 12, 20), Point("b", 1002, 52, 59)]
    # Where a point is hidden its track is off.
    with pytest.raises(RefusedError, match="a track that is on at frame 1003"):
        track_nodes.points_of(host, made, PICTURE, 1003)
    nuke.undo()
    assert nuke.allNodes("Tracker4") == []


def test_four_tracks_become_a_corner_pin_with_the_lower_left_first(host: object, nuke: ModuleType) -> None:
    corners = [track("tl", 10, 5), track("tr", 60, 5), track("br", 60, 45), track("bl", 10, 45)]
    made = track_nodes.make(host, "CornerPin", nuke.nodes.NoOp(), corners, PICTURE, 1001)
    at = [[made[f"to{k}"].getValueAt(1002, axis) for axis in (0, 1)] for k in (1, 2, 3, 4)]
    assert at == [[12, 15], [62, 15], [62, 55], [12, 55]]
    nuke.undo()
    assert nuke.allNodes("CornerPin2D") == []


def test_one_track_moves_a_transform_two_turn_it(host: object, nuke: ModuleType) -> None:
    beside = nuke.nodes.NoOp()
    made = track_nodes.make(host, "Transform", beside, [track("a", 10, 20)], PICTURE, 1002)
    assert [made["translate"].getValueAt(frame, 0) for frame in FRAMES] == [-2, 0, 2]
    assert made["center"].value() == [12, 40]
    assert not made["rotate"].isAnimated()
    two = [track("a", 10, 20, 0), track("b", 20, 20, 10)]
    turned = track_nodes.make(host, "Transform", beside, two, PICTURE, 1001)
    assert [turned["scale"].getValueAt(frame, 0) for frame in FRAMES] == [1, 2, 3]
    assert [turned["translate"].getValueAt(frame, 0) for frame in FRAMES] == [0, 5, 10]
    nuke.undo()
    assert nuke.allNodes("Transform") == [made]


@pytest.mark.parametrize(
    ("kind", "count", "sentence"),
    [
        ("CornerPin", 3, "CornerPin2D must get"),
        ("Transform", 3, "Transform must get"),
        ("Tracker", 0, "one track or more"),
        ("STMap", 1, "Tracks become Tracker, CornerPin, Transform, got 'STMap'"),
    ],
)
def test_what_cannot_be_made_leaves_nothing_behind(
    host: object, nuke: ModuleType, kind: str, count: int, sentence: str
) -> None:
    beside = nuke.nodes.NoOp()
    before = nuke.Undo.undoSize()
    tracks = [track(f"p{k}", 10 + 5 * k, 20) for k in range(count)]
    with pytest.raises(RefusedError, match=sentence):
        track_nodes.make(host, kind, beside, tracks, PICTURE, 1001)
    assert nuke.allNodes() == [beside]
    assert nuke.Undo.undoSize() == before


def test_the_viewers_points_are_turned_over_once(host: object, nuke: ModuleType) -> None:
    node = nodes.insert(host)
    with pytest.raises(
        RefusedError, match=r"INVE1 must have a point .* select a Tracker4, or move the node's"
    ):
        track_nodes.viewer_points(host, node, PICTURE, 1007)
    node.host_node["inve_point"].setValue([30, 50])
    assert track_nodes.viewer_points(host, node, PICTURE, 1007) == [Point("point", 1007, 30, 10)]
    # Those that were never moved are left out.
    node.host_node["inve_point3"].setValue([0, 60])
    assert track_nodes.viewer_points(host, node, PICTURE, 1007) == [
        Point("point", 1007, 30, 10),
        Point("point3", 1007, 0, 0),
    ]
    node.host_node["inve_point4"].setValue([30, 61])
    with pytest.raises(RefusedError, match=r"point4 of INVE1 must lie in the 100x60 .* got \(30, 61\)"):
        track_nodes.viewer_points(host, node, PICTURE, 1007)
    nuke.root()["proxy"].setValue(True)
    with pytest.raises(RefusedError, match="at proxy size"):
        track_nodes.viewer_points(host, node, PICTURE, 1007)


def test_all_points_of_the_node_have_a_knob_each(host: object) -> None:
    knobs = [name for name in nodes.insert(host).host_node.knobs() if name.startswith("inve_point")]
    assert sorted(knobs) == sorted(track_nodes.POINTS)


def test_names_become_ids_of_the_wire(host: object, nuke: ModuleType) -> None:
    tracks = [track("x", 10, 20), track("y", 20, 20)]
    made = track_nodes.make(host, "Tracker", nuke.nodes.NoOp(), tracks, PICTURE, 1001)
    text = made["tracks"].toScript().replace('"x"', '"track 1"').replace('"y"', '"track_1"')
    made["tracks"].fromScript(text)
    assert [point.id for point in track_nodes.points_of(host, made, PICTURE, 1001)] == [
        "track_1",
        "track_1_2",
    ]


def test_one_tracker_is_to_be_selected(host: object, nuke: ModuleType) -> None:
    assert track_nodes.selected_tracker(host) is None
    trackers = [nuke.nodes.Tracker4() for _ in range(2)]
    trackers[0].setSelected(True)
    assert track_nodes.selected_tracker(host) is trackers[0]
    trackers[1].setSelected(True)
    with pytest.raises(RefusedError, match="must be selected, got Tracker2, Tracker1; select"):
        track_nodes.selected_tracker(host)


def test_the_nodes_choices_are_those_that_can_be_made(host: object) -> None:
    node = nodes.insert(host)
    assert tuple(node.host_node["inve_track_as"].values()) == track_nodes.KINDS
    assert node.settings().track_as == "Tracker"

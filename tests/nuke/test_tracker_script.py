"""The text of a Tracker4's tracks knob, there and back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nk_grammar import flat

from inve_client.plugin.messages import RefusedError
from inve_client.plugin.points import Point, Track
from inve_nuke.curve_values import STEP, Curve
from inve_nuke.geometry import Picture
from inve_nuke.script_words import ScriptError
from inve_nuke.tracker_script import COLUMNS, append, read

PICTURE = Picture(960, 540)
GOLDEN = (Path(__file__).parent / "golden" / "tracker_two.tracks").read_text()


def track(
    name: str, frames: list[int], x: list[float], y: list[float], visible: list[bool] | None = None
) -> Track:
    return Track(
        Point(name, frames[0], x[0], y[0]),
        tuple(frames),
        tuple(x),
        tuple(y),
        tuple(visible or [True] * len(frames)),
        tuple([1.0] * len(frames)),
    )


def test_tracks_as_nuke_saves_them() -> None:
    first, door = read(GOLDEN)
    assert (first.name, door.name) == ("track 1", "door")
    assert [first.at(frame) for frame in (1001, 1002, 1003, 1010)] == [
        (100, 200, True),
        (101.5, 200, True),
        (103, 199.5, True),
        (110, 190, True),
    ]
    assert door.at(1002) == (512, 300.25, True)
    assert door.at(1003) == (512, 300.25, False)


def test_thirty_one_columns() -> None:
    assert len(COLUMNS) == 31
    assert (COLUMNS[2], COLUMNS[3], COLUMNS[6], COLUMNS[9]) == ("track_x", "track_y", "T", "error")


def test_a_track_is_added_behind_the_others_and_turned_about() -> None:
    text = append(GOLDEN, [track("p0", [1001, 1002, 1003], [10, 11.5, 13], [500, 501, 502.25])], PICTURE)
    first, door, added = read(text)
    assert (first, door) == read(GOLDEN)
    assert added.name == "p0"
    assert [added.at(frame)[:2] for frame in (1001, 1002, 1003)] == [(10, 40), (11.5, 39), (13, 37.75)]


def test_what_was_there_stays_word_for_word() -> None:
    text = append(GOLDEN, [track("p0", [1001], [10], [500])], PICTURE)

    def parts(knob: str) -> list[list[str]]:
        (outer,) = flat(knob)
        head, columns, rows = flat(outer.text)
        return [
            [word.text for word in flat(head.text)],
            *([[cell.text for cell in flat(column.text)] for column in flat(columns.text)]),
            *([[cell.text for cell in flat(row.text)] for row in flat(rows.text)]),
        ]

    before, after = parts(GOLDEN), parts(text)
    assert (before[0], after[0]) == (["1", "31", "2"], ["1", "31", "3"])
    assert after[1:-1] == before[1:]
    assert len(after[-1]) == 31


@pytest.mark.parametrize("empty", ["", "{}", "{ { 1 31 0 } \n%s\n{ \n} \n}"])
def test_an_empty_tracker_gets_its_columns(empty: str) -> None:
    columns = GOLDEN[GOLDEN.index("{ { 5 1 20") : GOLDEN.index("} \n{ \n { {curve") + 1]
    text = append(empty % columns if "%s" in empty else empty, [track("p0", [1001], [10], [500])], PICTURE)
    (outer,) = flat(text)
    assert [column.text.split()[3] for column in flat(flat(outer.text)[1].text)] == list(COLUMNS)
    assert [one.name for one in read(text)] == ["p0"]


def test_a_new_trackers_columns_are_those_that_nuke_writes() -> None:
    (outer,) = flat(append("", [track("p0", [1001], [10], [500])], PICTURE))
    (saved,) = flat(GOLDEN)
    own, nukes = ([one.text.split() for one in flat(flat(knob.text)[1].text)] for knob in (outer, saved))
    assert own == nukes


def test_a_hidden_frame_has_its_place_and_is_switched_off() -> None:
    frames = [1001, 1002, 1003, 1004]
    hidden = track("p0", frames, [1, 2, 3, 4], [5, 6, 7, 8], [True, False, False, True])
    (added,) = read(append("", [hidden], PICTURE))
    assert [added.at(frame) for frame in frames] == [
        (1, 535, True),
        (2, 534, False),
        (3, 533, False),
        (4, 532, True),
    ]
    assert isinstance(added.enable, Curve)
    assert {key.interpolation for key in added.enable.keys} == {STEP}


def test_names_that_are_taken_get_a_number() -> None:
    one = track("door", [1001], [10], [500])
    assert [each.name for each in read(append(GOLDEN, [one, one], PICTURE))] == [
        "track 1",
        "door",
        "door 2",
        "door 3",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{ {1 31 1} ", "The tracks end inside of 1 open braces"),
        ("a b c", "The tracks must be"),
        ("{ {1 31 1} { {5 1 20 enable e 1} } { {1} } }", "must have the 31 columns"),
        (GOLDEN.replace("512 300.25", "{left 512} 300.25"), "Track 2, 'door', cannot be read"),
        (GOLDEN.replace("door 512 300.25 {} {} 1 1 1 {} 0 1", "} {"), "Track 2 must be a row of 31"),
    ],
)
def test_a_text_that_is_no_tracks_knob_is_refused(text: str, message: str) -> None:
    with pytest.raises(ScriptError) as caught:
        read(text)
    assert message in caught.value.problem.message
    assert caught.value.problem.message.endswith(".")


@given(st.integers(0, len(GOLDEN)), st.integers(0, 12), st.text('{}"\\ x1e=K', max_size=6))
def test_damaged_anywhere_it_is_read_or_refused(start: int, count: int, junk: str) -> None:
    text = GOLDEN[:start] + junk + GOLDEN[start + count :]
    for work in (read, lambda knob: append(knob, [track("p0", [1001], [10], [500])], PICTURE)):
        try:
            work(text)
        except ScriptError as refusal:
            told = refusal.problem.message
        else:
            told = "."
        assert told.endswith(".")


def test_a_damaged_row_of_others_hinders_no_new_track() -> None:
    text = append(GOLDEN.replace("door 512", "{door} 512"), [track("p0", [1001], [10], [500])], PICTURE)
    assert "{ 1 31 3 }" in text
    assert "p0" in text


def test_no_tracks_are_refused() -> None:
    with pytest.raises(RefusedError, match="pick points first"):
        append(GOLDEN, [], PICTURE)


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
coordinates = st.integers(-100_000, 100_000).map(lambda whole: whole / 16)


@given(
    names,
    st.lists(
        st.tuples(st.integers(900, 1100), coordinates, coordinates, st.booleans()), min_size=1, max_size=12
    ),
)
def test_any_track_comes_back(name: str, rows: list[tuple[int, float, float, bool]]) -> None:
    rows = sorted({row[0]: row for row in rows}.values())
    columns = [[row[k] for row in rows] for k in range(4)]
    one = track(name, *columns)  # type: ignore[arg-type]
    added = read(append(GOLDEN, [one], PICTURE))[-1]
    assert added.name.startswith(name)
    assert [added.at(frame) for frame in columns[0]] == [(x, 540 - y, visible) for _, x, y, visible in rows]

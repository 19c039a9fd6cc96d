"""Numbers, keys and curves in Nuke's scripts."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inve_nuke.curve_values import (
    CUBIC,
    LINEAR,
    STEP,
    Curve,
    Expression,
    Key,
    NotEvaluated,
    Numbers,
    Opaque,
    at,
    key_of,
    key_text,
    knob_curve,
    knob_curve_text,
    number_text,
)

singles = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("x44fd8000", 2028.0),
        ("0x44fd8000", 2028.0),
        ("x3f99999a", struct.unpack(">f", bytes.fromhex("3f99999a"))[0]),
        ("xc0000000", -2.0),
        ("0", 0.0),
        ("-12.5", -12.5),
        ("1e-3", 0.001),
        ("2224.851074", 2224.851074),
    ],
)
def test_a_number_is_a_decimal_or_the_bits_of_a_float(word: str, number: float) -> None:
    assert Numbers()[word] == number


@pytest.mark.parametrize(
    "word", ["", "x", "x44fd80001", "xzz", "nan", "inf", "x7f800000", "1_000", "Brush1", "{"]
)
def test_other_words_are_no_numbers(word: str) -> None:
    with pytest.raises(ValueError, match=r"number|float|hex"):
        Numbers()[word]


@given(singles)
def test_a_number_comes_back_from_its_text(value: float) -> None:
    assert Numbers()[number_text(value)] == value


def test_whole_numbers_are_written_as_decimals_and_others_as_bits() -> None:
    assert (number_text(1001.0), number_text(0.5), number_text(-2.0)) == ("1001", "x3f000000", "-2")
    with pytest.raises(ValueError, match="single precision"):
        number_text(1e39)


@given(st.lists(singles, max_size=20))
def test_a_column_is_the_same_as_word_by_word(values: list[float]) -> None:
    words = [f"x{struct.pack('>f', value).hex()}" for value in values]
    assert list(Numbers().column(words)) == values
    assert list(Numbers().column([*words, "1"])) == [*values, 1.0]


def test_a_column_with_something_infinite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Numbers().column(["x3f800000", "x7f800000"])


def test_keys_hold_step_or_lead_on() -> None:
    curve = Curve((Key(1001, 1.0, STEP), Key(1010, 2.0, LINEAR), Key(1020, 4.0)))
    assert [curve.at(frame) for frame in (900, 1001, 1009.9, 1010, 1015, 1020, 2000)] == [1, 1, 1, 2, 3, 4, 4]


def test_a_cubic_with_level_handles_eases_and_without_any_is_straight() -> None:
    eased = Curve((Key(0, 0.0, CUBIC, right=(3, 0)), Key(9, 9.0, CUBIC, left=(-3, 0))))
    assert eased.at(4.5) == pytest.approx(4.5)
    assert eased.at(1) == pytest.approx(9 * (3 * (1 / 9) ** 2 - 2 * (1 / 9) ** 3), abs=1e-6)
    straight = Curve((Key(0, 0.0, CUBIC), Key(9, 9.0, CUBIC)))
    assert straight.at(2) == pytest.approx(2)


def test_keys_that_do_not_rise_make_no_curve() -> None:
    with pytest.raises(ValueError, match="rise"):
        Curve((Key(5, 0.0), Key(5, 1.0)))
    with pytest.raises(ValueError, match="must have keys"):
        Curve(())


keys = st.builds(
    Key,
    singles,
    singles,
    st.sampled_from((STEP, LINEAR, CUBIC)),
    st.tuples(singles, singles),
    st.tuples(singles, singles),
) | st.builds(Key, singles, singles, st.sampled_from((STEP, LINEAR, CUBIC)))


@given(keys)
def test_a_key_comes_back_from_its_text(key: Key) -> None:
    assert key_of(key_text(key)[1:-1].split(), Numbers()) == key


def test_a_key_may_end_in_a_dash_and_leave_its_interpolation_out() -> None:
    assert key_of(["0", "x3d4ccccd", "-"], Numbers()) == Key(0.0, Numbers()["x3d4ccccd"], STEP)
    with pytest.raises(ValueError, match="numbers"):
        key_of(["1", "2", "3", "4"], Numbers())
    with pytest.raises(ValueError, match="interpolation"):
        key_of(["1", "2", "9"], Numbers())


def curve(text: str) -> Curve:
    value = knob_curve(text.split(), Numbers())
    assert isinstance(value, Curve)
    return value


def test_times_follow_in_the_last_step() -> None:
    assert curve("5 6 7").times == (0, 1, 2)
    assert curve("x1001 5 6 7").times == (1001, 1002, 1003)
    assert curve("x1001 5 x1003 6 7").times == (1001, 1003, 1005)


def test_letters_say_how_a_curve_goes_on() -> None:
    assert curve("K x1 0 x11 10").at(6) == 0
    assert curve("L x1 0 x11 10").at(6) == pytest.approx(5)
    assert curve("x1 0 x11 10").at(6) == pytest.approx(5)
    assert curve("L x1 0 K x11 10 x21 0").at(16) == 10


def test_smooth_keys_stay_within_their_neighbours_and_catmull_rom_ones_do_not() -> None:
    smooth, rom = curve("x0 0 x10 10 x20 10"), curve("R x0 0 x10 10 x20 10")
    frames = range(10, 21)
    assert max(smooth.at(frame) for frame in frames) == pytest.approx(10)
    assert max(rom.at(frame) for frame in frames) > 10.1


def test_slopes_lead_out_of_a_key() -> None:
    flat = curve("x0 0 s0 x10 10 s0")
    assert flat.at(1) < 0.3
    assert flat.at(5) == pytest.approx(5)
    assert curve("x0 0 t3 x10 0 s-3").at(5) > 2
    with pytest.raises(ValueError, match="follow"):
        knob_curve(["s1", "x0", "1"], Numbers())


def test_a_curve_without_keys_is_nought() -> None:
    assert knob_curve([], Numbers()) == 0.0
    assert knob_curve(["i"], Numbers()) == 0.0


@given(
    st.lists(st.integers(900, 1200), min_size=1, max_size=30, unique=True).map(sorted),
    st.data(),
    st.booleans(),
)
def test_a_knob_curve_comes_back_from_its_text(frames: list[int], data: st.DataObject, stepped: bool) -> None:
    values = data.draw(
        st.lists(
            st.integers(-(10**6), 10**6).map(lambda whole: whole / 1000),
            min_size=len(frames),
            max_size=len(frames),
        )
    )
    text = knob_curve_text(frames, values, stepped=stepped)
    read = curve(text[1:-1].removeprefix("curve"))
    assert read.times == tuple(frames)
    assert [read.at(frame) for frame in frames] == pytest.approx(values)
    if stepped:
        assert {key.interpolation for key in read.keys} == {STEP}


def test_a_run_of_frames_is_written_without_times() -> None:
    assert knob_curve_text([1001, 1002, 1003], [5, 6, 7.5]) == "{curve x1001 5 6 7.5}"


def test_what_cannot_be_worked_out_says_what_it_is() -> None:
    with pytest.raises(NotEvaluated, match=r"expression 'parent\.size'"):
        at(Expression("parent.size", "x41c80000"), 1)
    with pytest.raises(NotEvaluated, match="where a number must be"):
        at(Opaque("{left 1}"), 1)
    assert math.isclose(at(Curve((Key(1, 0.25),)), 7), 0.25)

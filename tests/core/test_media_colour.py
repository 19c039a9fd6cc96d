"""The colour curves against scalar twins, and there and back again."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inve_core.media.colour import LUMA, curve_to_linear, linear_table, linear_to_srgb, srgb_to_linear

values = st.floats(-1e4, 1e4, allow_nan=False)


def scalar_srgb_to_linear(code: float) -> float:
    """IEC 61966-2-1, a number at a time."""
    size = abs(code)
    light = size / 12.92 if size <= 0.04045 else ((size + 0.055) / 1.055) ** 2.4
    return math.copysign(light, code)


@given(values)
def test_srgb_agrees_with_the_standard(code: float) -> None:
    assert float(srgb_to_linear(np.float64(code))) == pytest.approx(scalar_srgb_to_linear(code), rel=1e-12)


@given(values)
def test_srgb_round_trip_in_double_precision(light: float) -> None:
    # The standard's two rounded thresholds leave a step of 3e-8 at code 0.04045, which is 1e-6 of it.
    assert float(srgb_to_linear(linear_to_srgb(np.float64(light)))) == pytest.approx(light, rel=2e-6)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1))
def test_srgb_round_trip_in_single_precision(lights: list[float]) -> None:
    light = np.array(lights, np.float32)
    back = srgb_to_linear(linear_to_srgb(light))
    assert back.dtype == np.float32
    # A power of 2.4 multiplies the rounding of 6e-8 that each of about five operations adds.
    np.testing.assert_allclose(back, light, rtol=5e-6, atol=1e-37)


@given(values)
def test_curves_are_odd(value: float) -> None:
    for curve in (srgb_to_linear, linear_to_srgb):
        assert float(curve(np.float64(-value))) == -float(curve(np.float64(value)))


def test_known_values() -> None:
    np.testing.assert_allclose(srgb_to_linear([0.0, 0.5, 1.0]), [0.0, 0.21404114, 1.0], rtol=1e-6)
    np.testing.assert_allclose(linear_to_srgb([0.0, 0.18, 1.0]), [0.0, 0.46135613, 1.0], rtol=1e-6)
    assert sum(LUMA) == pytest.approx(1.0)


def test_what_is_no_number_lives_through() -> None:
    odd = np.array([np.nan, np.inf, -np.inf], np.float32)
    for curve in (srgb_to_linear, linear_to_srgb):
        np.testing.assert_array_equal(curve(odd), odd)


@pytest.mark.parametrize("name", ["srgb_rec709_scene", "sRGB"])
def test_table_holds_the_curve_of_every_code(name: str) -> None:
    table = linear_table(name, 255)
    expected = [scalar_srgb_to_linear(code / 255) for code in range(256)]
    np.testing.assert_allclose(table, expected, rtol=1e-7)
    assert not table.flags.writeable


@pytest.mark.parametrize(
    ("name", "code", "light"),
    [
        ("lin_rec709_scene", 0.5, 0.5),
        ("lin_ap1_scene", -0.25, -0.25),
        ("g22_rec709_scene", 0.5, 0.5**2.2),
        ("g18_rec709_scene", -0.5, -(0.5**1.8)),
        ("Gamma2.4", 0.5, 0.5**2.4),
        ("Rec709", 0.5, (0.599 / 1.099) ** (1 / 0.45)),
        ("Rec709", 0.04, 0.04 / 4.5),
        ("KodakLog", 685 / 1023, 1.0),
        ("KodakLog", 95 / 1023, 0.0),
    ],
)
def test_named_curves(name: str, code: float, light: float) -> None:
    curve = curve_to_linear(name)
    assert curve is not None
    assert float(curve(np.float64(code))) == pytest.approx(light, abs=1e-12)


@pytest.mark.parametrize("name", ["", "LogC", "Gammafoo", "slog3"])
def test_an_unknown_colour_space_has_no_curve(name: str) -> None:
    assert curve_to_linear(name) is None
    with pytest.raises(ValueError, match="no curve is known"):
        linear_table(name, 255)

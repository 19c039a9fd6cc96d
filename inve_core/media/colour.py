"""Colour curves between stored code values and scene-linear light.

Only the transfer curve is applied, never a change of primaries: the shot's working space is the space of
its own primaries (design, section 3). Every curve is odd-symmetric, so that values below 0 live through.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

LUMA: tuple[float, float, float] = (0.2126, 0.7152, 0.0722)
"""Rec.709 luminance weights of linear red, green and blue."""

FloatArray = npt.NDArray[np.floating]

_SRGB_LINEAR_BELOW = 0.04045
SRGB_CODE_BELOW = 0.0031308


def srgb_to_linear(values: npt.ArrayLike) -> FloatArray:
    """Linear light of sRGB-encoded values (IEC 61966-2-1, the exact piecewise curve).

    Args:
        values: any shape, 1.0 is white; any range: the curve goes on above 1 and mirrors below 0.
            NaN and infinities come out as they went in.

    Returns:
        The same shape; float64 stays float64, everything else becomes float32.
    """
    code = _as_float(values)
    size = np.abs(code)
    return _like(code, np.where(size <= _SRGB_LINEAR_BELOW, size / 12.92, ((size + 0.055) / 1.055) ** 2.4))


def linear_to_srgb(values: npt.ArrayLike) -> FloatArray:
    """sRGB-encoded values of linear light: the inverse of :func:`srgb_to_linear`, same shapes and types."""
    light = _as_float(values)
    size = np.abs(light)
    return _like(light, np.where(size <= SRGB_CODE_BELOW, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055))


def curve_to_linear(colour_space: str) -> Callable[[npt.ArrayLike], FloatArray] | None:
    """The function that makes values of a named colour space linear, or None where the name is unknown.

    Args:
        colour_space: a name as OpenImageIO reports it, such as "srgb_rec709_scene" or "lin_ap1_scene".
    """
    name = colour_space.lower()
    if name.startswith(("lin", "acescg", "aces2065", "scene_linear", "raw", "data")):
        return _as_float
    if name.startswith("srgb"):
        return srgb_to_linear
    if name.startswith(("rec709", "bt709", "itur_709")):
        return _rec709_to_linear
    if name.startswith(("kodaklog", "cineon")):
        return _cineon_to_linear
    for prefix, gamma in (("g18", 1.8), ("g22", 2.2), ("g24", 2.4), ("g26", 2.6)):
        if name.startswith(prefix):
            return _gamma_to_linear(gamma)
    if name.startswith("gamma"):
        try:
            return _gamma_to_linear(float(name.removeprefix("gamma").lstrip("_ ")))
        except ValueError:
            return None
    return None


@lru_cache(maxsize=8)
def linear_table(colour_space: str, code_max: int) -> npt.NDArray[np.float32]:
    """Linear light of each integer code 0..code_max of a known colour space.

    Returns:
        float32 [code_max + 1], read-only, so that a picture is linearised by one look-up a sample.

    Raises:
        ValueError: if the colour space is unknown.
    """
    curve = curve_to_linear(colour_space)
    if curve is None:
        raise ValueError(f"no curve is known for the colour space {colour_space!r}")
    table = curve(np.arange(code_max + 1, dtype=np.float64) / code_max).astype(np.float32)
    table.setflags(write=False)
    return table


def _as_float(values: npt.ArrayLike) -> FloatArray:
    array = np.asarray(values)
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)


def _like(signed: FloatArray, size: FloatArray) -> FloatArray:
    return np.copysign(size, signed).astype(signed.dtype, copy=False)


def _rec709_to_linear(values: npt.ArrayLike) -> FloatArray:
    code = _as_float(values)
    size = np.abs(code)
    return _like(code, np.where(size < 0.081, size / 4.5, ((size + 0.099) / 1.099) ** (1 / 0.45)))


def _cineon_to_linear(values: npt.ArrayLike) -> FloatArray:
    """Printing density to light: 10-bit code 685 is white, 95 is black, 0.002 density a code, gamma 0.6."""
    code = _as_float(values) * 1023.0
    black = 10.0 ** ((95.0 - 685.0) * 0.002 / 0.6)
    light = (10.0 ** ((code - 685.0) * 0.002 / 0.6) - black) / (1.0 - black)
    return light.astype(code.dtype, copy=False)


def _gamma_to_linear(gamma: float) -> Callable[[npt.ArrayLike], FloatArray]:
    def to_linear(values: npt.ArrayLike) -> FloatArray:
        code = _as_float(values)
        return _like(code, np.abs(code) ** gamma)

    return to_linear

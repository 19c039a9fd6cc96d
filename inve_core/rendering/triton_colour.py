"""What a Triton kernel does to the colours of its pixels: `blending` and `grading`, channel by channel.

A colour is four vectors, since a thread has all channels of its own pixels.
"""

import triton
import triton.language as tl

from inve_core.media.colour import LUMA
from inve_core.rendering import adjustments, edit_rows

_ADD = tl.constexpr(edit_rows.ADD)
_MULTIPLY = tl.constexpr(edit_rows.MULTIPLY)
_SCREEN = tl.constexpr(edit_rows.SCREEN)
_MATRIX = tl.constexpr(edit_rows.MATRIX)
_OFFSET = tl.constexpr(edit_rows.OFFSET)
_CURVED = tl.constexpr(edit_rows.CURVED)
_EXPONENT = tl.constexpr(edit_rows.EXPONENT)
_GAIN = tl.constexpr(edit_rows.GAIN)
_BIAS = tl.constexpr(edit_rows.BIAS)
_SLOPE = tl.constexpr(edit_rows.SLOPE)
_LIFT = tl.constexpr(edit_rows.LIFT)
_POWER = tl.constexpr(edit_rows.POWER)
_SATURATION = tl.constexpr(edit_rows.SATURATION)
_LARGEST_LOG2 = tl.constexpr(adjustments.LARGEST_LOG2)
_LARGEST = tl.constexpr(adjustments.LARGEST)
_LARGEST_FLOAT = tl.constexpr(3.4028234e38)
_HUGE = tl.constexpr(adjustments.HUGE)
_TINY = tl.constexpr(adjustments.TINY)
_LUMA_RED = tl.constexpr(LUMA[0])
_LUMA_GREEN = tl.constexpr(LUMA[1])
_LUMA_BLUE = tl.constexpr(LUMA[2])


@triton.jit
def blended(blend, paint, alpha, beneath, solid):
    """As `blending.blended`, of one channel; erasing is left to the caller."""
    laid = tl.where(blend == _ADD, paint + alpha * beneath, paint)
    laid = tl.where(blend == _MULTIPLY, paint * ((1.0 - solid) + beneath), laid)
    return tl.where(blend == _SCREEN, alpha * beneath + paint * (1.0 - tl.minimum(beneath, solid)), laid)


@triton.jit
def rest(below, alpha):
    """As `blending.rest`, of one channel."""
    return tl.where(alpha < 1.0, below * (1.0 - alpha), 0.0)


@triton.jit
def _within(values, limit):
    """Kept within limits; what is no number stays none."""
    values = tl.where(values > limit, limit, values)
    return tl.where(values < -limit, -limit, values)


@triton.jit
def finite_in_half(values):
    """As `blending.stored` in half precision."""
    return tl.where(tl.abs(values) <= _LARGEST_FLOAT, _within(values, _LARGEST), values)


@triton.jit
def _power(values, exponent, bias):
    """As `grading._power`."""
    logarithm = tl.log2(tl.maximum(values, _TINY)) * exponent + bias
    return tl.minimum(tl.exp2(tl.minimum(logarithm, _LARGEST_LOG2)), _LARGEST)


@triton.jit
def _curved(edit, channel, mask, value):
    """One channel of `grading._curve_and_cdl`, up to its saturation."""
    value = _within(value, _HUGE)
    exponent = tl.load(edit + _EXPONENT, mask=mask, other=1.0)
    bias = tl.load(edit + _BIAS, mask=mask, other=0.0)
    magnitude = tl.abs(value) * tl.load(edit + _GAIN, mask=mask, other=1.0)
    raised = tl.where(exponent == 1.0, tl.minimum(magnitude, _HUGE), _power(magnitude, exponent, bias))
    raised = tl.where(magnitude > 0, raised, magnitude)
    value = tl.where(value < 0, -raised, raised)
    value = value * tl.load(edit + _SLOPE + channel, mask=mask, other=1.0)
    value += tl.load(edit + _LIFT + channel, mask=mask, other=0.0)
    power = tl.load(edit + _POWER + channel, mask=mask, other=1.0)
    return tl.where((power != 1.0) & (value > 0), _power(value, power, 0.0), value)


@triton.jit
def _curve_and_cdl(edit, mask, r, g, b):
    """As `grading._curve_and_cdl`."""
    # As a loop it is compiled once.
    for channel in range(3):
        value = tl.where(channel == 0, r, tl.where(channel == 1, g, b))
        value = _curved(edit, channel, mask, value)
        r = tl.where(channel == 0, value, r)
        g = tl.where(channel == 1, value, g)
        b = tl.where(channel == 2, value, b)
    luminance = r * _LUMA_RED + g * _LUMA_GREEN + b * _LUMA_BLUE
    saturation = tl.load(edit + _SATURATION, mask=mask, other=1.0)
    r = tl.where(saturation == 1.0, r, luminance + (r - luminance) * saturation)
    g = tl.where(saturation == 1.0, g, luminance + (g - luminance) * saturation)
    b = tl.where(saturation == 1.0, b, luminance + (b - luminance) * saturation)
    return _within(r, _LARGEST), _within(g, _LARGEST), _within(b, _LARGEST)


@triton.jit
def _row_times(row, mask, r, g, b):
    """One channel of a matrix times a colour."""
    return (
        tl.load(row, mask=mask, other=0.0) * r
        + tl.load(row + 1, mask=mask, other=0.0) * g
        + tl.load(row + 2, mask=mask, other=0.0) * b
    )


@triton.jit
def graded(edit, mask, r, g, b, alpha):
    """As `grading.graded`, where `mask` says."""
    turned_r = _row_times(edit + _MATRIX, mask, r, g, b)
    turned_g = _row_times(edit + _MATRIX + 3, mask, r, g, b)
    turned_b = _row_times(edit + _MATRIX + 6, mask, r, g, b)
    offset_r = tl.load(edit + _OFFSET, mask=mask, other=0.0)
    offset_g = tl.load(edit + _OFFSET + 1, mask=mask, other=0.0)
    offset_b = tl.load(edit + _OFFSET + 2, mask=mask, other=0.0)
    new_r = turned_r + offset_r * alpha
    new_g = turned_g + offset_g * alpha
    new_b = turned_b + offset_b * alpha
    curved = mask & (tl.load(edit + _CURVED, mask=mask, other=0.0) > 0)
    # The logarithms are for those only that want them.
    if tl.max(curved.to(tl.int32), 0) > 0:
        solid = alpha > 0
        weight = tl.where(solid & curved, alpha, 1.0)
        r = tl.where(curved, turned_r + offset_r * weight, 0.0) / weight
        g = tl.where(curved, turned_g + offset_g * weight, 0.0) / weight
        b = tl.where(curved, turned_b + offset_b * weight, 0.0) / weight
        full_r = r
        full_g = g
        full_b = b
        clear = curved & (solid == 0)
        # Where there is no alpha once more, for what becomes of nothing. A loop, too.
        for turn in range(1 + tl.max(clear.to(tl.int32), 0)):
            r, g, b = _curve_and_cdl(edit, curved, r, g, b)
            full_r = tl.where(turn == 0, r, tl.where(clear, full_r - r, full_r))
            full_g = tl.where(turn == 0, g, tl.where(clear, full_g - g, full_g))
            full_b = tl.where(turn == 0, b, tl.where(clear, full_b - b, full_b))
            r = offset_r
            g = offset_g
            b = offset_b
        new_r = tl.where(curved, full_r * weight, new_r)
        new_g = tl.where(curved, full_g * weight, new_g)
        new_b = tl.where(curved, full_b * weight, new_b)
    return new_r, new_g, new_b


@triton.jit
def blended_layer(r, g, b, a, below_r, below_g, below_b, below_a, opacity, blend, EFFECTS: tl.constexpr):
    """An edit layer that is done with, ready to be laid over what is below it; see `blending.lay_over`."""
    r *= opacity
    g *= opacity
    b *= opacity
    a *= opacity
    if EFFECTS:
        r = blended(blend, r, a, below_r, below_a)
        g = blended(blend, g, a, below_g, below_a)
        b = blended(blend, b, a, below_b, below_a)
    return r, g, b, a

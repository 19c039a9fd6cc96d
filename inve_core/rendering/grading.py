"""Many adjustments at once, each on its own pixel, from rows of numbers; `adjustments.adjust` is the twin."""

import torch
from torch import Tensor

from inve_core.media.colour import LUMA
from inve_core.rendering.adjustments import HUGE, LARGEST, LARGEST_LOG2, TINY
from inve_core.rendering.edit_rows import (
    BIAS,
    CURVED,
    EXPONENT,
    GAIN,
    LIFT,
    MATRIX,
    OFFSET,
    POWER,
    SATURATION,
    SLOPE,
)


def graded(rows: Tensor, rgba: Tensor) -> Tensor:
    """Colours as adjustments make them.

    Args:
        rows: [n, EDIT_FLOATS] the adjustment of each colour.
        rgba: [n, 4] premultiplied.

    Returns:
        [n, 3] premultiplied.
    """
    matrix, offset = rows[:, MATRIX : MATRIX + 9].view(-1, 3, 3), rows[:, OFFSET : OFFSET + 3]
    turned, alpha = (matrix * rgba[:, None, :3]).sum(-1), rgba[:, 3:]
    result = turned + offset * alpha
    curved = rows[:, CURVED] > 0
    which = curved.nonzero()[:, 0]
    if not len(which):
        return result
    row, alpha = rows[which], alpha[which]
    solid = alpha > 0
    weight = torch.where(solid, alpha, torch.ones_like(alpha))
    colour = _curve_and_cdl(row, (turned[which] + offset[which] * weight) / weight)
    nothing = _curve_and_cdl(row, offset[which])
    result[which] = torch.where(solid, colour * weight, colour - nothing)
    return result


def _curve_and_cdl(row: Tensor, rgb: Tensor) -> Tensor:
    """What is not linear, of colours [n, 3] without their alpha."""
    rgb = rgb.clamp(-HUGE, HUGE)
    exponent, bias = row[:, EXPONENT, None], row[:, BIAS, None]
    magnitude = rgb.abs() * row[:, GAIN, None]
    raised = torch.where(exponent == 1, magnitude.clamp_max(HUGE), _power(magnitude, exponent, bias))
    raised = torch.where(magnitude > 0, raised, magnitude)
    rgb = torch.where(rgb < 0, -raised, raised)
    rgb = rgb * row[:, SLOPE : SLOPE + 3] + row[:, LIFT : LIFT + 3]
    power = row[:, POWER : POWER + 3]
    rgb = torch.where((power != 1) & (rgb > 0), _power(rgb, power, torch.zeros_like(bias)), rgb)
    luminance = (rgb @ rgb.new_tensor(LUMA))[:, None]
    saturation = row[:, SATURATION, None]
    rgb = torch.where(saturation == 1, rgb, luminance + (rgb - luminance) * saturation)
    return rgb.clamp(-LARGEST, LARGEST)


def _power(values: Tensor, exponent: Tensor, bias: Tensor) -> Tensor:
    """2^bias * values^exponent up to LARGEST, where they are above 0."""
    logarithm = values.clamp_min(TINY).log2() * exponent + bias
    return torch.exp2(logarithm.clamp_max(LARGEST_LOG2)).clamp_max(LARGEST)

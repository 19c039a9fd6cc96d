"""Local colour adjustments in scene-linear light (INVE, Sec. 3.4, metadata edits; ASC CDL, v1.2)."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inve_core.edits import Adjustment, ColorDecision
from inve_core.media.colour import LUMA

Floats64 = npt.NDArray[np.float64]

LARGEST = 65504.0
"""Results of what is not linear are kept within this, the largest number of half precision."""
# What a colour without its alpha is kept within, so that a slope and a saturation of it are still numbers.
HUGE = 1e30
HUGE_LOG2 = 100.0
# Two to this power is above LARGEST.
LARGEST_LOG2 = 17.0
# The smallest number whose logarithm is asked for, that of single precision.
TINY = 2.0**-126


def hue_matrix(degrees: float) -> Tensor:
    """Rotation of hue about the grey axis that keeps luminance (Rec. 709) and greys as they are. [3, 3].

    The rotation is a shear of chroma planes of equal luminance, so that it is linear, defined for every
    value and undone by the opposite angle.
    """
    angle = math.radians(degrees)
    luma = torch.tensor(LUMA, dtype=torch.float64)
    # Two directions that span the plane of no luminance, made orthonormal.
    first = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64) - luma[0]
    grey = torch.ones(3, dtype=torch.float64)
    first = first / first.norm()
    second = torch.linalg.cross(luma / luma.norm(), first)
    second = second / second.norm()
    basis = torch.stack((grey, first, second), 1)
    turn = torch.eye(3, dtype=torch.float64)
    turn[1:, 1:] = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64
    )
    return basis @ turn @ torch.linalg.inv(basis)


def is_identity(edit: Adjustment) -> bool:
    """Whether the settings change nothing at all."""
    linear = edit.hue % 360 == 0 and edit.saturation == 1 and edit.brightness == 0 and edit.exposure == 0
    unchanged = linear and edit.contrast == 1 and edit.gamma == 1 and edit.cdl == ColorDecision()
    return unchanged or edit.opacity == 0


def is_linear(edit: Adjustment) -> bool:
    """Whether the settings come down to one matrix and an offset."""
    return edit.contrast == 1 and edit.gamma == 1 and edit.cdl.power == (1, 1, 1)


def adjust(rgba: Tensor, edit: Adjustment) -> Tensor:
    """Hue, saturation, brightness, exposure, contrast, gamma and CDL, step by step.

    What is linear works on premultiplied colours, where alpha does not matter to it; offsets are weighted by
    it, so that nothing glows where nothing is. All else works on colours without their alpha. Where there is
    no alpha, light is added, and what the settings make of that is what they make of it less what they make
    of nothing.

    Args:
        rgba: [..., 4] scene-linear, premultiplied.

    Returns:
        [..., 3] premultiplied. Finite where `rgba` is, up to HUGE; within LARGEST before alpha, unless the
        settings are linear.
    """
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    if is_linear(edit):
        return _decided(_linear(rgb, alpha, edit), alpha, edit)
    solid = alpha > 0
    weight = torch.where(solid, alpha, torch.ones_like(alpha))
    result = _curved(_linear(rgb, weight, edit) / weight, edit)
    nothing = _curved(_linear(torch.zeros_like(rgb), torch.ones_like(alpha), edit), edit)
    return torch.where(solid, result * weight, result - nothing)


def _linear(rgb: Tensor, alpha: Tensor, edit: Adjustment) -> Tensor:
    """Hue, saturation, brightness and exposure of premultiplied colours."""
    if edit.hue % 360:
        rgb = rgb @ hue_matrix(edit.hue).to(rgb).t()
    if edit.saturation != 1:
        rgb = _saturated(rgb, edit.saturation)
    return (rgb + edit.brightness * alpha) * 2.0**edit.exposure


def _curved(rgb: Tensor, edit: Adjustment) -> Tensor:
    """Contrast, gamma and CDL of colours without their alpha."""
    rgb = rgb.clamp(-HUGE, HUGE)
    if edit.contrast != 1 or edit.gamma != 1:
        exponent, gain, bias = _curve(edit)
        magnitude = rgb.abs() * gain
        raised = magnitude.clamp_max(HUGE) if exponent == 1 else _power(magnitude, exponent, bias)
        rgb = raised * rgb.sign()
    return _decided(rgb, torch.ones_like(rgb), edit).clamp(-LARGEST, LARGEST)


def _decided(rgb: Tensor, alpha: Tensor, edit: Adjustment) -> Tensor:
    """The CDL of colours, premultiplied only where its power is 1."""
    cdl = edit.cdl
    if cdl == ColorDecision():
        return rgb
    rgb = rgb * rgb.new_tensor(cdl.slope) + rgb.new_tensor(cdl.offset) * alpha
    rgb = torch.stack(
        [
            one if power == 1 else _power(one, power, 0.0)
            for one, power in zip(rgb.unbind(-1), cdl.power, strict=True)
        ],
        -1,
    )
    return rgb if cdl.saturation == 1 else _saturated(rgb, cdl.saturation)


def _saturated(rgb: Tensor, saturation: float) -> Tensor:
    luminance = (rgb @ rgb.new_tensor(LUMA))[..., None]
    return luminance + (rgb - luminance) * saturation


def _power(values: Tensor, exponent: float, bias: float) -> Tensor:
    """2^bias * values^exponent up to LARGEST, where they are above 0; what is not stays as it is.

    By logarithms, since neither factor alone need be a number that single precision knows.
    """
    raised = torch.exp2((values.clamp_min(TINY).log2() * exponent + bias).clamp_max(LARGEST_LOG2))
    return torch.where(values > 0, raised.clamp_max(LARGEST), values)


def _curve(edit: Adjustment) -> tuple[float, float, float]:
    """Contrast, then gamma, as y = 2^bias * (x * gain)^exponent: exponent, gain and bias."""
    pivot = math.log2(edit.pivot) if edit.contrast != 1 else 0.0
    exponent, bias = edit.contrast / edit.gamma, pivot / edit.gamma
    # In the single precision that `Grade` is kept in.
    if np.float32(exponent) == 1:
        return 1.0, 2.0 ** min(bias - pivot, HUGE_LOG2), 0.0
    return exponent, 2.0**-pivot, bias


@dataclass(frozen=True, eq=False)
class Grade:
    """An adjustment as numbers for code that has many at once: a linear part, a curve, a CDL.

    Colours go through `matrix` [3, 3] and `offset` [3], then, without their alpha and if `curved`, become
    2^bias * (x * gain)^exponent, mirrored below zero (and without a bias if the exponent is 1), and then
    (x * slope + lift)^power (above zero) with `saturation`, [3] each but the last.
    """

    matrix: Floats64
    offset: Floats64
    curved: bool
    exponent: float
    gain: float
    bias: float
    slope: Floats64
    lift: Floats64
    power: Floats64
    saturation: float

    @classmethod
    def of(cls, edit: Adjustment) -> "Grade":
        """The same as `adjust`."""
        hue = hue_matrix(edit.hue).numpy() if edit.hue % 360 else np.eye(3)
        matrix = saturation_matrix(edit.saturation) @ hue * 2.0**edit.exposure
        offset = np.full(3, edit.brightness * 2.0**edit.exposure)
        slope, lift, power = (np.array(one) for one in (edit.cdl.slope, edit.cdl.offset, edit.cdl.power))
        if not is_linear(edit):
            curve = _curve(edit)
            return cls(matrix, offset, True, *curve, slope, lift, power, edit.cdl.saturation)
        # A CDL without a power is linear too, and only then is a result not limited.
        last = saturation_matrix(edit.cdl.saturation)
        matrix, offset = last @ (slope[:, None] * matrix), last @ (slope * offset + lift)
        return cls(matrix, offset, False, 1.0, 1.0, 0.0, np.ones(3), np.zeros(3), np.ones(3), 1.0)


def saturation_matrix(saturation: float) -> Floats64:
    """Saturation on columns of rgb, [3, 3]."""
    if saturation == 1:
        return np.eye(3)
    grey = np.ones((3, 1)) * np.asarray(LUMA, float)
    return grey + (np.eye(3) - grey) * saturation

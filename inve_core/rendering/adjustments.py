"""Local colour adjustments in scene-linear light (INVE, Sec. 3.4, metadata edits)."""

import math

import torch
from torch import Tensor

from inve_core.edits import Adjustment
from inve_core.media.colour import LUMA


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
    return edit.hue % 360 == 0 and edit.saturation == 1 and edit.brightness == 0


def adjust(rgba: Tensor, edit: Adjustment) -> Tensor:
    """Hue, then saturation, then brightness.

    Args:
        rgba: [..., 4] scene-linear, premultiplied. The first two are linear in the colour, so that alpha
            does not matter to them; the offset is weighted by it, so that nothing glows where nothing is.

    Returns:
        [..., 3] premultiplied.
    """
    rgb = rgba[..., :3]
    if edit.hue % 360:
        rgb = rgb @ hue_matrix(edit.hue).to(rgb).t()
    if edit.saturation != 1:
        luminance = (rgb @ rgb.new_tensor(LUMA))[..., None]
        rgb = luminance + (rgb - luminance) * edit.saturation
    return rgb + edit.brightness * rgba[..., 3:]

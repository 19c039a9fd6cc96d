"""How colours meet what is beneath them: strokes within their edit layer, and edit layers what is below.

All colours are premultiplied. With s the colour laid over b, whose alpha is B, by cover c: `over` gives c s;
`add` c (s + b); `multiply` c (s (1 - B) + s b); `screen` c (b + s (1 - min(b, B))). So much is laid, with
alpha c, over what remains of the rest: b (1 - c), and nothing where c is 1. `erase` lays nothing.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from inve_core.edits import EditLayer
from inve_core.rendering.adjustments import LARGEST
from inve_core.rendering.edit_rows import ADD, BLENDS, ERASE, MULTIPLY, SCREEN

# Alpha this close to 1 is taken for it: that of an opaque plate under some edit layers.
OPAQUE_WITHIN = 1e-4


class Laid(NamedTuple):
    """An edit layer over what is below it.

    Attributes:
        part: [n, 4] what, laid *over* what is below, makes the result.
        result: [n, 4].
    """

    part: Tensor
    result: Tensor


def blended(blend: Tensor, paint: Tensor, beneath: Tensor) -> Tensor:
    """What is laid where a colour meets what is beneath it.

    Args:
        blend: [n] numbers of `edit_rows.BLENDS`.
        paint: [n, 4] the colour times its cover, premultiplied.
        beneath: [n, 4] premultiplied.

    Returns:
        [n, 4] to lay over it.
    """
    rgb, alpha, b, solid = paint[:, :3], paint[:, 3:], beneath[:, :3], beneath[:, 3:]
    # By choice and not by factors of 0, which would let in what is no number.
    mode = blend[:, None]
    laid = torch.where(mode == ADD, rgb + alpha * b, rgb)
    laid = torch.where(mode == MULTIPLY, rgb * ((1 - solid) + b), laid)
    laid = torch.where(mode == SCREEN, alpha * b + rgb * (1 - b.minimum(solid)), laid)
    return torch.where(mode == ERASE, torch.zeros_like(paint), torch.cat((laid, alpha), 1))


def rest(below: Tensor, alpha: Tensor) -> Tensor:
    """What paint of an alpha leaves of what is below it: of what it hides nothing, be that a number or not.

    Args:
        below: [n, 4] premultiplied.
        alpha: [n, 1].
    """
    return torch.where(alpha < 1, below * (1 - alpha), torch.zeros_like(below))


def stored(values: Tensor, kind: torch.dtype) -> Tensor:
    """Values as a plate's type has them; what is finite stays so in half precision, too."""
    if kind == torch.float16:
        values = torch.where(values.isfinite(), values.clamp(-LARGEST, LARGEST), values)
    return values.to(kind)


def lay_over(top: Tensor, below: Tensor, opacity: Tensor, blend: Tensor | None, keeps: Tensor | None) -> Laid:
    """Lay finished edit layers over what is below them.

    Args:
        top: [n, 4] the layer, premultiplied.
        below: [n, 4] premultiplied.
        opacity: [n] of the layer.
        blend: [n] numbers of `edit_rows.BLENDS`; None where all are "over".
        keeps: [n] bool, where alpha stays as it is below, as under adjustments; None where nowhere.
    """
    part = top * opacity[:, None]
    if blend is not None:
        part = blended(blend, part, below)
    result = part + rest(below, part[:, 3:])
    if keeps is not None:
        result[:, 3] = torch.where(keeps, below[:, 3], result[:, 3])
        # Over what is not opaque no alpha but 0 leaves alpha as it is; then the part is what is added.
        added = torch.cat((result[:, :3] - below[:, :3], torch.zeros_like(part[:, 3:])), 1)
        clear = keeps & ~((below[:, 3] - 1).abs() <= OPAQUE_WITHIN)
        part = torch.where(clear[:, None], added, part)
    return Laid(part, result)


def lay_layer(layer: EditLayer, top: Tensor, below: Tensor) -> Laid:
    """Lay one finished edit layer, of no adjustments, over what is below it: [n, 4] each."""
    opacity = top.new_full((len(top),), layer.opacity)
    blend = None if layer.blend == "over" else top.new_full((len(top),), float(BLENDS.index(layer.blend)))
    return lay_over(top, below, opacity, blend, None)

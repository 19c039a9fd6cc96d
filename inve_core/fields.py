"""The networks of the paper: a hash grid followed by a small MLP (INVE, Sec. 3.2).

A field takes unit coordinates and returns raw outputs; what they mean (a residual in pixels, a logit, a
colour) is for `model` to say. The MLP has no biases, as tiny-cuda-nn's fully fused one has none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from inve_core.encodings.backends import triton_part
from inve_core.encodings.hashgrid import GridSettings, HashGrid


@dataclass(frozen=True)
class FieldSettings:
    """Shape of one field: its grid, and `depth` hidden layers of `width` units (MLP depth)."""

    grid: GridSettings
    outputs: int
    width: int = 64
    depth: int = 2


class Field(nn.Module):
    """Hash grid and MLP. Call with x [n, dims] in [0, 1]; returns [n, outputs]."""

    def __init__(self, settings: FieldSettings):
        super().__init__()
        self.settings = settings
        self.encoding = HashGrid(settings.grid)
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(self.widths):
            layers += [nn.Linear(fan_in, fan_out, bias=False), nn.ReLU()]
        self.mlp = nn.Sequential(*layers[:-1])

    @property
    def widths(self) -> list[int]:
        """Of the MLP's inputs, hidden layers and outputs."""
        settings = self.settings
        return [self.encoding.output_dims, *[settings.width] * settings.depth, settings.outputs]

    @property
    def weights(self) -> list[Tensor]:
        """The MLP's matrices, [out, in] each, inputs first."""
        return list(self.mlp.parameters())

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs at x [n, dims]; what lies outside the unit cube takes its border's value."""
        # NaN must reach the losses, where it is noticed and recovered from, and not the table as an index:
        # on a GPU that would end the process.
        encoded = self.encoding(x.nan_to_num(nan=0.0).clamp(0.0, 1.0))
        if encoded.dtype == torch.float32 and triton_part("MLP", x.device):
            # Imported here: Triton may be missing where it is not the backend.
            from inve_core.encodings import triton_mlp

            if triton_mlp.supports(self.widths):
                return triton_mlp.mlp(encoded, self.weights)
        result: Tensor = self.mlp(encoded)
        return result


def parameter_groups(fields: Sequence[Field], grid_rate: float, mlp_rate: float) -> list[dict[str, Any]]:
    """Adam's groups: tables learn faster than weights (Instant-NGP, Sec. 4)."""
    return [
        {"params": [field.encoding.table for field in fields], "lr": grid_rate},
        {"params": [weight for field in fields for weight in field.mlp.parameters()], "lr": mlp_rate},
    ]


def with_frame(unit_xy: Tensor, unit_t: Tensor) -> Tensor:
    """Join [n, 2] positions and [n] times into [n, 3]."""
    return torch.cat((unit_xy, unit_t[:, None]), 1)

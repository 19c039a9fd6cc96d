"""Which code paints on a device."""

from collections.abc import Callable
from typing import TypeAlias

import torch

from inve_core.rendering.fields import FieldCache
from inve_core.rendering.painting import Canvas, Work, paint
from inve_core.rendering.table import PaintTable

Paint: TypeAlias = Callable[[PaintTable, FieldCache, Work, Canvas], None]


def paint_on(device: torch.device) -> Paint:
    """The painting code for a device."""
    return paint

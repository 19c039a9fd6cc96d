"""The networks as edits' lines ask them: a few points at a time, with the host waiting for the answer.

To launch a network's small kernels one by one takes a GPU's host milliseconds, however few the points are.
Recorded once, for as many points as a stroke has, they are launched as one.
"""

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inve_core.cuda_graphs import aside, capture
from inve_core.encodings.backends import grid_backend
from inve_core.model import LayeredAtlas

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Ask = Callable[[Tensor], Tensor]

POINTS_A_CALL = 65_536
# So many points are recorded; more are asked in so many parts at most.
RECORDED_POINTS, RECORDED_PARTS = 512, 8


class LineNetworks:
    """Visibility and atlas positions of points on the host.

    Args:
        model: the learned shot; its weights may change, but not be replaced by other tensors.
    """

    def __init__(self, model: LayeredAtlas):
        self.model = model
        self._asks: list[Ask] = [self._visibility]
        self._asks += [self._positions(layer) for layer in range(model.layer_count)]
        self._recorded: dict[int, _Recorded] = {}

    def visibility(self, xy: Floats, t: Ints) -> Floats:
        """How much of each video layer is seen, [n, layers], at working pixels [n, 2] of frames t [n]."""
        return self._answer(0, xy, t)

    def positions(self, layer: int, xy: Floats, t: Ints) -> Floats:
        """Atlas positions [n, 2] of a video layer's working pixels [n, 2] of frames t [n]."""
        return self._answer(1 + layer, xy, t)

    def record(self) -> None:
        """Record what is asked, where that can be done: with our own kernels on a GPU."""
        device = self.model.device
        if self._recorded or device.type != "cuda" or grid_backend(device).name != "triton":
            return
        try:
            self._recorded = {number: _Recorded(ask, device) for number, ask in enumerate(self._asks)}
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            warnings.warn(f"Strokes are mapped without a CUDA graph, and later: {error}", stacklevel=2)

    @torch.no_grad()
    def _answer(self, number: int, xy: Floats, t: Ints) -> Floats:
        rows = np.column_stack((xy, t)).astype(np.float32)
        ask: Ask = self._asks[number]
        most = POINTS_A_CALL
        if number in self._recorded and len(rows) <= RECORDED_PARTS * RECORDED_POINTS:
            ask, most = self._recorded[number], RECORDED_POINTS
        parts = torch.from_numpy(rows).to(self.model.device).split(most)
        return torch.cat([ask(part) for part in parts]).cpu().numpy()

    def _visibility(self, rows: Tensor) -> Tensor:
        return self.model.visibility(rows[:, :2], rows[:, 2].long())

    def _positions(self, layer: int) -> Ask:
        return lambda rows: self.model.map(layer, rows[:, :2], rows[:, 2].long())


class _Recorded:
    """A question for RECORDED_POINTS points, as a CUDA graph."""

    @torch.no_grad()
    def __init__(self, ask: Ask, device: torch.device):
        self._rows = torch.zeros(RECORDED_POINTS, 3, device=device)
        stream = torch.cuda.Stream(device)
        # Kernels are compiled at their first use.
        aside(lambda: ask(self._rows), stream)
        self._graph, self._answer = capture(lambda: ask(self._rows), stream)

    def __call__(self, rows: Tensor) -> Tensor:
        """Answers to at most RECORDED_POINTS points."""
        self._rows[: len(rows)] = rows
        self._graph.replay()
        return self._answer[: len(rows)].clone()

"""Decoded plates, the last ones used, so that painting on a frame does not decode it again each time."""

import threading
from collections import OrderedDict

import torch
from torch import Tensor

from inve_core.media.pictures import Picture
from inve_core.rendering.plate import scaled
from inve_core.source import FileStamp, ShotSource

BUDGET_BYTES = 512 << 20
DEVICE_BUDGET_BYTES = 256 << 20


class PlateCache:
    """A shot's plates; a file that was replaced is read again. Safe to call from several threads.

    Args:
        source: the shot's pictures.
        budget_bytes: most memory that decoded plates take; a single one may take more.
    """

    def __init__(self, source: ShotSource, budget_bytes: int = BUDGET_BYTES):
        self.source = source
        self.budget_bytes = budget_bytes
        self._plates: OrderedDict[tuple[int, float], tuple[FileStamp, Picture]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def read(self, frame: int, scale: float = 1.0) -> Picture:
        """The plate at a scale. Its pixels are shared: copy them before writing.

        Raises:
            MediaError: the frame is not part of the shot, or its file cannot be read any more.
            EditError: a scale out of range.
        """
        key, stamp = (frame, scale), self.source.stamp(frame)
        with self._lock:
            known = self._plates.get(key)
            if known is not None and known[0] == stamp:
                self._plates.move_to_end(key)
                return known[1]
        plate = scaled(self.source.read(frame), scale)
        with self._lock:
            self._forget(key)
            self._plates[key] = (stamp, plate)
            self._bytes += plate.pixels.nbytes
            while self._bytes > self.budget_bytes and len(self._plates) > 1:
                self._forget(next(iter(self._plates)))
        return plate

    def _forget(self, key: tuple[int, float]) -> None:
        known = self._plates.pop(key, None)
        if known is not None:
            self._bytes -= known[1].pixels.nbytes


class DevicePlates:
    """Plates in a GPU's memory, the last ones used: to bring one there takes longer than to paint on it.

    Args:
        device: the GPU.
        budget_bytes: most memory that they take; a single one may take more.
    """

    def __init__(self, device: torch.device, budget_bytes: int = DEVICE_BUDGET_BYTES):
        self.device = device
        self.budget_bytes = budget_bytes
        self._plates: OrderedDict[tuple[int, float], tuple[Picture, Tensor]] = OrderedDict()

    def get(self, frame: int, scale: float, plate: Picture) -> Tensor:
        """All pixels of a plate, [h, w, 4]; not to be written to.

        Args:
            plate: what `PlateCache.read` gives for the frame and scale; another picture takes its place.
        """
        known = self._plates.get((frame, scale))
        if known is None or known[0] is not plate:
            known = plate, torch.from_numpy(plate.pixels).to(self.device)
            self._plates[frame, scale] = known
            while sum(pixels.nbytes for _, pixels in self._plates.values()) > self.budget_bytes:
                if len(self._plates) == 1:
                    break
                self._plates.popitem(last=False)
        self._plates.move_to_end((frame, scale))
        return known[1]

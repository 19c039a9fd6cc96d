"""Seconds of stages, for the benchmarks."""

import time

import torch


class Stopwatch:
    """Seconds of named stages, with the GPU's work waited for."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str, wait: bool = True) -> None:
        """Give the time since the last lap to a stage; `wait` for what the GPU still has to do of it."""
        if wait and self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 3)
        self._last = now

    def skip(self) -> None:
        """Give the time since the last lap to nothing."""
        self._last = time.perf_counter()

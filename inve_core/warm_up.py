"""Everything that a GPU does for the first time, done before anybody waits for it."""

import numpy as np
import torch

from inve_core.encodings import backends
from inve_core.motion.flow import flow_over_gaps
from inve_core.rendering.backends import warm_up as warm_up_painting

# Pictures that flow is tried on: of what, does not matter.
FRAMES, HEIGHT, WIDTH = 4, 64, 96
# Nearly all shots have one matte; another number of layers is compiled when it comes.
LAYERS = 2


def warm_up(device: str) -> None:
    """Choose, check and compile what preparing, learning and rendering use on a device.

    A minute on a GPU when Triton's cache is empty, seconds otherwise. May run in a thread of its own;
    whoever needs a backend meanwhile waits for it.

    Raises:
        DeviceError: a backend was asked for that does not work there.
    """
    # torch imports its compiler, for seconds, when it makes its first optimiser.
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    backends.warm_up(device)
    if not device.startswith("cuda"):
        return
    for kind in (torch.float16, torch.float32):
        warm_up_painting(torch.device(device), LAYERS, kind)
    random = np.random.default_rng(0)
    grey = random.integers(0, 255, (FRAMES, HEIGHT, WIDTH), np.uint8)
    mattes = np.zeros((FRAMES, LAYERS - 1, HEIGHT, WIDTH), np.float32)
    mattes[:, :, HEIGHT // 4 : HEIGHT // 2, WIDTH // 4 : WIDTH // 2] = 1.0
    flow_over_gaps(grey, mattes, (1, 2), device=device)

"""Everything that a GPU does for the first time, done before anybody waits for it."""

import warnings

import numpy as np
import torch

from inve_core.clip import Clip
from inve_core.coordinates import PictureGrid
from inve_core.edits import parse_stack
from inve_core.encodings import backends
from inve_core.motion.flow import gaps_for
from inve_core.motion.flow_jobs import flow_over_gaps
from inve_core.presets import preset
from inve_core.rendering import Renderer
from inve_core.rendering.backends import warm_up as warm_up_painting
from inve_core.source import ShotSource
from inve_core.training import Trainer

# The clip that is prepared, learned and painted on: of what, does not matter. Nearly all shots have one
# matte; kernels for another number of video layers are compiled when one comes.
FRAMES, HEIGHT, WIDTH = 4, 64, 96
STROKE = {"type": "stroke", "frame": 1, "points": [[20, 20], [70, 40]], "width": 5, "color": [1, 0, 0, 1]}


def warm_up(device: str) -> None:
    """Choose, check and compile what preparing, learning and rendering use on a device.

    A minute on a GPU when Triton's cache is empty, seconds otherwise. May run in a thread of its own; whoever
    needs a backend meanwhile waits for it.

    Raises:
        DeviceError: a backend was asked for that does not work there.
    """
    # torch imports its compiler, for seconds, when it makes its first optimiser.
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    with backends.held():
        backends.warm_up(device)
        if device.startswith("cuda"):
            for kind in (torch.float16, torch.float32):
                warm_up_painting(torch.device(device), 2, kind)
            try:
                _rehearse(device)
            # It only saves time later; what cannot work will say so when it is wanted.
            except Exception as error:  # noqa: BLE001
                warnings.warn(f"{device} could not be warmed up: {error}", RuntimeWarning, stacklevel=2)


def _rehearse(device: str) -> None:
    """A tiny shot from flow to an edited frame: torch loads each of its kernels when it is first launched."""
    random = np.random.default_rng(0)
    rgb = random.integers(0, 255, (FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    mattes = np.zeros((FRAMES, 1, HEIGHT, WIDTH), np.float32)
    mattes[:, :, HEIGHT // 4 : HEIGHT // 2, WIDTH // 4 : WIDTH // 2] = 1.0
    flows = flow_over_gaps(rgb[..., 0], mattes, gaps_for(FRAMES, 2), device=device)
    source = ShotSource("", ("",), tuple(range(FRAMES)), WIDTH, HEIGHT, 1.0, "uint8")
    clip = Clip(source, PictureGrid.fit(WIDTH, HEIGHT, WIDTH), rgb, mattes, flows, 1.0)
    few = {"iterations": 4, "least_iterations": 4, "check_every": 4, "inverse_iterations": 2}
    trainer = Trainer(clip, preset("fast", working_size=WIDTH, batch=512, **few), device=device)
    # What is captured here would be of no use, and captures do not like company.
    trainer.forward_step.eager_only = trainer.inverse_step.eager_only = True
    for _ in trainer.run():
        pass
    renderer = Renderer(trainer.model.eval(), source)
    renderer.bake()
    stack = parse_stack({"layers": [{"name": "a", "kind": "sketch", "edits": [STROKE]}]})
    renderer.render_on_device(stack, [1], torch.zeros(1, HEIGHT, WIDTH, 4, device=device))
    trainer.release()
    torch.cuda.synchronize(device)

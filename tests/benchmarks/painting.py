"""Frames a second of painting strokes, by how many there are, from baked fields and without, on any device.

    python tests/benchmarks/painting.py [--device cuda] [--out painting.json] [--quick]

Needs no clip and no training: the model has the motion of the synthetic clip and small random residuals, and
the plates are random. Reference is `inve_core.rendering.reference`, which paints each edit on every pixel.
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from inve_core.coordinates import Box, PictureGrid
from inve_core.devices import describe_device, resolve_device
from inve_core.edits import EditLayer, EditStack, Stroke
from inve_core.media.pictures import Picture, PictureSpec
from inve_core.model import Geometry, LayeredAtlas
from inve_core.presets import PRESETS
from inve_core.rendering import Renderer, reference
from inve_core.rendering.fields import FrameSize
from inve_core.source import FileStamp, ShotSource
from inve_core.synthetic import FIRST_FRAME, Scene

SIZES = {"768x432": (768, 432), "4K": (3840, 2160)}
STROKES = (1, 100, 10_000)


class MemorySource(ShotSource):
    """Random plates in memory, in half precision as most files have them."""

    def read(self, frame: int) -> Picture:
        """The same picture for every frame."""
        spec = PictureSpec(
            self.width, self.height, 1.0, (0, 0, self.width, self.height), "half", "linear", tuple("RGBA")
        )
        pixels = np.random.default_rng(0).random((self.height, self.width, 4), np.float32)
        return Picture(spec, pixels.astype(np.float16))

    def stamp(self, frame: int) -> FileStamp:
        """Always the same file."""
        return FileStamp("memory", 0, 0)


# Spread of the opacity's logits: as many soft pixels as outlines of clips have, one in fifty.
OPACITY_LOGITS = 60.0


def make_model(width: int, height: int, frames: int, device: str) -> LayeredAtlas:
    """A model of the `fast` preset that learned nothing, with residuals of a pixel or so."""
    grid = PictureGrid.fit(width, height, 768)
    scene = Scene(grid.working_width, grid.working_height, 0)
    transforms = np.zeros((2, frames, 3, 3))
    for t in range(frames):
        transforms[1, t] = np.linalg.inv(scene.homography(t))
        matrix, offset = scene.similarity(t)
        first, start = scene.similarity(0)
        # From frame t to the object's own place, and on to frame 0.
        linear = first @ np.linalg.inv(matrix)
        transforms[0, t] = np.block([[linear, (start - linear @ offset)[:, None]], [np.zeros(2), 1.0]])
    transforms /= transforms[..., 2:, 2:]
    long = float(max(grid.working_width, grid.working_height))
    short = float(min(grid.working_width, grid.working_height))
    boxes = (
        Box(scene.similarity(0)[1][0] - 0.4 * short, 0.1 * short, 0.8 * short),
        Box(-0.1 * long, -0.1 * long, 1.2 * long),
    )
    geometry = Geometry(
        grid, tuple(range(FIRST_FRAME, FIRST_FRAME + frames)), ("foreground", "background"), boxes, (0, 0),
        ("similarity", "homography"), 1.0,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LayeredAtlas(geometry, transforms, PRESETS["fast"].shapes)
    for field in (*model.mappings, model.opacity):
        assert field is not None
        field.encoding.table.data.normal_(std=0.05)  # type: ignore[attr-defined]
    _sharpen(model)
    return model.to(resolve_device(device)).eval()


@torch.no_grad()
def _sharpen(model: LayeredAtlas) -> None:
    """Have opacity be all or nothing but for narrow edges, as of an object that was learned."""
    grid = model.geometry.grid
    xy = torch.rand(4096, 2) * torch.tensor([grid.working_width, grid.working_height])
    logits, inside = model.opacity_logits(xy, torch.zeros(len(xy), dtype=torch.long))
    last = list(model.opacity.parameters())[-1]  # type: ignore[union-attr]
    last.mul_(OPACITY_LOGITS / logits[inside].std())


def make_renderer(width: int, height: int, frames: int, device: str, field_bytes: int = 1 << 30) -> Renderer:
    """A renderer of such a model over random plates."""
    model = make_model(width, height, frames, device)
    source = MemorySource("memory", ("memory",), model.geometry.frames, width, height, 1.0, "half")
    return Renderer(model, source, field_bytes=field_bytes)


def make_strokes(
    count: int, width: int, height: int, frames: int, seed: int = 0, pressure: bool = False
) -> EditStack:
    """Strokes as an artist draws them: some tens of pixels long at 768, six wide, on any frame.

    With `pressure` they are smooth, and their width and opacity change along them.
    """
    rng = np.random.default_rng(seed)
    unit = max(width, height) / 768
    made = []
    for _ in range(count):
        start = rng.random(2) * (width, height)
        points = np.clip(start + np.cumsum(rng.normal(0, 8, (5, 2)) * unit, 0), 0, (width, height))
        made.append(
            Stroke(
                frame=int(rng.integers(frames)) + FIRST_FRAME,
                points=tuple((float(x), float(y)) for x, y in points),
                width=6.0 * unit,
                hardness=0.8,
                color=(*(float(c) for c in rng.random(3)), 0.8),
                smooth=pressure,
                point_widths=tuple(rng.uniform(0.3, 1.5, 5).tolist()) if pressure else None,
                point_opacities=tuple(rng.random(5).tolist()) if pressure else None,
            )
        )
    return EditStack(layers=(EditLayer(name="paint", kind="sketch", edits=tuple(made)),))


def seconds(renderer: Renderer, step: Callable[[], object], repeats: int) -> float:
    """Median time of a step, the device's work included."""

    def wait() -> None:
        if renderer.model.device.type == "cuda":
            torch.cuda.synchronize()

    step()
    times = []
    for _ in range(repeats):
        wait()
        started = time.perf_counter()
        step()
        wait()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def frames_a_second(renderer: Renderer, stack: EditStack, batch: int, repeats: int) -> float:
    """Edited frames a second with plates and results on the device, `batch` frames a call."""
    frames = list(renderer.model.geometry.frames)[:batch]
    height, width = renderer.source.height, renderer.source.width
    plates = torch.rand(len(frames), height, width, 4, device=renderer.model.device).half()
    return len(frames) / seconds(renderer, lambda: renderer.render_on_device(stack, frames, plates), repeats)


def measure(
    renderer: Renderer, stack: EditStack, batch: int, repeats: int, by_edit: bool
) -> dict[str, float]:
    """All figures of one stack at one size."""
    frames = renderer.model.geometry.frames
    frame, fields = frames[len(frames) // 2], renderer.fields

    def uncached() -> None:
        fields.clear()
        renderer.render(stack, frame)

    result = {"uncached_ms": seconds(renderer, uncached, max(2, repeats // 3)) * 1e3}
    renderer.bake([frame, *frames[:batch]])
    result["cached_ms"] = seconds(renderer, lambda: renderer.render(stack, frame), repeats) * 1e3
    result["uncached_over_cached"] = result["uncached_ms"] / result["cached_ms"]
    result["on_device_frames_per_s"] = frames_a_second(renderer, stack, batch, repeats)
    edits = stack.layers[0].edits
    more = EditStack(layers=(EditLayer(name="paint", kind="sketch", edits=(*edits, edits[0])),))
    started = time.perf_counter()
    renderer.render(more, frame)
    result["one_stroke_more_ms"] = (time.perf_counter() - started) * 1e3
    if by_edit:
        plate = torch.rand(renderer.source.height, renderer.source.width, 4, device=renderer.model.device)
        size = FrameSize(len(frames) // 2, renderer.source.width, renderer.source.height)
        model, painter = renderer.model, renderer.textures
        slow = seconds(renderer, lambda: reference.paint_frame(model, stack, size, plate, painter), 1)
        result["reference_ms"] = slow * 1e3
    return result


def main() -> None:
    """Measure every size and number of strokes and print a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="768x432 alone, up to 100 strokes")
    options = parser.parse_args()
    device = resolve_device(options.device)
    results: dict[str, object] = {"device": describe_device(device), "torch": torch.__version__}
    for name, (width, height) in SIZES.items():
        if options.quick and name != "768x432":
            continue
        batch = 16 if name == "768x432" else 1
        renderer = make_renderer(width, height, 24, device)
        for count, pressure in itertools.product(STROKES[: 2 if options.quick else None], (False, True)):
            stack = make_strokes(count, width, height, 24, pressure=pressure)
            found = measure(renderer, stack, batch, options.repeats, by_edit=count <= 1)
            what = f"{name}, {count} strokes" + (" with pressure" if pressure else "")
            results[what] = found
            print(f"{what}: " + ", ".join(f"{key} {one:.4g}" for key, one in found.items()))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

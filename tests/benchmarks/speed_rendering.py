"""Speed of rendering in one process: frames reconstructed and edited a second; how it grows with strokes."""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from speed_training import peak_gib, wait_for

from inve_core.checkpoint import load_model
from inve_core.clip import open_source
from inve_core.coordinates import pixel_centres
from inve_core.devices import resolve_device
from inve_core.edits import EditStack, parse_stack
from inve_core.encodings.backends import grid_backend
from inve_core.media.exr import write_exr
from inve_core.model import LayeredAtlas
from inve_core.rendering import Renderer
from inve_core.source import ShotSource

Arguments = Mapping[str, Any]
CHUNK = 1 << 19
REPEATS = 5


def strokes(source: ShotSource, count: int) -> EditStack:
    """Strokes all over the middle frame: one across the picture, or many short ones."""
    frame = source.frames[len(source.frames) // 2]
    width, height = source.width, source.height
    if count == 1:
        lines = [[[width * share, height / 2] for share in (0.2, 0.5, 0.8)]]
    else:
        columns = max(1, round(count**0.5))
        lines = []
        for number in range(count):
            x = width * (0.05 + 0.9 * (number % columns) / columns)
            y = height * (0.05 + 0.9 * (number // columns) / columns)
            lines.append([[x, y], [x + width * 0.01, y + height * 0.01], [x + width * 0.02, y]])
    edits = [
        {"type": "stroke", "frame": frame, "points": line, "width": height / 60, "color": [1, 0, 0, 1]}
        for line in lines
    ]
    return parse_stack({"layers": [{"name": "paint", "kind": "sketch", "edits": edits}]})


def seconds_each(work: Callable[[int], object], frames: tuple[int, ...], device: str) -> list[float]:
    """Of a call for each frame, the device's work waited for."""
    seconds = []
    for frame in frames:
        wait_for(device)
        started = time.perf_counter()
        work(frame)
        wait_for(device)
        seconds.append(time.perf_counter() - started)
    return seconds


@torch.no_grad()
def reconstructed_fps(model: LayeredAtlas, frames: int, device: str) -> float:
    """Whole frames at working size remembered by the networks alone, on the device."""
    grid = model.geometry.grid
    xy = pixel_centres(grid.working_width, grid.working_height, model.device).view(-1, 2)

    def reconstruct(index: int) -> None:
        for part in xy.split(CHUNK):
            model.reconstruct(part, torch.full((len(part),), index, device=part.device))

    reconstruct(0)
    wait_for(device)
    started = time.perf_counter()
    for index in range(frames):
        reconstruct(index % len(model.geometry.frames))
    wait_for(device)
    return frames / (time.perf_counter() - started)


def render(arguments: Arguments) -> dict[str, Any]:
    """A child's measurement, of a saved model."""
    device = resolve_device(arguments["device"])
    model = load_model(Path(arguments["model"]), device).eval()
    source = source_of(arguments)
    renderer = Renderer(model, source)
    one = strokes(source, 1)
    reconstructed = reconstructed_fps(model, min(len(source.frames), 40), device)
    renderer.render(one, source.frames[0])
    first = seconds_each(lambda frame: renderer.render(one, frame), source.frames, device)
    again = seconds_each(lambda frame: renderer.render(one, frame), source.frames, device)
    fresh = Renderer(model, source)
    few = source.frames[:REPEATS]

    def write(frame: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_exr(Path(folder) / "f.exr", fresh.render(one, frame).picture, bits=16)

    written = seconds_each(write, few, device)
    return {
        "backend": grid_backend(device).name,
        "plate": [source.width, source.height],
        "reconstructed_fps": reconstructed,
        "edited_first_fps": 1 / statistics.mean(first),
        "edited_again_fps": 1 / statistics.mean(again),
        "edited_again_ms": statistics.median(again) * 1e3,
        "written_fps": 1 / statistics.mean(written),
        "peak_gib": peak_gib(device),
    }


def painted(arguments: Arguments) -> dict[str, Any]:
    """A child's measurement: frames painted with plates and results on the device (see `painting.py`)."""
    import painting

    device = resolve_device(arguments["device"])
    results = {}
    for name, (width, height) in painting.SIZES.items():
        if arguments["quick"] and name == "4K":
            continue
        renderer = painting.make_renderer(width, height, 24, device)
        for count in arguments["strokes"]:
            stack = painting.make_strokes(count, width, height, 24)
            batch = 1 if name == "4K" or arguments["quick"] else 16
            repeats = 2 if arguments["quick"] else REPEATS
            results[f"{name}, {count:,} strokes"] = painting.measure(
                renderer, stack, batch, repeats, by_edit=count == 1
            )
    return results


def strokes_growth(arguments: Arguments) -> list[dict[str, Any]]:
    """A child's measurement: a frame with more and more strokes, first and from the cache."""
    device = resolve_device(arguments["device"])
    source = source_of(arguments)
    renderer = Renderer(load_model(Path(arguments["model"]), device).eval(), source)
    frame = source.frames[len(source.frames) // 2]
    renderer.render(strokes(source, 1), frame)
    results = []
    for count in arguments["strokes"]:
        stack = strokes(source, count)
        (first,) = seconds_each(lambda number, stack=stack: renderer.render(stack, number), (frame,), device)
        again = seconds_each(
            lambda number, stack=stack: renderer.render(stack, number), (frame,) * REPEATS, device
        )
        results.append(
            {
                "strokes": count,
                "first_ms": first * 1e3,
                "again_ms": statistics.median(again) * 1e3,
                "peak_gib": peak_gib(device),
            }
        )
    return results


def source_of(arguments: Arguments) -> ShotSource:
    """The pictures that a child is to render over."""
    span = arguments["span"]
    return open_source(arguments["frames"], arguments["mattes"], None if span is None else tuple(span))

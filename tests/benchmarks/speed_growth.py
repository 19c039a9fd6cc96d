"""How time and memory grow with the clip: one clip learned for a moment and rendered, from files on."""

import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch
from speed_rendering import REPEATS, seconds_each, source_of, strokes
from speed_training import endless, iterations_per_s, loaded, peak_gib, plan_of, wait_for

from inve_core.devices import resolve_device
from inve_core.rendering import Renderer
from inve_core.training import Trainer
from inve_core.warm_up import warm_up


def growth(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A child's measurement. With `limit_gib` torch may take no more device memory than that."""
    device = resolve_device(arguments["device"])
    limit_gib = arguments["limit_gib"]
    if limit_gib is not None and device.startswith("cuda"):
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit_gib * 2**30 / total), device)
    settings = plan_of(arguments).settings
    warm_up(device)
    started = time.perf_counter()
    source = source_of(arguments)
    clip = loaded(source, settings, device)
    loaded_s = time.perf_counter() - started
    started = time.perf_counter()
    trainer = Trainer(clip, endless(settings), device=device, seed=0)
    wait_for(device)
    prepared_s = time.perf_counter() - started
    rate = iterations_per_s(trainer, device, arguments["warm_up"], arguments["seconds"])
    learning_gib = peak_gib(device)
    # As in the daemon, where a training that has ended makes room for rendering.
    model = trainer.model.eval()
    trainer.release()
    renderer = Renderer(model, source)
    few = source.frames[:REPEATS]
    stack = strokes(source, 1)
    renderer.render(stack, few[0])
    first = seconds_each(lambda frame: renderer.render(stack, frame), few, device)
    again = seconds_each(lambda frame: renderer.render(stack, frame), few, device)
    return {
        "frames": len(source.frames),
        "plate": [source.width, source.height],
        "loaded_s": loaded_s,
        "prepared_s": prepared_s,
        "iterations_per_s": rate,
        "learning_gib": learning_gib,
        "first_ms": statistics.median(first) * 1e3,
        "again_ms": statistics.median(again) * 1e3,
        "peak_gib": peak_gib(device),
    }

"""How long a clip takes until it is editable, stage by stage, and how fast edited frames follow.

    python tests/benchmarks/ready.py FRAMES --mattes MATTES --preset fast --device cuda [--json OUT.json]

Runs in one process through the core's public API.
Absolute times mean something on a GPU only, and with its name.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from stopwatch import Stopwatch

from inve_core.clip import load_clip, open_source
from inve_core.devices import describe_device, resolve_device
from inve_core.edits import parse_stack
from inve_core.presets import PRESETS
from inve_core.rendering import Renderer
from inve_core.training import Trainer


def measure(frames: str, mattes: list[str], preset: str, device: str, seed: int) -> dict[str, Any]:
    """One run from files to edited frames."""
    device = resolve_device(device)
    watch = Stopwatch(device)
    source = open_source(frames, mattes)
    watch.lap("open")
    settings = PRESETS[preset]
    clip = load_clip(source, settings.working_size, settings.longest_gap)
    watch.lap("read_and_flow")
    trainer = Trainer(clip, settings, device=device, seed=seed)
    watch.lap("parametric_start")
    learning = 0.0
    for progress in trainer.run():
        if progress.stage != "learning" and not learning:
            watch.lap("learning")
            learning = watch.seconds["learning"]
    watch.lap("inverse_mappings")
    report = trainer.report
    ready_s = sum(watch.seconds.values())
    renderer = Renderer(trainer.model.eval(), source)
    middle = source.frames[len(source.frames) // 2]
    stroke = {
        "type": "stroke",
        "frame": middle,
        "points": [[source.width * share, source.height / 2] for share in (0.2, 0.5, 0.8)],
        "width": source.height / 60,
        "color": [1, 0, 0, 1],
    }
    stack = parse_stack({"layers": [{"name": "paint", "kind": "sketch", "edits": [stroke]}]})
    for name in ("render_first", "render_again"):
        for frame in source.frames:
            renderer.render(stack, frame)
        watch.lap(name)
    if device.startswith("cuda"):
        report["peak_gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
    del report["history"]
    return {
        "device": describe_device(device),
        "frames": len(source.frames),
        "plate": [source.width, source.height],
        "ready_s": round(ready_s, 2),
        "iterations_per_s": round(report["iterations"] / learning, 1),
        "stages_s": watch.seconds,
        "report": report,
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("frames")
    parser.add_argument("--mattes", action="append", default=[])
    parser.add_argument("--preset", default="fast", choices=sorted(PRESETS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = measure(options.frames, options.mattes, options.preset, options.device, options.seed)
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text)


if __name__ == "__main__":
    main()

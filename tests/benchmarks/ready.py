"""How long a clip takes until it is editable, stage by stage, and how fast edited frames follow.

    python tests/benchmarks/ready.py FRAMES --mattes MATTES --preset fast --device cuda [--json OUT.json]

Runs in one process through the core's public API. Flow begins beside decoding: `decoding` ends with the last
frame that is read, and `flow` is what is left then. `first_preview` counts from the start to the first
checkpoint on disk and loaded again, at the worker's pace, with what the last look had found by then.
Absolute times mean something on a GPU only, and with its name.
"""

import argparse
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from stopwatch import Stopwatch

from inve_core.checkpoint import Snapshot, load_model
from inve_core.clip import load_clip, open_source
from inve_core.devices import describe_device, resolve_device
from inve_core.edits import parse_stack
from inve_core.motion.parametric import parametric_motion
from inve_core.presets import PRESETS
from inve_core.rendering import Renderer
from inve_core.training import Trainer
from inve_core.warm_up import warm_up
from inve_daemon.worker.tasks import TrainingPace

SHOWN = ("iterations", "train_s", "psnr_db", "flow_error_px", "far_flow_error_px", "matte_iou", "outcome")


def measure(frames: str, mattes: list[str], preset: str, device: str, seed: int) -> dict[str, Any]:
    """One run from files to edited frames."""
    device = resolve_device(device)
    # As a daemon's worker does when it starts, long before a clip comes.
    began = time.perf_counter()
    warm_up(device)
    warm_up_s = round(time.perf_counter() - began, 2)
    watch = Stopwatch(device)
    began = time.perf_counter()
    source = open_source(frames, mattes)
    watch.lap("open")
    settings = PRESETS[preset]

    def on_progress(stage: str, done: int, total: int) -> None:
        if stage == "reading" and done == total:
            watch.lap("decoding", wait=False)

    clip = load_clip(source, settings.working_size, settings.longest_gap, on_progress, device)
    watch.lap("flow")
    clip_peak_gib = peak_gib(device)
    # By itself first: below it shares a lap with the clip's way into the sampler.
    began_alone = time.perf_counter()
    parametric_motion(clip.flows, clip.mattes, seed, settings.identity_start)
    alone_s = round(time.perf_counter() - began_alone, 3)
    watch.skip()
    began += alone_s
    trainer = Trainer(clip, settings, device=device, seed=seed)
    del clip
    watch.lap("parametric_start_and_sampler")
    learning = 0.0
    first_preview: dict[str, Any] = {}
    pace = TrainingPace()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as saving:

        def save(snapshot: Snapshot) -> None:
            snapshot.write(Path(folder))
            # The default stream waits for others, which a recording in the other thread does not survive.
            with torch.cuda.stream(torch.cuda.Stream(device) if device.startswith("cuda") else None):
                load_model(Path(folder), device)
            found = {name: snapshot.report[name] for name in SHOWN if name in snapshot.report}
            first_preview.update(found | {"seconds": round(time.perf_counter() - began, 3)})

        first_save = time.perf_counter() + pace.first_save_s
        asked = None
        for progress in trainer.run():
            if asked is None and progress.losses and time.perf_counter() >= first_save:
                asked = saving.submit(save, trainer.snapshot(moments=False))
            if progress.stage != "learning" and not learning:
                watch.lap("learning")
                learning = watch.seconds["learning"]
        if asked is not None:
            asked.result()
    watch.lap("inverse_mappings")
    report = trainer.report
    ready_s = sum(watch.seconds.values())
    renderer = Renderer(trainer.model.eval(), source)
    trainer.release()
    if device.startswith("cuda"):
        renderer.bake()
        watch.lap("baking")
        ready_s += watch.seconds["baking"]
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
    report["clip_peak_gib"], report["peak_gib"] = clip_peak_gib, peak_gib(device)
    del report["history"]
    return {
        "device": describe_device(device),
        "frames": len(source.frames),
        "plate": [source.width, source.height],
        "warm_up_s": warm_up_s,
        "ready_s": round(ready_s, 2),
        "iterations_per_s": round(report["iterations"] / learning, 1),
        "stages_s": watch.seconds,
        "parametric_start_alone_s": alone_s,
        "first_preview": first_preview,
        "report": report,
    }


def peak_gib(device: str) -> float | None:
    """The most that torch has held of a GPU's memory so far; None for a CPU."""
    if not device.startswith("cuda"):
        return None
    return round(torch.cuda.max_memory_allocated(device) / 2**30, 2)


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

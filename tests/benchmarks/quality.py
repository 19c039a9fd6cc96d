"""How good what is learned is, on clips with mattes and, where there are some, joints marked by people.

    python tests/benchmarks/quality.py CLIPS_DIR [--clip NAME]... [--preset fast] [--seeds 0,1,2,3,4]
        [--frames 70] [--working-size N] [--iterations N] [--set FIELD=VALUE]... [--device auto] [--jobs J]
        [--out DIR]

CLIPS_DIR holds <clip>/frames, <clip>/mattes and optionally <clip>/badja.json. `--set` overrides any field of
TrainingSettings, nested ones as weights.flow=0.1 or shapes.mapping_levels=6. Each (clip, seed) is a process
of its own, J at a time; one that fails is reported, and makes the exit code 1, while the others go on.

Prints a table: for each measure and clip its least, median and greatest value over the seeds, and the mean
over clips of the medians. In DIR: that table (quality.txt) and all of every run (quality.json), both brought
up to date after each, and a picture a clip, of its first seed. Pixels are working pixels unless a name says
otherwise. The arrays of the clips go to the folder for temporary files: about 1.2 GB for 70 frames at 768.

What is measured stands in quality_fields (reconstruction, opacity), quality_motion (optical flow,
inversion), quality_edits (leak, coverage) and quality_points (joints, colour along tracks). `alive` is 1
where all weights are finite.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from quality_clips import read_clip, save_clip, saved_clip
from quality_run import run
from quality_table import finite, overridden, summarise, table

from inve_core.devices import describe_device, resolve_device
from inve_core.errors import CoreError
from inve_core.presets import PRESETS, TrainingSettings

STDERR_TAIL = 3_000


def settings_of(options: argparse.Namespace) -> TrainingSettings:
    """The preset with all overrides.

    Raises:
        ValueError: an override that does not fit.
    """
    settings = PRESETS[options.preset]
    if options.working_size is not None:
        settings = replace(settings, working_size=options.working_size)
    if options.iterations is not None:
        settings = replace(settings, iterations=options.iterations)
    return overridden(settings, options.set)


class Benchmark:
    """Runs of all clips and seeds, their results collected as they come."""

    def __init__(self, options: argparse.Namespace, names: list[str], seeds: list[int], cache: Path) -> None:
        self.options = options
        self.names = names
        self.seeds = seeds
        self.cache = cache
        self.settings = settings_of(options)
        self.devices = [resolve_device(device) for device in options.device.split(",")]
        self.runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        self._lock = threading.Lock()

    def go(self) -> bool:
        """All of it; whether every run succeeded."""
        pending: list[Future[None]] = []
        with ThreadPoolExecutor(self.options.jobs) as pool:
            for name in self.names:
                started = time.perf_counter()
                try:
                    clip = read_clip(
                        self.options.clips / name,
                        self.options.frames,
                        self.settings.working_size,
                        self.settings.longest_gap,
                    )
                except CoreError as error:
                    self._take(name, {"seed": None, "failed": str(error)})
                    continue
                save_clip(clip, self.cache / name)
                seconds = time.perf_counter() - started
                print(f"{name}: read, with its flow, in {seconds:.1f} s", file=sys.stderr, flush=True)
                del clip
                for seed in self.seeds:
                    device = self.devices[len(pending) % len(self.devices)]
                    pending.append(pool.submit(self._run, name, seed, device))
        for future in pending:
            future.result()
        return not any("failed" in result for results in self.runs.values() for result in results)

    def _run(self, name: str, seed: int, device: str) -> None:
        """One run in a process of its own."""
        options, result_file = self.options, self.cache / f"{name}_{seed}.json"
        command = [sys.executable, __file__, str(options.clips), "--one", str(result_file)]
        command += ["--clip", name, "--seeds", str(seed), "--preset", options.preset, "--device", device]
        command += ["--cache", str(self.cache), "--out", str(options.out)]
        for option in ("working_size", "iterations"):
            if getattr(options, option) is not None:
                command += [f"--{option.replace('_', '-')}", str(getattr(options, option))]
        for assignment in options.set:
            command += ["--set", assignment]
        if seed == self.seeds[0]:
            command.append("--picture")
        # As the worker does: half of the cores, here shared by all that run at once, and no long spinning.
        threads = max(1, (os.cpu_count() or 1) // (2 * options.jobs))
        surroundings = {"OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "10000", **os.environ}
        ended = subprocess.run(
            command,
            env=surroundings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if ended.returncode == 0 and result_file.exists():
            self._take(name, json.loads(result_file.read_text()))
        else:
            why = ended.stderr[-STDERR_TAIL:].strip() or f"ended with {ended.returncode} and no message"
            self._take(name, {"seed": seed, "failed": why, "returncode": ended.returncode})

    def _take(self, name: str, result: dict[str, Any]) -> None:
        """Add a result and bring quality.json up to date."""
        with self._lock:
            self.runs[name].append(result)
            self.runs[name].sort(key=lambda one: -1 if one["seed"] is None else one["seed"])
            document = {
                "device": describe_device(self.devices[0]),
                "frames": self.options.frames,
                "settings": self.settings.to_dict(),
                "runs": self.runs,
                "summary": summarise(self.succeeded()),
            }
            (self.options.out / "quality.json").write_text(json.dumps(finite(document), indent=1))
            (self.options.out / "quality.txt").write_text(table(self.succeeded()) + "\n")
        if "failed" in result:
            print(f"{name}, seed {result['seed']}: FAILED\n{result['failed']}", file=sys.stderr, flush=True)
        else:
            took = sum(result["seconds"].values())
            psnr, iou = result["fields"]["psnr_db"], result["fields"]["matte_iou"]
            text = f"{name}, seed {result['seed']}: {took:.0f} s, PSNR {psnr:.2f} dB, IoU {iou:.3f}"
            print(text, file=sys.stderr, flush=True)

    def succeeded(self) -> dict[str, list[dict[str, Any]]]:
        """The runs that have figures, of clips that have such runs."""
        good = {name: [one for one in runs if "failed" not in one] for name, runs in self.runs.items()}
        return {name: runs for name, runs in good.items() if runs}


def one(options: argparse.Namespace) -> None:
    """The part of one process: learn and measure, and write the result as JSON."""
    name, seed = options.clip[0], int(options.seeds)
    joints = options.clips / name / "badja.json"
    result = run(
        saved_clip(options.cache / name),
        settings_of(options),
        options.device,
        seed,
        joints if joints.exists() else None,
        options.out / f"{name}.png" if options.picture else None,
    )
    options.one.write_text(json.dumps(finite(result)))


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, metavar="CLIPS_DIR")
    parser.add_argument("--clip", action="append", default=[], help="all by default")
    parser.add_argument("--preset", default="fast", choices=sorted(PRESETS))
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--frames", type=int, default=70, help="the most of a clip that is used")
    parser.add_argument("--working-size", type=int, help="the preset's by default")
    parser.add_argument("--iterations", type=int, help="the preset's by default")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--device", default="auto", help="several, by commas, take turns")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at once")
    parser.add_argument("--out", type=Path, default=Path("quality"))
    # How a run is asked of a process of its own.
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--picture", action="store_true", help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Read the command line, run, print."""
    parser = arguments()
    options = parser.parse_args()
    try:
        settings_of(options)
        seeds = [int(seed) for seed in options.seeds.split(",")]
    except ValueError as error:
        parser.error(str(error))
    if options.one:
        one(options)
        return
    names = options.clip or sorted(entry.parent.name for entry in options.clips.glob("*/frames"))
    if not names:
        parser.error(f"{options.clips} holds no <clip>/frames; name the folder above the clips.")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="inve_quality_") as cache:
        benchmark = Benchmark(options, names, seeds, Path(cache))
        well = benchmark.go()
    if benchmark.succeeded():
        print(table(benchmark.succeeded()))
    if not well:
        sys.exit(1)


if __name__ == "__main__":
    main()

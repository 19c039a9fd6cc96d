"""How fast everything is, against the eager reference in the same run, and how it grows.

    python tests/benchmarks/speed.py CLIP [--mattes PATTERN]... [--device auto] [--json OUT.json]
        [--png OUT.png] [--only step,ready,quality,render,latency,growth] [--quick] [--scratch DIR]

CLIP is a folder with `frames` and `mattes` in it, or the pattern of the frames. Prints a markdown table; on a
CPU only ratios, for times there say nothing about a GPU. The sections:

    step      training steps a second, and the device memory they take
    ready     from files to a finished training, stage by stage (as tests/benchmarks/ready.py)
    quality   seconds until the marks of `fast` are passed, as a curve in JSON and PNG
    render    frames a second, reconstructed and edited, in one process
    latency   a stroke sent until its picture is in the client's hands, and a clip until it is on disk as EXR,
              over the real socket of a real `inve-daemon serve`
    growth    with the number of frames, their size and the number of strokes; and a long clip under a limit

Everything that is measured on the device is in a process of its own. The reference is the same code with
INVE_BACKEND=torch and without CUDA graphs. A section that fails is said and makes the exit code 1; the others
go on. `--quick` does a little of each, in about two minutes on two cores.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quality_clips import save_clip
from ready import measure as measure_ready
from speed_children import REFERENCE, child
from speed_clips import Pattern, find_clip, variant
from speed_daemon import (
    clip_to_files,
    learning,
    make_editable,
    percentiles,
    running_daemon,
    stroke_to_picture,
)
from speed_growth import growth
from speed_plan import FULL, MARKS, QUICK, Plan
from speed_rendering import painted, render, strokes_growth
from speed_table import Row, table, write_curve
from speed_training import quality, step

from inve_core.clip import load_clip, open_source
from inve_core.devices import describe_device, resolve_device

CHILDREN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "step": step,
    "ready": lambda arguments: measure_ready(**arguments),
    "quality": quality,
    "render": render,
    "growth": growth,
    "painted": painted,
    "strokes": strokes_growth,
}
SECTIONS = ("step", "ready", "quality", "render", "latency", "growth")


class Benchmark:
    """Sections one after the other; what they find is collected in `rows` and `found`.

    Args:
        clip: to measure on.
        plan: how much.
        device: as resolved.
        scratch: an empty folder for everything that is written.
    """

    def __init__(self, clip: Pattern, plan: Plan, device: str, scratch: Path) -> None:
        self.clip = clip
        self.plan = plan
        self.device = device
        self.scratch = scratch
        self.rows: list[Row] = []
        self.found: dict[str, Any] = {}
        self.failures: list[str] = []
        # Called when there is something new: what takes minutes is not to be lost with what comes after it.
        self.keep: Callable[[], object] = lambda: None
        frames = open_source(clip.frames, clip.mattes).frames[: plan.frames]
        self.span = [frames[0], frames[-1]]
        self.common = {
            "device": device,
            "frames": clip.frames,
            "mattes": list(clip.mattes),
            "span": self.span,
            "preset": plan.preset,
            "working_size": plan.working_size,
            "iterations": plan.iterations,
        }

    def run(self, section: str) -> None:
        """One section; what goes wrong in it is noted."""
        started = time.perf_counter()
        try:
            getattr(self, section)()
        # A section that fails must not take the others' figures with it.
        except Exception as error:  # noqa: BLE001
            self.failures.append(f"{section}: {type(error).__name__}: {error}")
        print(f"{section}: {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)

    def measured(self, name: str, arguments: dict[str, Any], *, reference: bool = False) -> Any:
        """A child's result.

        Raises:
            RuntimeError: it failed.
        """
        result = child(name, {**self.common, **arguments}, REFERENCE if reference else None)
        if isinstance(result, dict) and "failed" in result:
            raise RuntimeError(result["failed"])
        return result

    # The sections

    def step(self) -> None:
        """Training steps a second."""
        plan, cache = self.plan, self.scratch / "clip"
        source = open_source(self.clip.frames, self.clip.mattes, (self.span[0], self.span[1]))
        save_clip(load_clip(source, plan.settings.working_size, plan.settings.longest_gap), cache)
        arguments = {"cache": str(cache), "warm_up": plan.warm_up, "seconds": plan.step_s}
        fast = self.measured("step", {**arguments, "eager": False})
        slow = self.measured("step", {**arguments, "eager": True}, reference=True)
        self.found["step"] = {"fast": fast, "reference": slow}
        self.rows.append(
            Row(
                f"training steps ({fast['backend']}{', CUDA graph' if fast['captured'] else ''})",
                fast["iterations_per_s"],
                "it/s",
                slow["iterations_per_s"],
                more_is_better=True,
                target="1,000 it/s, 18 times",
            )
        )
        alone = [one["steps_alone_per_s"] for one in (fast, slow)]
        what = "... without looks at the quality"
        self.rows.append(Row(what, alone[0], "it/s", alone[1], more_is_better=True))
        self.rows.append(
            Row("... peak device memory", fast["peak_gib"], "GiB", slow["peak_gib"], target="2 GiB")
        )

    def ready(self) -> None:
        """From files to a finished training."""
        names = ("frames", "mattes", "preset", "device")
        arguments = {name: self.common[name] for name in names} | {"seed": 0}
        if self.plan is QUICK:
            print("ready: takes the whole clip, and is left out of --quick", file=sys.stderr)
            return
        result = child("ready", arguments)
        if "failed" in result:
            raise RuntimeError(result["failed"])
        self.found["ready"] = result
        self.rows.append(Row("files to ready", result["ready_s"], "s", target="5 s"))
        self.rows += [Row(f"... {stage}", seconds, "s") for stage, seconds in result["stages_s"].items()]

    def quality(self) -> None:
        """Seconds until the marks are passed; leaves a model for `render`."""
        limit = {"limit_s": self.plan.reference_s}
        fast = self.measured("quality", {"eager": False, "save": str(self.scratch / "model"), **limit})
        slow = self.measured("quality", {"eager": True, "save": None, **limit}, reference=True)
        self.found["quality"] = {"fast": fast, "reference": slow}
        marks = ", ".join(f"{name} {mark:g}" for name, mark in MARKS.items())
        self.rows.append(
            Row(f"Prepare until all of {marks}", fast["marks_s"]["all"], "s", slow["marks_s"]["all"])
        )
        for name in MARKS:
            self.rows.append(Row(f"... until {name}", fast["marks_s"][name], "s", slow["marks_s"][name]))
        self.rows.append(Row("... until learned", fast["ended_s"], "s", target="5 s"))
        self.rows.append(Row("... peak device memory", fast["peak_gib"], "GiB", target="2 GiB"))

    def model(self) -> dict[str, str]:
        """A learned model to render with: that of `quality`, or one that is learned for this."""
        folder = self.scratch / "model"
        if not folder.exists():
            self.measured("quality", {"eager": False, "save": str(folder), "limit_s": 0.0})
        return {"model": str(folder)}

    def render(self) -> None:
        """Frames a second in one process."""
        fast = self.measured("render", self.model())
        slow = self.measured("render", self.model(), reference=True)
        self.found["render"] = {"fast": fast, "reference": slow}
        for what, name, target in (
            ("frames reconstructed at working size", "reconstructed_fps", ""),
            ("frames edited, plate read and picture handed back, first time", "edited_first_fps", ""),
            ("... from the cache", "edited_again_fps", "1,000 frames/s on the device alone"),
            ("... and written as EXR one after the other", "written_fps", ""),
        ):
            self.rows.append(
                Row(what, fast[name], "frames/s", slow[name], more_is_better=True, target=target)
            )
        self.rows.append(
            Row(
                "edited from the cache against the first time",
                fast["edited_again_fps"] / fast["edited_first_fps"],
                "times",
            )
        )

        if importlib.util.find_spec("painting") is not None:
            self._painted()

    def _painted(self) -> None:
        """Frames a second on the device alone, against painting each edit on every pixel."""
        targets = {"768x432, 1 strokes": "1,000 frames/s", "4K, 1 strokes": "60 frames/s"}
        strokes = list(self.plan.growth_strokes)
        found = self.measured("painted", {"strokes": strokes, "quick": self.plan is QUICK})
        self.found["painted"] = found
        for name, one in found.items():
            per_s, slow_ms = one["on_device_frames_per_s"], one.get("reference_ms")
            self.rows.append(
                Row(
                    f"painted on the device, {name}",
                    per_s,
                    "frames/s",
                    None if slow_ms is None else 1e3 / slow_ms,
                    more_is_better=True,
                    target=targets.get(name, ""),
                )
            )
            self.rows.append(
                Row(
                    "... plate from the host and back; reference: not baked",
                    one["cached_ms"],
                    "ms",
                    one["uncached_ms"],
                )
            )

    def latency(self) -> None:
        """The daemon over its socket."""
        plan, found = self.plan, self.found.setdefault("latency", {})
        targets = {"768x432": "p50 15 ms, p99 40 ms", "4K": "p50 80 ms"}
        with tempfile.TemporaryDirectory(prefix="sp-") as short:
            clips = {
                name: variant(self.clip, self.scratch / name, plan.shot_frames, size)
                for name, size in plan.sizes
            }
            whole = variant(self.clip, self.scratch / "whole", min(plan.frames, len(self.clip.paths)))
            roots = [self.scratch, *self.clip.folders]
            with running_daemon(Path(short), roots, self.device) as client:
                for name, clip in clips.items():
                    editable_s = make_editable(client, name, clip, plan.working_size)
                    fast, samples = stroke_to_picture(client, name, plan.strokes)
                    slow, _ = stroke_to_picture(
                        client, name, plan.reference_strokes, shared=False, compression="zip"
                    )
                    # As many strokes as the reference had, for each makes the next picture dearer.
                    alike = percentiles(samples[: plan.reference_strokes])
                    found[name] = {
                        "fast": fast,
                        "alike": alike,
                        "zip_by_socket": slow,
                        "samples": samples,
                        "editable_s": editable_s,
                    }
                    for share in (50, 99):
                        what, figure = f"stroke to picture, {name}, p{share}", fast[f"total_p{share}_ms"]
                        self.rows.append(Row(what, figure, "ms", target=targets.get(name, "")))
                    for part in ("edit", "render"):
                        self.rows.append(Row(f"... of it {part}, p50", fast[f"{part}_p50_ms"], "ms"))
                    what = f"... the first {plan.reference_strokes}; reference: zipped, through the socket"
                    self.rows.append(Row(what, alike["total_p50_ms"], "ms", slow["total_p50_ms"]))
                    self.rows.append(Row(f"opened and asked for until editable, {name}", editable_s, "s"))
                make_editable(client, "whole", whole, plan.working_size)
                name = plan.sizes[0][0]
                with learning(client, "whole", plan.preset, plan.working_size):
                    busy, _ = stroke_to_picture(client, name, plan.reference_strokes)
                found["while learning"] = busy
                for share in (50, 99):
                    what = f"stroke to picture, {name}, while another shot is learned, p{share}"
                    idle = found[name]["alike"][f"total_p{share}_ms"]
                    self.rows.append(Row(what, busy[f"total_p{share}_ms"], "ms", idle, grows=True))
                files = clip_to_files(client, "whole", self.scratch / "out")
                found["files"] = files
                what = f"{files['frames']} frames edited and on disk, half-float ZIP EXR"
                self.rows.append(
                    Row(
                        f"{what}; reference: the first time",
                        files["again_s"],
                        "s",
                        files["first_s"],
                        target="2 s",
                    )
                )

    def growth(self) -> None:
        """Frames, pixels, strokes, and a long clip under a limit."""
        plan, found = self.plan, self.found.setdefault("growth", {})
        common = {"warm_up": plan.warm_up, "seconds": plan.growth_s, "span": None}
        series = {
            "frames": [(f"{count} frames", count, None) for count in plan.growth_frames],
            "pixels": [(name, plan.growth_size_frames, size) for name, size in plan.growth_sizes],
        }
        count, size = plan.limited
        limit = {**common, "limit_gib": plan.limit_gib}
        result = self._grown("limited", count, size, limit)
        found["limited"] = result
        what = f"{count} frames of {size[0]}x{size[1]} with {plan.limit_gib:g} GiB"
        self._growth_rows(what, result, result, target="learns and renders")
        growing = self.measured("strokes", {**self.model(), "strokes": list(plan.growth_strokes)})
        found["strokes"] = growing
        for one in growing:
            what, target = f"a frame with {one['strokes']:,} strokes", "10,000: at most 3 times"
            self.rows.append(
                Row(
                    f"{what}, from the cache",
                    one["again_ms"],
                    "ms",
                    growing[0]["again_ms"],
                    grows=True,
                    target=target,
                )
            )
            self.rows.append(Row("... first time", one["first_ms"], "ms", growing[0]["first_ms"], grows=True))
        for kind, steps in series.items():
            base: dict[str, Any] | None = None
            for name, count, size in steps:
                result = self._grown(
                    f"{kind}-{name}".replace(" ", "-"), count, size, {**common, "limit_gib": None}
                )
                found[f"{kind}: {name}"] = result
                base = base or result
                self._growth_rows(f"growth, {name}", result, base)

    def _grown(
        self, name: str, count: int, size: tuple[int, int] | None, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        clip = variant(self.clip, self.scratch / name, count, size)
        named = {"frames": clip.frames, "mattes": list(clip.mattes)}
        result: dict[str, Any] = self.measured("growth", {**arguments, **named})
        return result

    def _growth_rows(self, what: str, result: dict[str, Any], base: dict[str, Any], target: str = "") -> None:
        for label, name, unit in (
            ("read, with flow", "loaded_s", "s"),
            ("steps", "iterations_per_s", "it/s"),
            ("memory, learning", "learning_gib", "GiB"),
            ("edited frame from the cache", "again_ms", "ms"),
            ("memory, all", "peak_gib", "GiB"),
        ):
            reference = None if base is result else base[name]
            self.rows.append(
                Row(f"{what}: {label}", result[name], unit, reference, grows=True, target=target)
            )
        self.keep()


def arguments_of(line: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", nargs="?")
    parser.add_argument("--mattes", action="append", default=[])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--png", type=Path)
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scratch", type=Path, help="where to write clips, frames and the daemon's store")
    # A child's.
    parser.add_argument("--one", choices=sorted(CHILDREN), help=argparse.SUPPRESS)
    parser.add_argument("--arguments", help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(line)
    if options.one is None:
        wrong = set(options.only.split(",")) - set(SECTIONS)
        if wrong:
            parser.error(f"--only takes {', '.join(SECTIONS)}, got {', '.join(sorted(wrong))}")
        if options.clip is None:
            parser.error("name the clip: its folder, or the pattern of its frames")
    return options


def run(options: argparse.Namespace, plan: Plan) -> Benchmark:
    """All sections that were asked for, and what they found: printed, and written as JSON and PNG."""
    device = resolve_device(options.device)
    clip = find_clip(options.clip, options.mattes)
    with tempfile.TemporaryDirectory(prefix="speed-", dir=options.scratch) as scratch:
        benchmark = Benchmark(clip, plan, device, Path(scratch))
        if options.json:
            benchmark.keep = lambda: options.json.write_text(json.dumps(report(benchmark), indent=1))
        for section in SECTIONS:
            if section in options.only.split(","):
                benchmark.run(section)
                benchmark.keep()
    print(f"Device: {describe_device(device)}\n")
    print(table(benchmark.rows, on_gpu=device.startswith("cuda")))
    runs = benchmark.found.get("quality")
    if options.png and runs:
        missing = write_curve(
            runs, options.png, f"{Path(clip.frames).parent.name}, {describe_device(device)}"
        )
        if missing:
            print(missing, file=sys.stderr)
    for failure in benchmark.failures:
        print(f"failed: {failure}", file=sys.stderr)
    return benchmark


def report(benchmark: Benchmark) -> dict[str, Any]:
    """All that was found, for JSON."""
    return {
        "device": describe_device(benchmark.device),
        "rows": [row.plain() for row in benchmark.rows],
        "failures": benchmark.failures,
        **benchmark.found,
    }


def main() -> int:
    """Read the command line and measure, or be a child that measures one thing."""
    options = arguments_of(None)
    if options.one is not None:
        options.result.write_text(json.dumps(CHILDREN[options.one](json.loads(options.arguments))))
        return 0
    return 1 if run(options, QUICK if options.quick else FULL).failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""Speed of learning: iterations a second, and seconds until the result is good."""

import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from quality_clips import saved_clip
from speed_plan import FALLING, MARKS, Plan

from inve_core.clip import Clip, ShotSource, load_clip, open_source
from inve_core.devices import resolve_device
from inve_core.encodings.backends import grid_backend
from inve_core.presets import TrainingSettings
from inve_core.training import Trainer
from inve_core.warm_up import warm_up

Arguments = Mapping[str, Any]


def wait_for(device: str) -> None:
    """Until the device has done all that it was asked for."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def peak_gib(device: str) -> float:
    """Most device memory that this process had allocated; on a CPU, most memory that it held."""
    if device.startswith("cuda"):
        return round(torch.cuda.max_memory_allocated(device) / 2**30, 3)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)


def plan_of(arguments: Arguments) -> Plan:
    """The part of the plan that decides what is learned."""
    names = ("preset", "working_size", "iterations")
    return Plan(**{name: arguments[name] for name in names})


def loaded(source: ShotSource, settings: TrainingSettings, device: str) -> Clip:
    """The clip as *Prepare* reads it for a training on a device."""
    return load_clip(source, settings.working_size, settings.longest_gap, None, device)


def iterations_per_s(trainer: Trainer, device: str, warm_up: int, seconds: float) -> float:
    """Of the forward networks, looks at the quality included, once everything is compiled and captured."""
    steps = trainer.run()
    before = next(progress.iteration for progress in steps if progress.iteration >= warm_up)
    wait_for(device)
    started = time.perf_counter()
    done = before
    for progress in steps:
        done = progress.iteration
        if time.perf_counter() - started > seconds or progress.stage != "learning":
            break
    wait_for(device)
    return (done - before) / (time.perf_counter() - started)


def steps_alone_per_s(trainer: Trainer, device: str, seconds: float) -> float:
    """The same without the looks and whatever else a run does between two steps."""
    wait_for(device)
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        trainer.forward_step(0.1)
        done += 1
    wait_for(device)
    return done / (time.perf_counter() - started)


def endless(settings: TrainingSettings) -> TrainingSettings:
    """The same training without an end, with all losses on all the time."""
    return replace(settings, iterations=1_000_000, least_iterations=1_000_000)


def step(arguments: Arguments) -> dict[str, Any]:
    """A child's measurement: the rate of training steps on a saved clip."""
    device = resolve_device(arguments["device"])
    clip = saved_clip(Path(arguments["cache"]))
    trainer = Trainer(clip, endless(plan_of(arguments).settings), device=device, seed=0)
    trainer.forward_step.eager_only = arguments["eager"]
    rate = iterations_per_s(trainer, device, arguments["warm_up"], arguments["seconds"])
    return {
        "iterations_per_s": rate,
        "steps_alone_per_s": steps_alone_per_s(trainer, device, arguments["seconds"] / 2),
        "peak_gib": peak_gib(device),
        "backend": grid_backend(device).name,
        "captured": trainer.forward_step.captured,
    }


def quality(arguments: Arguments) -> dict[str, Any]:
    """A child's measurement: from *Prepare* to the marks, and to the end unless it is only the reference."""
    device = resolve_device(arguments["device"])
    settings = plan_of(arguments).settings
    # As a daemon's worker does when it starts.
    warm_up(device)
    started = time.perf_counter()
    span = arguments["span"]
    source = open_source(arguments["frames"], arguments["mattes"], None if span is None else tuple(span))
    clip = loaded(source, settings, device)
    trainer = Trainer(clip, settings, device=device, seed=0)
    trainer.forward_step.eager_only = arguments["eager"]
    prepared_s = time.perf_counter() - started
    curve: list[dict[str, float]] = []
    only_marks = arguments["save"] is None
    ended = False
    for _ in trainer.run():
        if len(trainer.state.history) > len(curve):
            curve.append({**trainer.state.history[-1], "seconds": time.perf_counter() - started})
            late = time.perf_counter() - started > arguments["limit_s"]
            if only_marks and (late or marks_passed(curve)["all"] is not None):
                break
    else:
        ended = True
    wait_for(device)
    seconds = time.perf_counter() - started
    if arguments["save"] is not None:
        trainer.save(Path(arguments["save"]))
    report = trainer.report
    return {
        "prepared_s": prepared_s,
        "ended_s": seconds if ended else None,
        "iterations": trainer.state.iteration,
        "marks_s": marks_passed(curve),
        "curve": curve,
        "backend": report["backend"],
        "outcome": report["outcome"],
        "final": {name: report[name] for name in MARKS},
        "peak_gib": peak_gib(device),
    }


def marks_passed(curve: list[dict[str, float]]) -> dict[str, float | None]:
    """Seconds at the first look that passes each mark, and at the first that passes `all` at once.

    Args:
        curve: looks in order. A figure that a clip does not have passes.
    """

    def passes(look: Mapping[str, float], name: str) -> bool:
        if name not in look:
            return True
        return look[name] <= MARKS[name] if name in FALLING else look[name] >= MARKS[name]

    def first(condition: Callable[[Mapping[str, float]], bool]) -> float | None:
        return next((look["seconds"] for look in curve if condition(look)), None)

    each = {name: first(lambda look, name=name: passes(look, name)) for name in MARKS}
    return {**each, "all": first(lambda look: all(passes(look, name) for name in MARKS))}

"""Learning a clip: the parametric start, the forward networks, then the inverse mappings.

Early stopping (INVE, Sec. 3.6: train until the mapping matures). Every `check_every` iterations the flow
error and the matte's IoU are measured on fixed samples. The mapping counts as mature when, after
`least_iterations`, neither has got better for `patience` looks: flow error by at least 2 %, IoU by at least
0.002. Learning then goes on for `cooldown` times the iterations so far with rates that fall to 3 %, and
ends. Without maturity the cool-down is timed to end at `iterations`.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inve_core import checkpoint
from inve_core.clip import Clip
from inve_core.devices import describe_device, resolve_device
from inve_core.measures import Quality, measure
from inve_core.model import Geometry, LayeredAtlas
from inve_core.motion.parametric import parametric_motion
from inve_core.objective import weighted_losses
from inve_core.presets import TrainingSettings
from inve_core.sampling import Sampler

BACKEND = "torch"
FINAL_RATE = 0.03
BETTER_FLOW = 0.98
BETTER_IOU = 0.002
# A look worse than this many times the best one is a mapping that fell apart, not noise.
REGRESSED = 3.0
REGRESSED_PX = 1.0
FAIR_FLOW_PX = 2.0
FAIR_IOU = 0.85


@dataclass(frozen=True)
class Progress:
    """Where a training run is; yielded after every iteration."""

    stage: str
    iteration: int
    iterations: int
    losses: dict[str, float]
    iterations_per_s: float
    seconds_left: float


@dataclass
class TrainingState:
    """All that changes while training, besides weights, optimisers and the random generator."""

    stage: str = "learning"
    iteration: int = 0
    inverse_iteration: int = 0
    seconds: float = 0.0
    cooldown_from: int | None = None
    ends_at: int | None = None
    stopped: str = "iterations"
    rate_factor: float = 1.0
    best_flow_px: float = math.inf
    best_iou: float = -math.inf
    looks_without_progress: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Trainer:
    """Trains the networks of one clip. Iterate over `run()`; the caller may stop between any two steps.

    Args:
        clip: what to learn.
        settings: see `inve_core.presets`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        seed: the same seed gives the same result on the same machine.
        resume: folder of an earlier `save`, of the same clip and settings.

    Raises:
        DeviceError: the device is not there.
        CheckpointError: `resume` is damaged or belongs to other settings or frames.
    """

    def __init__(
        self,
        clip: Clip,
        settings: TrainingSettings,
        *,
        device: str = "auto",
        seed: int = 0,
        resume: Path | None = None,
    ):
        self.clip = clip
        self.settings = settings
        self.seed = seed
        self.device = resolve_device(device)
        self.state = TrainingState()
        self.generator = torch.Generator(self.device).manual_seed(seed)
        started = time.perf_counter()
        if resume is None:
            motions = parametric_motion(clip.flows, clip.mattes, seed, settings.identity_start)
            geometry = Geometry.of(
                clip.grid, clip.source.frames, clip.source.video_layers, motions, clip.exposure
            )
            transforms = np.stack([motion.transforms for motion in motions])
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.model = LayeredAtlas(geometry, transforms, settings.shapes).to(self.device)
        else:
            self.model = checkpoint.load_model(resume, self.device)
        self.sampler = Sampler(clip, self.device, settings.foreground_share)
        self.forward_optimiser = self._optimiser(
            [*self.model.mappings, self.model.atlas]
            + ([self.model.opacity] if self.model.opacity is not None else [])
        )
        self.inverse_optimiser = self._optimiser(list(self.model.inverses))
        if resume is not None:
            checkpoint.restore_trainer(self, resume)
        self.state.seconds += time.perf_counter() - started
        self._good_weights = self._snapshot()
        self.quality: Quality | None = None

    def _optimiser(self, fields: list[Any]) -> torch.optim.Optimizer:
        groups = [
            group
            for one in fields
            for group in one.parameter_groups(self.settings.grid_rate, self.settings.mlp_rate)
        ]
        for group in groups:
            group["full_rate"] = group["lr"]
        return torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15, fused=self.device.startswith("cuda"))

    def _snapshot(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    # -- the run ---------------------------------------------------------------------------------------

    def run(self) -> Iterator[Progress]:
        """Train to the end, or on from where an earlier run stopped, yielding after every iteration."""
        while self.state.stage != "done":
            started = time.perf_counter()
            if self.state.stage == "learning":
                self._learn()
            else:
                self._invert()
            self._advance()
            self.state.seconds += time.perf_counter() - started
            yield self._progress()

    def _advance(self) -> None:
        state, settings = self.state, self.settings
        if state.stage == "learning":
            self._look_and_plan()
            if state.iteration >= self._end():
                state.stage = "inverse"
        elif state.inverse_iteration >= settings.inverse_iterations:
            state.stage = "done"
        if state.stage == "done":
            self._finish()

    def _end(self) -> int:
        return self.settings.iterations if self.state.ends_at is None else self.state.ends_at

    def _progress(self) -> Progress:
        state, settings = self.state, self.settings
        total = self._end() + settings.inverse_iterations
        done = state.iteration + state.inverse_iteration
        rate = done / max(state.seconds, 1e-9)
        latest = state.history[-1] if state.history else {}
        names = ("loss", "flow_error_px", "matte_iou", "psnr_db")
        shown = {name: latest[name] for name in names if name in latest}
        return Progress(state.stage, done, total, shown, rate, max(0, total - done) / max(rate, 1e-9))

    # -- forward networks ------------------------------------------------------------------------------

    def _learn(self) -> None:
        settings, state = self.settings, self.state
        samples = self.sampler.draw(
            settings.batch, max(1, int(settings.batch * settings.neighbour_share)), self.generator
        )
        progress = state.iteration / settings.iterations
        losses = weighted_losses(self.model, settings, samples, progress)
        total = torch.stack(list(losses.values())).sum()
        self._set_rates(self.forward_optimiser, self._rate())
        self.forward_optimiser.zero_grad(set_to_none=True)
        total.backward()
        self.forward_optimiser.step()
        state.iteration += 1
        self._last_loss = total.detach()

    # -- schedule, early stopping, recovery ------------------------------------------------------------

    def _rate(self) -> float:
        """Learning-rate factor: a short warm-up, flat, then an exponential cool-down."""
        state = self.state
        factor = state.rate_factor * min(1.0, (state.iteration + 1) / 20)
        start = self._cooldown_start()
        if state.iteration > start:
            factor *= FINAL_RATE ** ((state.iteration - start) / max(1, self._end() - start))
        return factor

    def _cooldown_start(self) -> int:
        if self.state.cooldown_from is not None:
            return self.state.cooldown_from
        return int(self.settings.iterations / (1 + self.settings.cooldown))

    @staticmethod
    def _set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
        for group in optimiser.param_groups:
            group["lr"] = group["full_rate"] * factor

    def _look_and_plan(self) -> None:
        """Measure now and then; go back where learning fell apart, stop where it has matured."""
        state, settings = self.state, self.settings
        if state.iteration % settings.check_every and state.iteration < self._end():
            return
        quality = measure(self.model, self.sampler, fine=False)
        loss = float(self._last_loss)
        entry = {"iteration": float(state.iteration), "seconds": state.seconds, "loss": loss}
        state.history.append(entry | {k: v for k, v in quality.to_dict().items() if v is not None})
        flow_px = quality.flow_error_px if quality.flow_error_px is not None else 0.0
        fell_apart = flow_px > max(REGRESSED * state.best_flow_px, REGRESSED_PX)
        if not math.isfinite(loss) or not math.isfinite(flow_px) or fell_apart:
            self._go_back(loss, flow_px)
            return
        self._good_weights = self._snapshot()
        iou = quality.matte_iou if quality.matte_iou is not None else 1.0
        progressed = flow_px < state.best_flow_px * BETTER_FLOW or iou > state.best_iou + BETTER_IOU
        state.best_flow_px = min(state.best_flow_px, flow_px)
        state.best_iou = max(state.best_iou, iou)
        state.looks_without_progress = 0 if progressed else state.looks_without_progress + 1
        mature = (
            state.iteration >= settings.least_iterations and state.looks_without_progress >= settings.patience
        )
        if mature and state.ends_at is None and state.iteration < self._cooldown_start():
            state.stopped = "matured"
            state.cooldown_from = state.iteration
            state.ends_at = state.iteration + max(50, int(settings.cooldown * state.iteration))

    def _go_back(self, loss: float, flow_px: float) -> None:
        state = self.state
        self.model.load_state_dict(self._good_weights)
        self.forward_optimiser.state.clear()
        state.rate_factor *= 0.5
        state.warnings.append(
            f"learning fell apart at iteration {state.iteration} (loss {loss:.3g}, flow error "
            f"{flow_px:.3g} px); it went back to the last good state and on at half the rate"
        )

    # -- inverse mappings ------------------------------------------------------------------------------

    def _invert(self) -> None:
        """One step of the inverse mappings on pairs from the finished forward ones (INVE, Sec. 3.3)."""
        model, settings, state = self.model, self.settings, self.state
        samples = self.sampler.draw(settings.batch, 1, self.generator)
        loss = samples.xy.new_zeros(())
        for layer in range(model.layer_count):
            with torch.no_grad():
                p = model.stabilise(layer, samples.xy, samples.t)
                uv = p + model.residual(layer, p, samples.t)
            unit = model.geometry.boxes[layer].to_unit(uv)
            time_axis = model.unit_time(samples.t)[:, None]
            back = model.inverses[layer](torch.cat((unit, time_axis), 1)) * model.residual_px
            loss = loss + ((uv + back - p).square().sum(-1) + 1e-8).sqrt().mean()
        progress = state.inverse_iteration / max(1, settings.inverse_iterations)
        self._set_rates(self.inverse_optimiser, FINAL_RATE**progress)
        self.inverse_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.inverse_optimiser.step()
        state.inverse_iteration += 1

    # -- the end ---------------------------------------------------------------------------------------

    def _finish(self) -> None:
        self.quality = measure(self.model, self.sampler, fine=True)
        quality, warnings = self.quality, self.state.warnings
        if quality.flow_error_px is not None and quality.flow_error_px > FAIR_FLOW_PX:
            warnings.append(
                f"the mapping is poor: flow error {quality.flow_error_px:.2f} px, {FAIR_FLOW_PX:g} px or "
                "less is usable; try another preset, or a matte that follows the object more closely"
            )
        if quality.matte_iou is not None and quality.matte_iou < FAIR_IOU:
            warnings.append(
                f"the opacity is poor: IoU with the mattes {quality.matte_iou:.3f}, {FAIR_IOU:g} or more is "
                "usable; check that the mattes belong to these frames"
            )

    @property
    def report(self) -> dict[str, Any]:
        """The outcome as plain data, written into the checkpoint and shown to the user."""
        grid, state = self.model.geometry.grid, self.state
        quality = self.quality or measure(self.model, self.sampler, fine=False)
        return {
            **quality.to_dict(),
            "preset": self.settings.name,
            "seed": self.seed,
            "device": describe_device(self.device),
            "backend": BACKEND,
            "iterations": state.iteration,
            "inverse_iterations": state.inverse_iteration,
            "train_s": round(state.seconds, 3),
            "working_size": [grid.working_width, grid.working_height],
            "motion_models": list(self.model.geometry.motion_models),
            "stopped": state.stopped,
            "warnings": list(state.warnings),
            "history": list(state.history),
        }

    def save(self, folder: Path) -> None:
        """Write a checkpoint that `resume` and `checkpoint.load_model` take.

        Raises:
            StorageError: no space, or no permission.
        """
        checkpoint.save_trainer(self, folder)


def with_working_size(settings: TrainingSettings, working_size: int | None) -> TrainingSettings:
    """The settings at another working size, where one is asked for."""
    return settings if working_size is None else replace(settings, working_size=working_size)

"""Learning a clip: the parametric start, the forward networks, then the inverse mappings.

Early stopping (INVE, Sec. 3.6: train until the mapping matures). Every `check_every` iterations the flow
errors and the matte's IoU are measured on fixed samples. The mapping counts as mature when the second half
of the iterations so far brought less than 1.5 %: what is gained is gained per doubling, and three more
doublings, ten times the iterations, would then bring less than 5 %. Learning goes on for `cooldown` times
the iterations so far with rates that fall to 3 %, and ends. Without maturity the cool-down is timed to end
at `iterations`.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inve_core import checkpoint
from inve_core.clip import Clip
from inve_core.devices import describe_device, resolve_device
from inve_core.encodings.backends import grid_backend, passed_over, triton_part
from inve_core.fields import Field
from inve_core.measures import Looks, Quality, measure
from inve_core.model import Geometry, LayeredAtlas
from inve_core.motion.parametric import parametric_motion
from inve_core.objective import Phase, weighted_losses
from inve_core.presets import LossWeights, TrainingSettings
from inve_core.sampling import Sampler, Samples
from inve_core.steps import AutogradUpdate, FusedUpdate, OptimiserStep, Update

FINAL_RATE = 0.03
GAIN_A_DOUBLING = 0.015
IOU_GAIN_A_DOUBLING = 0.002
# A look worse than this many times the best one is a mapping that fell apart, not noise.
REGRESSED = 3.0
REGRESSED_PX = 1.0
FOLDED = 0.02
FAIR_FLOW_PX = 2.0
FAIR_FAR_FLOW_PX = 8.0
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
    rigidity_factor: float = 1.0
    best_flow_px: float = math.inf
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
        clip_budget_bytes: the most device memory that the clip may take; see `FrameSlots`.

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
        clip_budget_bytes: int | None = None,
    ):
        self.settings = settings
        self.seed = seed
        self.device = resolve_device(device)
        self.state = TrainingState()
        self.generator = torch.Generator(self.device).manual_seed(seed)
        started = time.perf_counter()
        # First of all: kernels may still be checked in another thread, which draws random numbers for that.
        slower = passed_over(self.device)
        if slower and resume is None:
            self.state.warnings.append(f"learning was slower than it could be: {'; '.join(slower)}")
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
        self.sampler = Sampler(
            clip,
            self.device,
            settings.foreground_share,
            iterations=settings.iterations,
            seed=seed,
            budget_bytes=clip_budget_bytes,
        )
        # The sampler has what it needs of the flow, which may take half a gigabyte of the device.
        self.clip = replace(clip, flows=())
        self._phase = self._phase_now()
        self.forward_step = OptimiserStep(self._forward_update(), self.generator)
        inverses = [one for one in self.model.inverses if isinstance(one, Field)]
        inverse_update = AutogradUpdate(self._inverse_loss, inverses, settings.grid_rate, settings.mlp_rate)
        self.inverse_step = OptimiserStep(inverse_update, self.generator)
        self._look = Looks(self.model, self.sampler)
        if resume is not None:
            checkpoint.restore_trainer(self, resume)
        self.state.seconds += time.perf_counter() - started
        self._good_weights = self._snapshot()
        self.quality: Quality | None = None
        # What the last look found, which a report on the way has to be content with.
        self._latest: Quality | None = None

    def _snapshot(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    # -- the run ---------------------------------------------------------------------------------------

    def run(self) -> Iterator[Progress]:
        """Train to the end, or on from where an earlier run stopped, yielding after every iteration."""
        while self.state.stage != "done":
            started = time.perf_counter()
            self.sampler.advance(self.state.iteration + self.state.inverse_iteration)
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
        phase = self._phase_now()
        if phase != self._phase:
            self._phase = phase
            self.forward_step.reset()
        self._last_loss = self.forward_step(self._rate())
        self.state.iteration += 1

    def _phase_now(self) -> Phase:
        return Phase.at(self.state.iteration / self.settings.iterations, self.settings)

    def _forward_update(self) -> Update:
        """Triton's kernels where they work for this model, the reference everywhere else."""
        fields, settings = self.model.forward_fields(), self.settings
        rates = settings.grid_rate, settings.mlp_rate
        # It has the grid within it, in Triton.
        if grid_backend(self.device).name == "triton" and triton_part("training step", self.device):
            # Imported here: Triton may be missing where it is not the backend.
            from inve_core import triton_objective

            def objective() -> triton_objective.FusedObjective:
                return triton_objective.FusedObjective(
                    self.model, self._weights(), settings.batch, self._neighbours(), self._phase
                )

            if triton_objective.supports(self.model):
                return FusedUpdate(self._draw, objective, fields, *rates)
        return AutogradUpdate(self._forward_loss, fields, *rates)

    def _neighbours(self) -> int:
        return max(1, int(self.settings.batch * self.settings.neighbour_share))

    def _draw(self) -> Samples:
        return self.sampler.draw(self.settings.batch, self._neighbours(), self.generator)

    def _weights(self) -> LossWeights:
        return self.settings.weights.stiffer(self.state.rigidity_factor)

    def _forward_loss(self) -> Tensor:
        losses = weighted_losses(self.model, self._weights(), self._draw(), self._phase)
        return torch.stack(list(losses.values())).sum()

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

    def _look_and_plan(self) -> None:
        """Measure now and then; go back where learning fell apart, stop where it has matured."""
        state, settings = self.state, self.settings
        if state.iteration % settings.check_every and state.iteration < self._end():
            return
        quality = self._look()
        loss = float(self._last_loss)
        trouble = self._trouble(loss, quality)
        if trouble:
            self._go_back(trouble)
            return
        entry = {"iteration": float(state.iteration), "seconds": state.seconds, "loss": loss}
        state.history.append(entry | {k: v for k, v in quality.to_dict().items() if v is not None})
        self._good_weights = self._snapshot()
        self._latest = quality
        if quality.flow_error_px is not None:
            state.best_flow_px = min(state.best_flow_px, quality.flow_error_px)
        early = state.ends_at is None and state.iteration < self._cooldown_start()
        if early and state.iteration >= settings.least_iterations and matured(state.history):
            state.stopped = "matured"
            state.cooldown_from = state.iteration
            state.ends_at = state.iteration + max(50, int(settings.cooldown * state.iteration))

    def _trouble(self, loss: float, quality: Quality) -> str | None:
        """What is wrong with the present state, in words; None where nothing is."""
        flow_px = quality.flow_error_px or 0.0
        if not math.isfinite(loss) or not math.isfinite(flow_px):
            return f"the loss was {loss:.3g}, the flow error {flow_px:.3g} px"
        if flow_px > max(REGRESSED * self.state.best_flow_px, REGRESSED_PX):
            return f"the flow error rose from {self.state.best_flow_px:.3g} to {flow_px:.3g} px"
        if quality.folded_share > FOLDED:
            return f"the mapping folded over {quality.folded_share:.1%} of a video layer"
        return None

    def _go_back(self, trouble: str) -> None:
        """To the last good state, and on more gently: half the rates, twice the rigidity."""
        state = self.state
        self.model.load_state_dict(self._good_weights)
        state.rate_factor *= 0.5
        state.rigidity_factor *= 2.0
        self.forward_step.forget()
        state.warnings.append(
            f"learning went wrong at iteration {state.iteration}: {trouble}; it went back to the last good "
            "state, and on at half the rate and twice the rigidity"
        )

    # -- inverse mappings ------------------------------------------------------------------------------

    def _invert(self) -> None:
        """One step of the inverse mappings on pairs from the finished forward ones (INVE, Sec. 3.3)."""
        progress = self.state.inverse_iteration / max(1, self.settings.inverse_iterations)
        self.inverse_step(FINAL_RATE**progress)
        self.state.inverse_iteration += 1

    def _inverse_loss(self) -> Tensor:
        model = self.model
        samples = self.sampler.draw(self.settings.batch, 1, self.generator)
        loss = samples.xy.new_zeros(())
        for layer in range(model.layer_count):
            with torch.no_grad():
                p = model.stabilise(layer, samples.xy, samples.t)
                uv = p + model.residual(layer, p, samples.t)
            unit = model.geometry.boxes[layer].to_unit(uv)
            time_axis = model.unit_time(samples.t)[:, None]
            back = model.inverses[layer](torch.cat((unit, time_axis), 1)) * model.residual_px
            loss = loss + ((uv + back - p).square().sum(-1) + 1e-8).sqrt().mean()
        return loss

    # -- the end ---------------------------------------------------------------------------------------

    def _finish(self) -> None:
        self._mend_inverses()
        self.quality = measure(self.model, self.sampler, fine=True)
        self.state.warnings += shortcomings(self.quality)

    @torch.no_grad()
    def _mend_inverses(self) -> None:
        """A dead inverse network is made to answer nothing; Newton steps then start from the motion alone."""
        for layer, inverse in enumerate(self.model.inverses):
            if not all(bool(weight.isfinite().all()) for weight in inverse.parameters()):
                for weight in inverse.parameters():
                    weight.zero_()
                name = self.model.geometry.video_layers[layer]
                self.state.warnings.append(f"the inverse network of {name} died and was switched off")

    @property
    def report(self) -> dict[str, Any]:
        """The outcome as plain data, written into the checkpoint and shown to the user.

        On the way, how good the networks are is what the last look found, once there was one.
        """
        grid, state = self.model.geometry.grid, self.state
        quality = self.quality or self._latest or measure(self.model, self.sampler, fine=False)
        return {
            **quality.to_dict(),
            "preset": self.settings.name,
            "seed": self.seed,
            "device": describe_device(self.device),
            "backend": grid_backend(self.device).name,
            "iterations": state.iteration,
            "inverse_iterations": state.inverse_iteration,
            "train_s": round(state.seconds, 3),
            "working_size": [grid.working_width, grid.working_height],
            "motion_models": list(self.model.geometry.motion_models),
            "stopped": state.stopped,
            "outcome": "poor" if shortcomings(quality) else "good",
            "warnings": list(state.warnings),
            "history": list(state.history),
        }

    def release(self) -> None:
        """Give back the clip's and the optimisers' memory; twice does no harm.

        The model stays; there are no more steps.
        """
        # They know each other, and would otherwise stay until the garbage collector comes by.
        for name in ("sampler", "forward_step", "inverse_step", "_look", "_good_weights"):
            self.__dict__.pop(name, None)

    def save(self, folder: Path) -> None:
        """Write a checkpoint that `resume` and `checkpoint.load_model` take.

        Raises:
            StorageError: no space, or no permission.
        """
        self.snapshot().write(folder)

    def snapshot(self, moments: bool = True) -> checkpoint.Snapshot:
        """What `save` writes, as it is now; to be written while learning goes on. See `Snapshot.of`."""
        return checkpoint.Snapshot.of(self, moments)


def shortcomings(quality: Quality) -> list[str]:
    """What makes a result one that edits will not hold on, a sentence each; empty for a good one."""
    found = []
    if not math.isfinite(quality.psnr_db) or not math.isfinite(quality.flow_error_px or 0.0):
        found.append("the networks died: they give no finite values; train the shot again with another seed")
    if quality.flow_error_px is not None and quality.flow_error_px > FAIR_FLOW_PX:
        found.append(
            f"the mapping is poor: flow error {quality.flow_error_px:.2f} px, {FAIR_FLOW_PX:g} px or less is "
            "usable; try another preset, or a matte that follows the object more closely"
        )
    if quality.far_flow_error_px is not None and quality.far_flow_error_px > FAIR_FAR_FLOW_PX:
        found.append(
            f"points drift: over the longest gap of the flow they miss it by {quality.far_flow_error_px:.1f} "
            f"px, {FAIR_FAR_FLOW_PX:g} px or less is usable; give what moves by itself its own matte, or "
            "train a shorter range"
        )
    if quality.folded_share > FOLDED:
        found.append(
            f"the mapping folds over {quality.folded_share:.1%} of a video layer, where edits will tear; try "
            "the preview preset, whose mapping is stiffer, or give what moves by itself its own matte"
        )
    if quality.matte_iou is not None and quality.matte_iou < FAIR_IOU:
        found.append(
            f"the opacity is poor: IoU with the mattes {quality.matte_iou:.3f}, {FAIR_IOU:g} or more is "
            "usable; check that the mattes belong to these frames"
        )
    return found


def matured(history: Sequence[dict[str, float]]) -> bool:
    """Whether the second half of the iterations so far brought less than `GAIN_A_DOUBLING`.

    Args:
        history: looks in order, with `iteration` and what was measured.
    """
    now = history[-1]["iteration"]
    first = [look for look in history if look["iteration"] <= now / 2]
    second = [look for look in history if look["iteration"] > now / 2]
    if not first:
        return False

    def settled(name: str, sign: float, slack: float) -> bool:
        before, after = (min(sign * look[name] for look in looks) for looks in (first, second))
        return after >= before - slack * abs(before)

    falling = [name for name in ("flow_error_px", "far_flow_error_px") if name in history[-1]]
    rising = ["matte_iou"] if "matte_iou" in history[-1] else []
    return all(settled(name, 1.0, GAIN_A_DOUBLING) for name in falling) and all(
        settled(name, -1.0, IOU_GAIN_A_DOUBLING) for name in rising
    )


def with_working_size(settings: TrainingSettings, working_size: int | None) -> TrainingSettings:
    """The settings at another working size, where one is asked for."""
    return settings if working_size is None else replace(settings, working_size=working_size)

"""One run of the quality benchmark: a clip learned from one seed, and everything measured on it."""

from pathlib import Path
from typing import Any

import torch
from quality_clips import for_learning
from quality_edits import measure_edits
from quality_fields import measure_fields
from quality_motion import measure_flow, measure_inversion
from quality_points import measure_consistency, measure_joints, read_joints
from quality_sheet import sheet, write_sheet
from stopwatch import Stopwatch

from inve_core.clip import Clip
from inve_core.model import LayeredAtlas
from inve_core.presets import TrainingSettings
from inve_core.rendering import Renderer
from inve_core.training import Trainer

WENT_BACK = "learning went wrong"


def stability(model: LayeredAtlas, report: dict[str, Any]) -> dict[str, Any]:
    """Whether all weights are finite, whether the result is a good one, and how often learning went back."""
    return {
        "alive": all(bool(torch.isfinite(value).all()) for value in model.state_dict().values()),
        "good": report["outcome"] == "good",
        "went_back": sum(warning.startswith(WENT_BACK) for warning in report["warnings"]),
    }


def run(
    clip: Clip,
    settings: TrainingSettings,
    device: str,
    seed: int,
    joints_file: Path | None,
    picture: Path | None,
) -> dict[str, Any]:
    """Learn and measure. With `picture`, also write the run's sheet there.

    Args:
        clip: with flow over all gaps that are measured; learning sees those of its settings only.
        joints_file: a badja.json.
    """
    stages = Stopwatch(device)
    trainer = Trainer(for_learning(clip, settings.longest_gap), settings, device=device, seed=seed)
    stages.lap("start")
    for progress in trainer.run():
        if progress.stage != "learning" and "learning" not in stages.seconds:
            stages.lap("learning")
    stages.lap("inverse")
    report = trainer.report
    del report["history"]
    model = trainer.model.eval()
    # The trainer's copy of the clip is as large as all of it; rendering can use the room.
    del trainer
    result: dict[str, Any] = {"seed": seed, **stability(model, report), "report": report}
    renderer = Renderer(model, clip.source)
    result["fields"] = measure_fields(model, clip)
    stages.lap("measure_fields")
    result["flow"] = measure_flow(model, clip)
    stages.lap("measure_flow")
    result["inversion"] = measure_inversion(model, clip)
    stages.lap("measure_inversion")
    result["edits"] = measure_edits(renderer, clip)
    stages.lap("measure_edits")
    result["consistency"] = measure_consistency(model, clip)
    joints = read_joints(joints_file, clip.source) if joints_file else None
    if joints is not None:
        result["joints"] = measure_joints(model, clip.source, joints)
    stages.lap("measure_points")
    if picture is not None:
        write_sheet(sheet(renderer, clip, joints, f"{picture.stem}, seed {seed}"), picture)
        stages.lap("picture")
    result["seconds"] = stages.seconds
    return result

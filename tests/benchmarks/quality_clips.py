"""The clips of the quality benchmark: read, and their flow computed, once; all runs share the files.

A folder holds `clip.json` (source, sizes, exposure) and an .npy file for each array, which a run maps into
memory.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from inve_core.clip import Clip, load_clip, open_source
from inve_core.coordinates import PictureGrid
from inve_core.motion.flow import GapFlow
from inve_core.source import ShotSource

# Flow is measured over gaps up to this many frames, however short the gaps that learning uses.
MEASURED_GAP = 16
FLOW_ARRAYS = ("forward", "forward_valid", "backward", "backward_valid")


def read_clip(folder: Path, frames: int, working_size: int, longest_gap: int) -> Clip:
    """The first `frames` frames of folder/frames with folder/mattes, with flow to learn and to measure.

    Raises:
        MediaError: a picture is missing or cannot be read.
    """
    plate, matte = str(folder / "frames"), str(folder / "mattes")
    found = open_source(plate, [matte])
    source = open_source(plate, [matte], (found.frames[0], found.frames[: max(2, frames)][-1]))
    return load_clip(source, working_size, max(longest_gap, MEASURED_GAP))


def save_clip(clip: Clip, folder: Path) -> None:
    """Write a clip's arrays to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "rgb.npy", clip.rgb)
    np.save(folder / "mattes.npy", clip.mattes)
    for flow in clip.flows:
        for name in FLOW_ARRAYS:
            np.save(folder / f"{name}_{flow.gap}.npy", getattr(flow, name))
    about = {
        "source": clip.source.to_dict(),
        "grid": asdict(clip.grid),
        "gaps": [flow.gap for flow in clip.flows],
        "exposure": clip.exposure,
    }
    (folder / "clip.json").write_text(json.dumps(about))


def saved_clip(folder: Path) -> Clip:
    """The clip that `save_clip` wrote. Its arrays stay on disk; writing to them changes this process only."""

    def array(name: str) -> np.ndarray:
        # Copy on write: torch refuses to share arrays that cannot be written.
        return np.load(folder / f"{name}.npy", mmap_mode="c")

    about = json.loads((folder / "clip.json").read_text())
    flows = [GapFlow(gap, *(array(f"{name}_{gap}") for name in FLOW_ARRAYS)) for gap in about["gaps"]]
    return Clip(
        ShotSource.from_dict(about["source"]),
        PictureGrid(**about["grid"]),
        array("rgb"),
        array("mattes"),
        tuple(flows),
        about["exposure"],
    )


def for_learning(clip: Clip, longest_gap: int) -> Clip:
    """The same clip with the gaps only that learning is meant to see."""
    return replace(clip, flows=tuple(flow for flow in clip.flows if flow.gap <= longest_gap))

"""The clip that the demo works on: the synthetic one with its truth, or one of the user's."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inve_core.source import ShotSource, open_source
from inve_core.synthetic import FIRST_FRAME, SyntheticClip, make_clip

SYNTHETIC_FRAMES = 24
SYNTHETIC_SIZE = (320, 180)


@dataclass(frozen=True, eq=False)
class Stage:
    """A clip on disk and what is known of it.

    Attributes:
        shot: its name in the daemon's store.
        source: its pictures, frames and sizes.
        truth: the synthetic clip's truth, or None for a clip of the user's.
    """

    shot: str
    source: ShotSource
    truth: SyntheticClip | None

    def matte(self, frame: int) -> NDArray[np.float32] | None:
        """The first foreground's matte [height, width] at a frame, exact where the truth is known."""
        if self.truth is not None:
            return self.truth.mattes[self.index(frame)]
        mattes = self.source.read_mattes(frame)
        return mattes[0] if len(mattes) else None

    def index(self, frame: int) -> int:
        """The place of a frame in the clip, from 0."""
        return self.source.frames.index(frame)


def synthetic_stage(folder: Path) -> Stage:
    """Render the synthetic clip and write it to a folder.

    Raises:
        StorageError: if it cannot be written.
    """
    truth = make_clip(SYNTHETIC_FRAMES, *SYNTHETIC_SIZE)
    frames, mattes = truth.write(folder)
    last = FIRST_FRAME + SYNTHETIC_FRAMES - 1
    return Stage("synthetic", open_source(frames, (mattes,), (FIRST_FRAME, last)), truth)


def clip_stage(frames: str, mattes: str | None) -> Stage:
    """Open a clip of the user's; patterns may be relative to the working folder.

    Raises:
        MediaError: as `inve_core.source.open_source`.
    """
    matte_patterns = (os.path.abspath(mattes),) if mattes else ()
    return Stage("clip", open_source(os.path.abspath(frames), matte_patterns), None)

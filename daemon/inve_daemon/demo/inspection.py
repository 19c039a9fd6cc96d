"""Looking at every rendered frame once: its picture, and how it compares with the source and the truth."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inve_core.media import output_path
from inve_core.synthetic import FIRST_FRAME, Layer
from inve_daemon.demo import measures
from inve_daemon.demo.results import EditedFrame, to_srgb8
from inve_daemon.demo.stack import GROUND_PAINT, SUBJECT_PAINT, stroke_of
from inve_daemon.demo.stage import Stage

Image = NDArray[np.uint8]


@dataclass
class Findings:
    """What the frames showed; one entry a frame unless said otherwise."""

    matte_iou: list[float] = field(default_factory=list)
    stroke_outside: list[float] = field(default_factory=list)
    changed_pixels: int = 0
    untouched_pixels: int = 0
    pixels: int = 0
    drawn_offsets_px: list[float] = field(default_factory=list)
    """Along both strokes, on the frame they were drawn on."""
    carried_offsets_px: list[float] = field(default_factory=list)
    """Along both strokes, on all other frames, where the truth is known."""


class Inspector:
    """Reads rendered frames one by one and keeps what they show.

    Args:
        stage: the clip.
        stack: the edits that were rendered.
        drawn_frame: the frame they were drawn on.
        pattern: where the rendered frames are.
        sheet_frames: the frames whose pictures are kept for the contact sheet.
    """

    def __init__(
        self, stage: Stage, stack: dict[str, Any], drawn_frame: int, pattern: str, sheet_frames: Sequence[int]
    ) -> None:
        self.stage = stage
        self.drawn_frame = drawn_frame
        self.pattern = pattern
        self.findings = Findings()
        self.sheet: dict[int, tuple[Image, Image, NDArray[np.float32] | None]] = {}
        """Frame -> (source, edited, opacity of the first foreground)."""
        self._sheet_frames = frozenset(sheet_frames)
        self._has_object = len(stage.source.video_layers) > 1
        front: Layer = "foreground" if self._has_object else "background"
        layers: tuple[tuple[str, Layer], ...] = ((SUBJECT_PAINT, front), (GROUND_PAINT, "background"))
        self._strokes = [(name, *stroke_of(stack, name), layer) for name, layer in layers]

    def look(self, frame: int) -> Image:
        """Read a rendered frame and measure it; returns its picture, sRGB [height, width, 3].

        Raises:
            MediaError: if it is missing or unreadable.
        """
        source = self.stage.source.read(frame)
        edited = EditedFrame.read(Path(output_path(self.pattern, frame)), source.spec)
        found, matte = self.findings, self.stage.matte(frame)
        untouched = edited.untouched()
        found.pixels += untouched.size
        found.untouched_pixels += int(untouched.sum())
        found.changed_pixels += measures.changed_bits(source.pixels, edited.rgba, untouched)
        if matte is not None:
            found.matte_iou.append(measures.iou(edited.matte("foreground"), matte))
            found.stroke_outside.append(measures.outside_share(edited.coverage(SUBJECT_PAINT), matte))
        offsets = found.drawn_offsets_px if frame == self.drawn_frame else found.carried_offsets_px
        if frame == self.drawn_frame or self.stage.truth is not None:
            offsets.extend(self._stroke_offsets(edited, frame, matte))
        shown = edited.shown()
        if frame in self._sheet_frames:
            opacity = edited.matte("foreground") if self._has_object else None
            self.sheet[frame] = (to_srgb8(source.display_rgb()), shown, opacity)
        return shown

    def _stroke_offsets(
        self, edited: EditedFrame, frame: int, matte: NDArray[np.float32] | None
    ) -> list[float]:
        offsets: list[float] = []
        for name, points, width, layer in self._strokes:
            line = measures.resample(points)
            if frame != self.drawn_frame:
                assert self.stage.truth is not None  # without it nothing is known of other frames
                line = self.stage.truth.position(
                    layer, self.drawn_frame - FIRST_FRAME, line, frame - FIRST_FRAME
                )
            coverage = edited.coverage(name)
            if matte is None:
                seen = np.ones_like(coverage)
            else:
                seen = matte if layer == "foreground" else 1.0 - matte
            clear = seen >= 0.999
            offsets += measures.centreline_offsets(coverage, line, width, clear).tolist()
        return offsets

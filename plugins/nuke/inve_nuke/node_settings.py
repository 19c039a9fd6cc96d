"""What the knobs of an INVE node say, in plain values, and whether the daemon takes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from inve_client.plugin.messages import RefusedError

_SHOT = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


@dataclass(frozen=True)
class NodeSettings:
    """What the artist set.

    Attributes:
        node: the node's full name, for messages.
        endpoint: where the daemon listens; "" is the default one.
        shot: the daemon's name of the shot.
        first, last: the frames that are learned.
        reference_frame: the frame that paint was drawn on where it does not say.
        preset: how long is learned.
        working_size: the long edge at which is learned, in pixels; None takes the default.
        grade: of adjustments, by the names of `GRADE`.
        track_as: what tracks become: "Tracker", "CornerPin" or "Transform".
        with_layers: whether rendered files have a part for each layer too.
        always_render_plate: whether files of a Read are never taken as they are.
    """

    node: str
    endpoint: str
    shot: str
    first: int
    last: int
    reference_frame: int
    preset: str
    working_size: int | None
    grade: Mapping[str, float]
    track_as: str
    with_layers: bool
    always_render_plate: bool

    def check(self) -> None:
        """Hold the settings against what the daemon takes.

        Raises:
            RefusedError: naming the knob.
        """
        if not _SHOT.match(self.shot):
            raise RefusedError(
                f"The shot name of {self.node} must have 1 to 64 letters, digits, dots, underscores or "
                f"hyphens, got {self.shot!r}; change it."
            )
        if self.first > self.last:
            raise RefusedError(
                f"The frame range of {self.node} must go forward, got {self.first}-{self.last}; swap the two."
            )
        if not self.first <= self.reference_frame <= self.last:
            raise RefusedError(
                f"The reference frame of {self.node} must be within {self.first}-{self.last}, got "
                f"{self.reference_frame}; choose the frame that you paint on."
            )
        if self.working_size is not None and not 64 <= self.working_size <= 4096:
            raise RefusedError(
                f"The working size of {self.node} must be 64 to 4096 pixels, or 0 for the default, got "
                f"{self.working_size}; change it."
            )

"""From the sequencer's preview to the source picture and back, and from scene frames to source frames.

No `bpy` here: what Blender knows comes in as plain numbers. The preview's own coordinates (view2d) are pixels
of the full render size about the image's centre, y up, x multiplied by the pixel aspect. Source pictures have
their origin in the top-left corner, y down, the first pixel's centre at (0.5, 0.5).

How a strip's picture comes to its place was found by rendering pictures of their own coordinates in Blender
4.2, 4.5 and 5.0 (tests/blender/test_geometry_render.py does so again):

1. The picture is put into a buffer of render size x preview scale, centre on centre; where the two sizes
   differ by an odd number of pixels, half a pixel off, for Blender drops the half.
2. It is scaled, then turned counterclockwise, about the origin, then moved by the offset. Offset and scale
   are multiplied by the preview scale, the way from the picture's centre to the origin is not, so that at
   another preview scale a picture with an origin of its own stands elsewhere.
3. The finished buffer is mirrored about its own middle.

Crop hides a part of the picture and moves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from inve_client.plugin.messages import RefusedError

PREVIEW_SCALES = {"PROXY_25": 0.25, "PROXY_50": 0.5, "PROXY_75": 0.75, "PROXY_100": 1.0}
"""`SpaceSequenceEditor.proxy_render_size` -> preview scale; 'SCENE' is `resolution_percentage / 100`."""

_LEAST_SCALE = 1e-4
_MOVING_EFFECTS = {"TRANSFORM": "moves its picture", "SPEED": "changes its timing"}


class NotInvertible(RefusedError):
    """A strip that one cannot paint on; the message is one sentence for the artist."""


@dataclass(frozen=True)
class StripGeometry:
    """Where a strip's picture stands in the preview.

    Attributes:
        name: the strip's, for messages.
        render_width, render_height: `resolution_x`, `resolution_y`, before any percentage.
        picture_width, picture_height: the source picture's own size in its own pixels.
        pixel_aspect: `pixel_aspect_x / pixel_aspect_y` of the render. (The sequencer takes the source's
            pixels for those of the render, so their own aspect changes nothing.)
        preview_scale: the size that the preview is computed at, as a share of the render's.
        proxies: whether the preview may show a proxy of this strip.
        crop: `min_x, max_x, min_y, max_y` in pixels of the picture; min_y is below.
        offset: in pixels of the render, y up.
        scale: of x and y.
        rotation: radians, counterclockwise.
        origin: the point that it is scaled and turned about, as shares of the picture from its lower left.
        flip: whether the strip mirrors x and y.

    Raises:
        NotInvertible: its picture is squeezed to nothing, or something is no number.
    """

    name: str
    render_width: int
    render_height: int
    picture_width: int
    picture_height: int
    pixel_aspect: float = 1.0
    preview_scale: float = 1.0
    proxies: bool = False
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    offset: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    rotation: float = 0.0
    origin: tuple[float, float] = (0.5, 0.5)
    flip: tuple[bool, bool] = (False, False)

    def __post_init__(self) -> None:
        numbers = (*self.offset, *self.scale, self.rotation, *self.origin, self.pixel_aspect)
        if not all(map(math.isfinite, (*numbers, self.preview_scale))):
            raise NotInvertible(f"{self.name!r} has a transform that is no number; reset its transform.")
        for what, width, height in (
            ("The picture of", self.picture_width, self.picture_height),
            ("The render with", self.render_width, self.render_height),
        ):
            if width < 1 or height < 1:
                raise NotInvertible(
                    f"{what} {self.name!r} is {width}x{height} pixels; check its files and reload the strip."
                )
        for axis, scale in zip("XY", self.scale, strict=True):
            if abs(scale) < _LEAST_SCALE:
                raise NotInvertible(
                    f"{self.name!r} has Scale {axis} {scale:g}, so there is nothing to paint on; set another."
                )
        if self.preview_scale < 0.01 or self.pixel_aspect <= 0:
            raise NotInvertible(
                f"The preview of {self.name!r} has scale {self.preview_scale:g} and pixel aspect "
                f"{self.pixel_aspect:g}, both must be above zero; set them in the preview and the output."
            )
        if self.proxies and self.preview_scale != 1 and self.origin != (0.5, 0.5):
            raise NotInvertible(
                f"{self.name!r} has an origin of its own, and with a proxy Blender shows it somewhere else; "
                "set the preview's Proxy Render Size to 100%."
            )

    @cached_property
    def matrix(self) -> tuple[float, float, float, float, float, float]:
        """a, b, c, d, e, f of vx = a*x + b*y + c, vy = d*x + e*y + f, from the picture to the preview."""
        rows = []
        turn = (math.cos(self.rotation), math.sin(self.rotation))
        pivot = (self.picture_width * self.origin[0], self.picture_height * self.origin[1])
        sx, sy = (scale * self.preview_scale for scale in self.scale)
        # Rows of the rotation, times the scale: what a step right and a step up in the picture become.
        steps = ((turn[0] * sx, -turn[1] * sy), (turn[1] * sx, turn[0] * sy))
        for axis, (render, picture, aspect) in enumerate(
            (
                (self.render_width, self.picture_width, self.pixel_aspect),
                (self.render_height, self.picture_height, 1.0),
            )
        ):
            buffer = max(1, math.floor(render * self.preview_scale + 0.5))
            right, up = steps[axis]
            at = math.trunc((buffer - picture) / 2) + self.offset[axis] * self.preview_scale + pivot[axis]
            at -= right * pivot[0] + up * pivot[1]
            if self.flip[axis]:
                right, up, at = -right, -up, buffer - at
            # The buffer is drawn over the whole render size, about the preview's middle.
            unit = render / buffer * aspect
            # The picture's y runs down, so up is the height less y.
            rows += [right * unit, -up * unit, (at + up * self.picture_height - buffer / 2) * unit]
        return tuple(rows)  # type: ignore[return-value]

    @cached_property
    def _inverse(self) -> tuple[float, float, float, float, float, float]:
        a, b, c, d, e, f = self.matrix
        det = a * e - b * d
        ia, ib, id_, ie = e / det, -b / det, -d / det, a / det
        return ia, ib, -(ia * c + ib * f), id_, ie, -(id_ * c + ie * f)

    def to_preview(self, x: float, y: float) -> tuple[float, float]:
        """The preview's place (view2d) of a place in the source picture."""
        a, b, c, d, e, f = self.matrix
        return a * x + b * y + c, d * x + e * y + f

    def to_source(self, view_x: float, view_y: float) -> tuple[float, float]:
        """The place in the source picture, in pixels, of a place in the preview (view2d)."""
        a, b, c, d, e, f = self._inverse
        return a * view_x + b * view_y + c, d * view_x + e * view_y + f

    def to_offset(self, x: float, y: float) -> tuple[float, float]:
        """The `transform.offset_x`, `offset_y` that put another strip's middle on a place of this picture."""
        view_x, view_y = self.to_preview(x, y)
        return view_x / self.pixel_aspect, view_y

    @property
    def view_per_pixel(self) -> float:
        """How long a pixel of the picture is in the preview: the root of its area."""
        a, b, _, d, e, _ = self.matrix
        return math.sqrt(abs(a * e - b * d))

    @property
    def visible(self) -> tuple[float, float, float, float]:
        """left, top, right, bottom of what the crop leaves, in pixels of the picture."""
        left, right, below, above = self.crop
        return left, above, self.picture_width - right, self.picture_height - below

    def shows(self, x: float, y: float) -> bool:
        """Whether a place of the picture is inside the crop."""
        left, top, right, bottom = self.visible
        return left <= x <= right and top <= y <= bottom

    def outline(self) -> tuple[tuple[float, float], ...]:
        """The corners of the visible part in the preview, around from the picture's top left."""
        left, top, right, bottom = self.visible
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        return tuple(self.to_preview(x, y) for x, y in corners)


@dataclass(frozen=True)
class StripTiming:
    """Which source frame a strip shows at which scene frame.

    Attributes:
        name: the strip's, for messages.
        start: the scene frame of the content's first frame: `frame_start` (5.1: `content_start`).
        first, last: the scene frames that it is shown on: `frame_final_start`, `frame_final_end - 1`.
        source_frames: the host's number of each frame of the content, in order, what the animation offsets
            cut off left out; a range for a movie, whose frames count from 0.
        reverse: `use_reverse_frames`.

    Raises:
        NotInvertible: it has no frames, or two with one number.
    """

    name: str
    start: int
    first: int
    last: int
    source_frames: Sequence[int]
    reverse: bool = False

    def __post_init__(self) -> None:
        if not self.source_frames or self.last < self.first:
            raise NotInvertible(f"{self.name!r} has no frames; check its files and its handles.")
        if len(self._index) < len(self.source_frames):
            raise NotInvertible(
                f"{self.name!r} shows the same frame twice, and an edit could not tell the two apart; add "
                "the sequence again as one run of numbered files."
            )

    @cached_property
    def _index(self) -> dict[int, int]:
        return {number: index for index, number in enumerate(self.source_frames)}

    def to_source(self, scene_frame: int) -> int:
        """The number of the source frame shown there. Beyond the content the strip holds its end frames.

        Raises:
            NotInvertible: the strip is not shown on that frame.
        """
        if not self.first <= scene_frame <= self.last:
            raise NotInvertible(
                f"Frame {scene_frame} is outside of {self.name!r}, which is shown on {self.first}-"
                f"{self.last}; move the playhead there."
            )
        top = len(self.source_frames) - 1
        index = min(max(scene_frame - self.start, 0), top)
        return self.source_frames[top - index if self.reverse else index]

    def to_scene(self, source_frame: int) -> int | None:
        """The scene frame where the content has it, which a handle may hide; None where it has not."""
        index = self._index.get(source_frame)
        if index is None:
            return None
        return self.start + (len(self.source_frames) - 1 - index if self.reverse else index)

    def is_shown(self, source_frame: int) -> bool:
        """Whether a source frame can be seen: it is in the content, and no handle hides it."""
        scene_frame = self.to_scene(source_frame)
        return scene_frame is not None and self.first <= scene_frame <= self.last

    def shown_frames(self) -> tuple[int, ...]:
        """The numbers of the source frames that can be seen, in rising order."""
        return tuple(sorted(number for number in self.source_frames if self.is_shown(number)))


def check_strip(
    name: str,
    strip_type: str,
    *,
    effects: Sequence[str] = (),
    retiming_keys: int = 0,
    playback_rate: float = 1.0,
    strobe: float = 1.0,
    multiview: bool = False,
) -> None:
    """Refuse a strip on which a place in the preview would not be a place in one source frame.

    Args:
        name: the strip's.
        strip_type: `strip.type`.
        effects: types of the effect strips that take this one as an input.
        retiming_keys: how many it has; one alone changes nothing.
        playback_rate: source frames for each scene frame, where Blender adjusts it to the movie's rate.
        strobe: `strip.strobe`; 0 and 1 change nothing.
        multiview: whether it shows two views.

    Raises:
        NotInvertible: naming the strip, what is in the way, and what to do.
    """
    if strip_type == "META":
        raise NotInvertible(f"{name!r} is a meta strip; enter it with Tab and select a strip inside.")
    if strip_type not in ("IMAGE", "MOVIE"):
        kind = strip_type.lower().replace("_", " ")
        raise NotInvertible(f"{name!r} is a {kind} strip; select a movie or an image sequence.")
    for effect in effects:
        if effect in _MOVING_EFFECTS:
            raise NotInvertible(
                f"{name!r} goes through a {effect.lower()} effect, which {_MOVING_EFFECTS[effect]}; mute or "
                "remove that effect while painting."
            )
    if retiming_keys > 1:
        raise NotInvertible(
            f"{name!r} is retimed with {retiming_keys} keys, painting needs its own speed; remove them "
            "(Strip > Retiming > Reset Retiming)."
        )
    if abs(playback_rate - 1) > 1e-4:
        raise NotInvertible(
            f"{name!r} plays {playback_rate:.4g} of its frames for each of the scene's, painting needs 1; "
            "give the scene the movie's frame rate, or add the movie without Adjust Playback Rate."
        )
    if strobe > 1:
        raise NotInvertible(f"{name!r} has Strobe {strobe:g}, which skips frames; set it to 1.")
    if multiview:
        raise NotInvertible(f"{name!r} has several views; switch off Use Multi-View, or add one view alone.")

"""Where a shot's pictures come from: its frames, its mattes, its flow, and their common size. No torch.

Opening a source reads headers only, of every file, so that a missing frame or a wrong size is found before
anything is learned.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from inve_core.errors import MediaError
from inve_core.media.movies import MovieReader
from inve_core.media.pictures import (
    Picture,
    PictureSpec,
    read_display_rgb,
    read_matte,
    read_picture,
    read_spec,
)
from inve_core.media.sequences import Sequence as PictureSequence
from inve_core.media.sequences import find_sequence, present_files
from inve_core.media.vectors import Direction, check_vectors, read_vectors


class FileStamp(NamedTuple):
    """What tells a file from one that has taken its place."""

    path: str
    modified_ns: int
    size_bytes: int

    @classmethod
    def of(cls, path: str) -> "FileStamp":
        """That of a file.

        Raises:
            OSError: it is not there.
        """
        found = os.stat(path)
        return cls(path, found.st_mtime_ns, found.st_size)


def layer_names(matte_count: int) -> tuple[str, ...]:
    """Names of the video layers front to back: `foreground`, `foreground2`, ..., `background`."""
    fronts = ("foreground", *(f"foreground{number}" for number in range(2, matte_count + 1)))
    return (*fronts[:matte_count], "background")


@dataclass(frozen=True)
class ShotSource:
    """A shot's pictures on disk. Cheap to make again from `to_dict`, e.g. after a restart."""

    frames_pattern: str
    matte_patterns: tuple[str, ...]
    frames: tuple[int, ...]
    width: int
    height: int
    pixel_aspect: float
    source_type: str
    flow_pattern: str | None = None

    @property
    def video_layers(self) -> tuple[str, ...]:
        """Names of the video layers, front to back."""
        return layer_names(len(self.matte_patterns))

    def to_dict(self) -> dict[str, Any]:
        """As plain data. Without a flow of its own it is what it was before there were such sources."""
        values = asdict(self) | {"frames": list(self.frames), "matte_patterns": list(self.matte_patterns)}
        if self.flow_pattern is None:
            del values["flow_pattern"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ShotSource":
        """From what `to_dict` gave."""
        lists = {"frames": tuple(values["frames"]), "matte_patterns": tuple(values["matte_patterns"])}
        return cls(**{**values, **lists})

    @cached_property
    def _sequences(self) -> tuple[PictureSequence, ...]:
        span = (self.frames[0], self.frames[-1])
        return tuple(find_sequence(p, span) for p in (self.frames_pattern, *self.matte_patterns))

    @cached_property
    def _flow(self) -> PictureSequence | None:
        if self.flow_pattern is None:
            return None
        return find_sequence(self.flow_pattern, (self.frames[0], self.frames[-1]))

    @cached_property
    def _movies(self) -> dict[str, MovieReader]:
        return {s.paths[0]: MovieReader(s.paths[0]) for s in self._sequences if s.kind == "movie"}

    @property
    def has_movie(self) -> bool:
        """Whether some of the pictures come out of a movie, which is best read in order."""
        return bool(self._movies)

    def read(self, frame: int) -> Picture:
        """The plate at a frame, with the very bits that the file has.

        Raises:
            MediaError: the frame is not part of the shot, or its file cannot be read any more.
        """
        path = self._plate_path(frame)
        return self._movies[path].read(frame) if path in self._movies else read_picture(path)

    def read_display_rgb(self, frame: int) -> np.ndarray:
        """The plate at a frame over the display window; [height, width, 3] float32, scene-linear.

        Raises:
            MediaError: as `read`.
        """
        path = self._plate_path(frame)
        if path in self._movies:
            return self._movies[path].read(frame).display_rgb()
        return read_display_rgb(path)

    def stamp(self, frame: int) -> FileStamp:
        """What the file of a frame's plate looks like from outside; another stamp, another file.

        Raises:
            MediaError: the frame is not part of the shot, or its file is not there any more.
        """
        path = self._plate_path(frame)
        try:
            return FileStamp.of(path)
        except OSError as error:
            raise MediaError(
                f"plate {path!r} cannot be read any more ({error.strerror}); put it back."
            ) from error

    def _plate_path(self, frame: int) -> str:
        """The file that the plate at a frame is to be read from: a movie or a picture."""
        if frame not in self.frames:
            raise MediaError(
                f"frame {frame} is not in the shot, which has frames {self.frames[0]}-{self.frames[-1]}; "
                "ask for one of these."
            )
        sequence = self._sequences[0]
        if sequence.kind == "movie":
            return sequence.paths[0]
        return sequence.paths[sequence.frames.index(frame)]

    def read_mattes(self, frame: int) -> np.ndarray:
        """The mattes at a frame, front to back. Returns [mattes, height, width] float32 in 0..1."""
        mattes = []
        for sequence in self._sequences[1:]:
            if sequence.kind == "movie":
                mattes.append(self._movies[sequence.paths[0]].read_matte(frame))
            else:
                mattes.append(read_matte(sequence.paths[sequence.frames.index(frame)]))
        return np.stack(mattes) if mattes else np.zeros((0, self.height, self.width), np.float32)

    def read_flow(self, frame: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The given motion vectors at a frame: to the next frame, and to the last one.

        Returns:
            Each [height, width, 2] float32, as `media.vectors.read_vectors`; None where there is no such
            frame.

        Raises:
            MediaError: a file cannot be read any more, or is of another size than it was.
        """
        assert self._flow is not None
        path = self._flow.paths[self._flow.frames.index(frame)]
        directions = flow_directions(frame, (self.frames[0], self.frames[-1]))
        found = dict(zip(directions, read_vectors(path, directions), strict=True))
        if any(vectors.shape[:2] != (self.height, self.width) for vectors in found.values()):
            raise MediaError(
                f"flow {path!r} must be {self.width}x{self.height} like the frames; it was when the shot was "
                "opened: put it back."
            )
        return found.get("forward"), found.get("backward")


def open_source(
    frames: str,
    mattes: Sequence[str] = (),
    frame_range: tuple[int, int] | None = None,
    flow: str | None = None,
) -> ShotSource:
    """Find a shot's pictures and check that they belong together.

    Args:
        frames: pattern of the plate (see `media.sequences.find_sequence`).
        mattes: a pattern for each foreground layer, front to back.
        frame_range: first and last frame to use; all that exist by default.
        flow: pattern of motion vectors to learn from in the place of computed flow (see `media.vectors`).

    Raises:
        MediaError: nothing there, a frame missing or unreadable, sizes that differ, mattes or flow that do
            not match the frames.
    """
    plate = find_sequence(frames, frame_range)
    first = _size_of(plate, 0, frames)
    if plate.kind == "pictures":
        for number, path in zip(plate.frames, plate.paths, strict=True):
            spec = read_spec(path)
            if (spec.width, spec.height) != (first.width, first.height):
                raise MediaError(
                    f"frame {number} of {frames} must be {first.width}x{first.height} like frame "
                    f"{plate.frames[0]}, got {spec.width}x{spec.height}; render the sequence at one size."
                )
    span = (plate.frames[0], plate.frames[-1])
    for pattern in mattes:
        _check_mattes(pattern, plate, span, first)
    if flow is not None:
        _check_flow(flow, plate, span, first)
    return ShotSource(
        frames_pattern=frames,
        matte_patterns=tuple(mattes),
        frames=plate.frames,
        width=first.width,
        height=first.height,
        pixel_aspect=first.pixel_aspect,
        source_type=first.source_type,
        flow_pattern=flow,
    )


def _covering(what: str, pattern: str, plate: PictureSequence, span: tuple[int, int]) -> PictureSequence:
    """What goes with the frames of a plate: `mattes` or `flow`.

    Raises:
        MediaError: a frame is missing.
    """
    present = present_files(pattern)
    missing = next((frame for frame in plate.frames if frame not in present), None)
    if missing is not None:
        lowest, highest = min(present), max(present)
        hole = f" without {missing}" if lowest < missing < highest else ""
        raise MediaError(
            f"{what} {pattern} must cover frames {span[0]}-{span[1]}, got {lowest}-{highest}{hole}; "
            f"add frame {missing} or shorten the range."
        )
    return find_sequence(pattern, span)


def _check_flow(pattern: str, plate: PictureSequence, span: tuple[int, int], first: PictureSpec) -> None:
    flow = _covering("flow", pattern, plate, span)
    if flow.kind == "movie":
        raise MediaError(
            f"flow {pattern} is a movie; motion vectors are read from EXR files, one for each frame: "
            "render it as EXR."
        )
    for frame, path in zip(flow.frames, flow.paths, strict=True):
        size = check_vectors(path, flow_directions(frame, span))
        if size != (first.width, first.height):
            raise MediaError(
                f"flow {pattern} must be {first.width}x{first.height} like the frames, got "
                f"{size[0]}x{size[1]} at frame {frame}; render it at the plate's size."
            )


def flow_directions(frame: int, span: tuple[int, int]) -> tuple[Direction, ...]:
    """The directions of flow that are of use at a frame: none leads out of the shot."""
    ahead: tuple[Direction, ...] = ("forward",) if frame < span[1] else ()
    return (*ahead, "backward") if frame > span[0] else ahead


def _check_mattes(pattern: str, plate: PictureSequence, span: tuple[int, int], first: PictureSpec) -> None:
    matte = _covering("mattes", pattern, plate, span)
    count = 1 if matte.kind == "movie" else len(matte.paths)
    for index in range(count):
        spec = _size_of(matte, index, pattern)
        if (spec.width, spec.height) != (first.width, first.height):
            raise MediaError(
                f"mattes {pattern} must be {first.width}x{first.height} like the frames, got "
                f"{spec.width}x{spec.height} at frame {matte.frames[index]}; render them at the plate's size."
            )


def _size_of(sequence: PictureSequence, index: int, pattern: str) -> PictureSpec:
    if sequence.kind == "movie":
        with MovieReader(sequence.paths[0]) as movie:
            return movie.spec
    return read_spec(sequence.paths[index])

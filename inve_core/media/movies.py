"""Movies: frames read by their number, and a short movie written to look at."""

import bisect
import itertools
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from inve_core.errors import MediaError
from inve_core.media.colour import linear_table
from inve_core.media.files import (
    MAX_BYTES,
    MAX_SIDE,
    StrPath,
    atomic_output,
    require_regular_file,
    storage_error,
)
from inve_core.media.pictures import FloatArray, Picture, PictureSpec, integer_type
from inve_core.media.yuv import rgb_codes

MOVIE_SUFFIXES = frozenset({".mov", ".mp4", ".m4v", ".mkv", ".webm", ".avi", ".mxf", ".mpg", ".mpeg"})
_WRITTEN_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".avi"})
# A playlist with a movie's name would make the demuxer open whatever it lists: so only containers and files.
_OPEN_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mxf,mpeg,mpegts,mpegvideo",
    "protocol_whitelist": "file",
}
# A constant quantiser instead of a bit rate: a contact movie is looked at closely, and it is short.
_BEST_QUALITY = {"flags": "+qscale", "global_quality": "236"}
_MAX_FRAMES = 1_000_000
_DECODE_ON = 32  # frames ahead up to which decoding on is taken for cheaper than seeking
_HDR_CURVES = {16: "PQ", 18: "HLG"}  # by FFmpeg's numbers


class MovieReader:
    """The frames of a movie's first video stream, numbered from 0 in the order they are shown.

    Reading onwards decodes each frame once; any other frame is reached from the key frame before it. Codes
    are linearised by the sRGB curve. Use it as a context manager, or close it.

    Attributes:
        frames: how many there are.
        width, height: in pixels.
        pixel_aspect: width of a pixel over its height.
        spec: the header that every frame's Picture has.
    """

    def __init__(self, path: StrPath) -> None:
        """Open a movie and list its frames, decoding none.

        Raises:
            MediaError: if the file is missing, no movie, empty, too large or high dynamic range.
        """
        self._path = require_regular_file(path, "movie")
        # There is one decoder, at one place in the movie.
        self._lock = threading.Lock()
        try:
            self._container = av.open(f"file:{self._path}", options=dict(_OPEN_OPTIONS))
        except (av.error.FFmpegError, UnicodeError) as error:
            raise MediaError(
                f"{self._path!r} cannot be read as a movie: {_reason(error)}; convert it to a .mov or .mp4."
            ) from error
        try:
            self._open_stream()
        except BaseException:
            self._container.close()
            raise

    def _open_stream(self) -> None:
        if not self._container.streams.video:
            raise MediaError(f"{self._path!r} has no video stream; name a movie with pictures in it.")
        stream = self._container.streams.video[0]
        self.width, self.height = stream.width, stream.height
        sides_fit = 1 <= self.width <= MAX_SIDE and 1 <= self.height <= MAX_SIDE
        if not sides_fit or self.width * self.height * 4 * 4 > MAX_BYTES:
            raise MediaError(
                f"{self._path!r} claims frames of {self.width}x{self.height} pixels; sides of 1 to "
                f"{MAX_SIDE} and {MAX_BYTES / 2**30:.0f} GiB a frame are read: scale it down."
            )
        if stream.format is None:
            raise MediaError(f"{self._path!r} holds video of an unknown kind; convert it to ProRes or H.264.")
        curve = _HDR_CURVES.get(int(stream.codec_context.color_trc or 0))
        if curve is not None:
            raise MediaError(
                f"{self._path!r} is a {curve} (HDR) movie, which is not read; convert it to linear EXRs."
            )
        stream.thread_type = "AUTO"
        self._stream = stream
        self._times, self._keys = self._list_frames()
        self.frames = len(self._times)
        aspect = stream.sample_aspect_ratio
        self.pixel_aspect = float(aspect) if aspect else 1.0
        self._has_alpha = any(component.is_alpha for component in stream.format.components)
        bits = max(component.bits for component in stream.format.components)
        self.spec = PictureSpec(
            width=self.width,
            height=self.height,
            pixel_aspect=self.pixel_aspect,
            data_window=(0, 0, self.width, self.height),
            source_type=integer_type(bits),
            colour_space="srgb_rec709_scene",
            channels=("R", "G", "B", "A") if self._has_alpha else ("R", "G", "B"),
        )
        self._rewind()

    def __enter__(self) -> "MovieReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; doing it twice does no harm."""
        self._container.close()

    def read(self, index: int) -> Picture:
        """Read one frame.

        Args:
            index: 0 for the first.

        Raises:
            MediaError: if there is no such frame, or it or one it builds on is damaged.
        """
        with self._lock:
            return self._picture(self._codes(index))

    def read_matte(self, index: int) -> npt.NDArray[np.float32]:
        """Read one frame as a matte: its first channel as coverage, with no colour curve.

        Returns:
            float32 [height, width], 0..1.

        Raises:
            MediaError: as `read`.
        """
        with self._lock:
            codes = self._codes(index)
        return codes[..., 0].astype(np.float32) / np.float32(_top(codes))

    def _codes(self, index: int) -> npt.NDArray[Any]:
        """[height, width, 3 or 4] integer codes of one frame."""
        if not 0 <= index < self.frames:
            raise MediaError(
                f"{self._path!r} has no frame {index}; it has the frames 0 to {self.frames - 1}: choose one "
                "of them."
            )
        reason = "it is damaged"
        for start in self._starts(index):
            try:
                frame = self._decode_until(index, start)
            except av.error.FFmpegError as error:
                reason = _reason(error)
            else:
                if frame is not None and not frame.is_corrupt:
                    self._next = index + 1
                    return self._rgb_codes(frame)
            self._rewind()
        raise MediaError(
            f"frame {index} of {self._path!r} cannot be decoded: {reason}; write the movie again."
        )

    def _list_frames(self) -> tuple[list[int], list[tuple[int, int]]]:
        """The time stamp of each shown frame, in order, and (time stamp, seek position) of each key frame.

        Taken from the packets alone. A key frame is sought by its decoding time, because containers differ in
        which of its two times they index, and the earlier one is right for both.
        """
        times: list[int] = []
        keys: list[tuple[int, int]] = []
        try:
            for packet in self._container.demux(self._stream):
                if packet.size and not packet.is_discard:
                    if packet.pts is None:
                        raise MediaError(
                            f"{self._path!r} has frames without time stamps; convert it to a .mov or .mp4."
                        )
                    times.append(packet.pts)
                    if packet.is_keyframe:
                        keys.append((packet.pts, packet.pts if packet.dts is None else packet.dts))
                    if len(times) > _MAX_FRAMES:
                        raise MediaError(
                            f"{self._path!r} has over {_MAX_FRAMES} frames; cut the shot out of it."
                        )
        except av.error.FFmpegError as error:
            raise MediaError(
                f"{self._path!r} is damaged: {_reason(error)}; write the movie again."
            ) from error
        if not times:
            raise MediaError(f"{self._path!r} has no frames; write the movie again.")
        if len(set(times)) < len(times):  # seen in MPEG programme streams
            raise MediaError(
                f"{self._path!r} has frames that share a time stamp, so their order is unknown; "
                "convert it to a .mov or .mp4."
            )
        return sorted(times), sorted(keys)

    def _rewind(self) -> None:
        self._decoded: Iterator[av.VideoFrame] | None = None
        self._next = 0

    def _starts(self, index: int) -> list[int | None]:
        """Where decoding may start to reach a frame: None goes on from here, else a seek position.

        The nearest key frame should do. Where it does not (a container whose index is off, frames that refer
        to what is before their key frame), the one before it and the movie's start are tried as well.
        """
        onwards: list[int | None] = [None] if self._decoded and 0 <= index - self._next <= _DECODE_ON else []
        before = bisect.bisect_right(self._keys, (self._times[index], sys.maxsize))
        seeks = [
            self._keys[number][1] for number in (before - 1, before - 2, 0) if 0 <= number < len(self._keys)
        ]
        return onwards + list(dict.fromkeys(seeks or [self._times[0]]))

    def _decode_until(self, index: int, start: int | None) -> av.VideoFrame | None:
        """Decode from a start up to a frame; None where its time is passed without it."""
        if start is not None or self._decoded is None:
            self._container.seek(start or 0, stream=self._stream, backward=True)
            self._decoded = self._container.decode(self._stream)
        for frame in self._decoded:
            if frame.pts is not None and frame.pts >= self._times[index]:
                return frame if frame.pts == self._times[index] else None
        return None

    def _rgb_codes(self, frame: av.VideoFrame) -> npt.NDArray[Any]:
        if (frame.width, frame.height) != (self.width, self.height):
            raise MediaError(
                f"a frame of {self._path!r} is {frame.width}x{frame.height}, the others are "
                f"{self.width}x{self.height}; convert it to one size."
            )
        try:
            return rgb_codes(frame, alpha=self._has_alpha, deep=self.spec.source_type != "uint8")
        except (av.error.FFmpegError, ValueError) as error:  # raw sensor data and the like
            raise MediaError(
                f"{self._path!r} holds {frame.format.name} pixels, which cannot be made RGB; "
                "convert it to ProRes or H.264."
            ) from error

    def _picture(self, codes: npt.NDArray[Any]) -> Picture:
        code_max = _top(codes)
        table = linear_table(self.spec.colour_space, code_max)
        pixels: FloatArray = np.ones((self.height, self.width, 4), self.spec.dtype)
        colour = table[codes[..., :3]]
        if self._has_alpha:
            alpha = (codes[..., 3:] / code_max).astype(np.float32)
            colour *= alpha
            pixels[..., 3:] = alpha
        pixels[..., :3] = colour
        return Picture(self.spec, pixels, {"oiio:ColorSpace": ("string", "lin_rec709_scene")})


def _top(codes: npt.NDArray[Any]) -> int:
    return 255 if codes.dtype == np.uint8 else 65535


def write_movie(path: StrPath, frames_uint8: Iterable[npt.NDArray[np.uint8]], fps: float) -> None:
    """Write sRGB frames as an MPEG-4 part 2 movie to look at, whole or not at all.

    Args:
        path: ends in .mp4, .mov, .mkv or .avi.
        frames_uint8: [height, width, 3] each, all of one size; the last column and row are repeated where a
            side is odd.
        fps: frames a second.

    Raises:
        StorageError: if the disk is full, the folder not writable, or the writing fails otherwise.
        ValueError: for another suffix, no frames, frames of different sizes or another type, or a rate that
            is not positive.
    """
    if Path(path).suffix.lower() not in _WRITTEN_SUFFIXES:
        raise ValueError(f"{os.fspath(path)!r} must end in one of {', '.join(sorted(_WRITTEN_SUFFIXES))}")
    if not 0 < fps <= 1000:
        raise ValueError(f"fps must be over 0 and at most 1000, got {fps}")
    with atomic_output(path) as temporary:
        try:
            _encode(os.fspath(temporary), iter(frames_uint8), Fraction(fps).limit_denominator(1001))
        except av.error.FFmpegError as error:
            raise storage_error(path, _reason(error)) from error


def _encode(name: str, frames: Iterator[npt.NDArray[np.uint8]], rate: Fraction) -> None:
    first = next(frames, None)
    if first is None:
        raise ValueError("a movie needs at least one frame")
    with av.open(name, "w") as container:
        stream = container.add_stream("mpeg4", rate=rate, options=dict(_BEST_QUALITY))
        height, width = first.shape[0], first.shape[1]
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(itertools.chain([first], frames)):
            if pixels.shape != (height, width, 3) or pixels.dtype != np.uint8:
                raise ValueError(
                    f"frame {number} is {pixels.dtype} {pixels.shape}, "
                    f"uint8 {(height, width, 3)} was expected"
                )
            even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or "the movie ends too early"

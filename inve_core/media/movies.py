"""Movies: frames read by their number, and a short movie written to look at."""

import itertools
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from types import TracebackType

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Colorspace, Interpolation

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

MOVIE_SUFFIXES = frozenset({".mov", ".mp4", ".m4v", ".mkv", ".webm", ".avi", ".mxf", ".mpg", ".mpeg"})
# A playlist with a movie's name would make the demuxer open whatever it lists: so only containers and files.
_OPEN_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mxf,mpeg,mpegts,mpegvideo",
    "protocol_whitelist": "file",
}
_MAX_FRAMES = 1_000_000
_UNSPECIFIED = 2  # the value that FFmpeg gives to an untagged matrix, in no enum of PyAV
_HDR_CURVES = {16: "PQ", 18: "HLG"}
_TO_RGB = Interpolation.BICUBIC | Interpolation.ACCURATE_RND


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
        self._times = self._list_frames()
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
        if not 0 <= index < self.frames:
            raise MediaError(
                f"{self._path!r} has no frame {index}; it has the frames 0 to {self.frames - 1}: choose one "
                "of them."
            )
        try:
            frame = self._frame(index)
            if frame.is_corrupt:
                raise MediaError(f"frame {index} of {self._path!r} is damaged; write the movie again.")
            return self._picture(frame)
        except (av.error.FFmpegError, StopIteration) as error:
            self._rewind()
            raise MediaError(
                f"frame {index} of {self._path!r} cannot be decoded: {_reason(error)}; write the movie again."
            ) from error

    def _list_frames(self) -> list[int]:
        """The time stamp of each shown frame, in order, from the packets alone."""
        times: list[int] = []
        try:
            for packet in self._container.demux(self._stream):
                if packet.size and not packet.is_discard:
                    if packet.pts is None:
                        raise MediaError(
                            f"{self._path!r} has frames without time stamps; convert it to a .mov or .mp4."
                        )
                    times.append(packet.pts)
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
        return sorted(set(times))

    def _rewind(self) -> None:
        self._decoded: Iterator[av.VideoFrame] | None = None
        self._next = 0

    def _frame(self, index: int) -> av.VideoFrame:
        if self._decoded is None or index < self._next or index > self._next + 32:
            self._container.seek(self._times[index], stream=self._stream, backward=True)
            self._decoded = self._container.decode(self._stream)
        wanted = self._times[index]
        for frame in self._decoded:
            # An open group of pictures may give frames from before the key frame; a later one means a gap.
            if frame.pts is not None and frame.pts >= wanted:
                if frame.pts > wanted:
                    raise MediaError(f"frame {index} of {self._path!r} is missing; write the movie again.")
                self._next = index + 1
                return frame
        raise StopIteration

    def _picture(self, frame: av.VideoFrame) -> Picture:
        deep = self.spec.source_type != "uint8"
        target = ("rgba64le" if deep else "rgba") if self._has_alpha else ("rgb48le" if deep else "rgb24")
        matrix = None
        if int(frame.colorspace) == _UNSPECIFIED and not frame.format.is_rgb:
            # What players assume of an untagged movie.
            matrix = Colorspace.ITU709 if self.height >= 720 else Colorspace.ITU601
        codes = frame.to_ndarray(
            format=target,
            src_colorspace=matrix,
            src_color_range=frame.color_range or None,
            interpolation=_TO_RGB,
        )
        code_max = 65535 if deep else 255
        table = linear_table(self.spec.colour_space, code_max)
        pixels: FloatArray = np.ones((self.height, self.width, 4), self.spec.dtype)
        colour = table[codes[..., :3]]
        if self._has_alpha:
            alpha = (codes[..., 3:] / code_max).astype(np.float32)
            colour *= alpha
            pixels[..., 3:] = alpha
        pixels[..., :3] = colour
        return Picture(self.spec, pixels, {"oiio:ColorSpace": ("string", "lin_rec709_scene")})


def write_movie(path: StrPath, frames_uint8: Iterable[npt.NDArray[np.uint8]], fps: float) -> None:
    """Write sRGB frames as an MPEG-4 part 2 movie to look at, whole or not at all.

    Args:
        path: ends in .mp4, .mov, .mkv or .avi.
        frames_uint8: [height, width, 3] each, all of one size; the last column and row are repeated where a
            side is odd.
        fps: frames a second.

    Raises:
        StorageError: if the disk is full, the folder not writable, or the writing fails otherwise.
        ValueError: for no frames, frames of different sizes or another type, or a rate that is not positive.
    """
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
        stream = container.add_stream("mpeg4", rate=rate)
        height, width = first.shape[0], first.shape[1]
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = max(1_000_000, int(stream.width * stream.height * 0.3 * max(float(rate), 24.0)))
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

"""An uncompressed EXR of one part, laid out by several threads at the speed of memory.

OpenEXR takes longer to write a file that it does not even compress than it takes to render it: 10 ms for a
frame of 768x432, over 100 ms for one of 4K. Without compression the format is plain: after the header comes
an offset for each line, then each line's number, its size, and its channels one after the other, sorted by
name ("OpenEXR File Layout", openexr.com). The header is still OpenImageIO's own, and so is the slow twin,
which :func:`inve_core.media.exr.write_exr` takes for all other files: both make the same bytes.
"""

import functools
import os
import sys
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np

from inve_core.media.pictures import FloatArray

# A band of lines stays in a core's own cache between being turned and being written.
_BAND_BYTES = 1 << 20
_MOST_THREADS = 8
_LINE_HEAD = np.dtype([("number", "<i4"), ("bytes", "<i4")])

SUPPORTED = sys.byteorder == "little" and hasattr(os, "pwrite")
"""Whether this machine's samples are the file's, and files can be written from several threads."""


def write_plain(descriptor: int, header: bytes, pixels: FloatArray, first_line: int) -> None:
    """Write all of a file but what `header` says.

    Args:
        descriptor: an empty file, open for writing.
        header: as OpenEXR writes it, up to and with the empty name that ends it; its channels are A, B, G, R.
        pixels: [h, w, 4] float16 or float32, RGBA.
        first_line: number of the first line in the data window.

    Raises:
        OSError: the file cannot be written.
    """
    height, width, channels = pixels.shape
    line_bytes = _LINE_HEAD.itemsize + channels * width * pixels.itemsize
    lines_at = len(header) + 8 * height
    offsets = lines_at + line_bytes * np.arange(height, dtype="<u8")
    _write_all(descriptor, memoryview(header + offsets.tobytes()), 0)

    def write_band(top: int) -> None:
        band = pixels[top : top + band_lines]
        lines = np.empty(
            len(band), [("head", _LINE_HEAD), ("samples", pixels.dtype.newbyteorder("<"), (channels, width))]
        )
        lines["head"]["number"] = np.arange(first_line + top, first_line + top + len(band))
        lines["head"]["bytes"] = line_bytes - _LINE_HEAD.itemsize
        lines["samples"] = band[:, :, ::-1].transpose(0, 2, 1)
        _write_all(descriptor, lines.view(np.uint8).reshape(-1).data, lines_at + line_bytes * top)

    band_lines = max(1, _BAND_BYTES // line_bytes)
    tops = range(0, height, band_lines)
    if len(tops) == 1:
        write_band(0)
    else:
        bands = [_threads().submit(write_band, top) for top in tops]
        # All of them, also after an error: the caller closes the file next.
        wait(bands)
        for band in bands:
            band.result()


def header_of(empty_file: bytes, height: int) -> bytes:
    """The header of a file that was opened and closed without a pixel: all of it but the table of offsets."""
    return empty_file[: len(empty_file) - 8 * height]


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    while len(data):
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1), thread_name_prefix="plain-exr")

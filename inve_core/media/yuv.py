"""From a decoded movie frame to RGB codes, exactly.

FFmpeg's own conversion is right for 8 bits, but takes the white of deeper movies down by 255/256; so those
are converted here by the matrices of the standards.
"""

from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace, Interpolation

# No flag for "accurate rounding" here: on its own it darkens white by two codes.
_SCALING = Interpolation.BICUBIC
# FFmpeg's numbers for a frame's matrix: the weights of red and blue in luma.
_LUMA_OF_MATRIX = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}
_HD_LINES = 720


def rgb_codes(frame: av.VideoFrame, *, alpha: bool, deep: bool) -> npt.NDArray[Any]:
    """The RGB or RGBA codes of a frame.

    An untagged frame is taken for BT.709 from 720 lines on and for BT.601 below, as players do.

    Args:
        frame: a decoded frame.
        alpha: whether to give its alpha too.
        deep: whether it has more than 8 bits a component.

    Returns:
        [height, width, 3 or 4], uint8, or where `deep` uint16 over the full 16-bit range. Codes beyond black
        and white are clipped.
    """
    matrix = int(frame.colorspace)
    if matrix not in _LUMA_OF_MATRIX:
        matrix = int(Colorspace.ITU709 if frame.height >= _HD_LINES else Colorspace.ITU601)
    if frame.format.is_rgb or not deep:
        formats = {
            (False, False): "rgb24",
            (True, False): "rgba",
            (False, True): "rgb48le",
            (True, True): "rgba64le",
        }
        return frame.to_ndarray(
            format=formats[alpha, deep],
            src_colorspace=None if frame.format.is_rgb else Colorspace(5 if matrix == 6 else matrix),
            src_color_range=frame.color_range or None,
            interpolation=_SCALING,
        )
    full = int(frame.color_range) == ColorRange.JPEG
    stored_range = ColorRange.JPEG if full else ColorRange.MPEG
    planes: npt.NDArray[Any] = frame.to_ndarray(
        format="yuva444p16le" if alpha else "yuv444p16le",
        src_color_range=stored_range,
        dst_color_range=stored_range,
        interpolation=_SCALING,
    )
    codes = np.empty(planes.shape, np.uint16)
    codes[..., :3] = np.rint(_rgb(planes, _LUMA_OF_MATRIX[matrix], full, _bits(frame)).clip(0, 1) * 65535)
    codes[..., 3:] = planes[..., 3:]
    return codes


def _bits(frame: av.VideoFrame) -> int:
    return max(component.bits for component in frame.format.components)


def _rgb(
    planes: npt.NDArray[Any], luma_of: tuple[float, float], full: bool, bits: int
) -> npt.NDArray[np.float32]:
    """float32 [h, w, 3] RGB, 0 black and 1 white, of 16-bit Y'CbCr whose codes were shifted up from
    `bits`.
    """
    white = float(((1 << bits) - 1) << (16 - bits)) if full else 235.0 * 256
    black = 0.0 if full else 16.0 * 256
    chroma = white if full else 224.0 * 256
    red_weight, blue_weight = luma_of
    stored = planes[..., :3].astype(np.float32)
    luma = (stored[..., 0] - np.float32(black)) / np.float32(white - black)
    blue = luma + (stored[..., 1] - np.float32(32768)) * np.float32(2 * (1 - blue_weight) / chroma)
    red = luma + (stored[..., 2] - np.float32(32768)) * np.float32(2 * (1 - red_weight) / chroma)
    green = luma - np.float32(red_weight) * red - np.float32(blue_weight) * blue
    green /= np.float32(1 - red_weight - blue_weight)
    return np.stack([red, green, blue], axis=2)

"""What the demo leaves to look at: the contact sheet and the convergence plot."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inve_daemon.demo.writing import write_file

Image = NDArray[np.uint8]

CELL_WIDTH = 400
GAP = 8
CAPTION_HEIGHT = 26
LABEL_WIDTH = 120
_PAPER, _INK = (24, 24, 26), (235, 235, 235)


def contact_sheet(
    title: str,
    columns: Sequence[str],
    above: Mapping[str, Sequence[Image]],
    wide: tuple[str, Mapping[str, Image]],
    below: Mapping[str, Sequence[Image]],
) -> Image:
    """Lay pictures out in labelled rows.

    Args:
        title: one line at the top.
        columns: a caption for each column.
        above, below: label -> one RGB picture [h, w, 3] for each column, all of one size.
        wide: label and the (caption -> RGB picture) of the row between them, whose pictures share the sheet's
            width equally.

    Returns:
        RGB [h, w, 3].
    """
    width = len(columns) * (CELL_WIDTH + GAP) - GAP
    share = (width + GAP) // max(1, len(wide[1])) - GAP

    def strips(rows: Mapping[str, Sequence[Image]]) -> list[tuple[str, Image]]:
        return [
            (label, _strip(dict(zip(columns, pictures, strict=True)), CELL_WIDTH))
            for label, pictures in rows.items()
        ]

    body = [*strips(above), (wide[0], _strip(wide[1], share)), *strips(below)]
    bands = [_caption(title, LABEL_WIDTH + width, CAPTION_HEIGHT + 14, 0.75)]
    for label, strip in body:
        side = _blank(LABEL_WIDTH, strip.shape[0])
        for line, word in enumerate(label.split("\n")):
            _write(side, word, (10, CAPTION_HEIGHT + 22 + 24 * line), 0.6)
        bands.append(_padded(np.hstack([side, strip]), LABEL_WIDTH + width))
    sheet = np.vstack([band for one in bands for band in (one, _blank(one.shape[1], GAP))])
    return np.hstack([sheet, _blank(GAP, sheet.shape[0])])


def write_png(path: Path, picture: Image) -> None:
    """Write an RGB picture, whole or not at all.

    Raises:
        StorageError: if it cannot be written.
    """
    write_file(path, cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes())


def plot_convergence(path: Path, history: Sequence[Mapping[str, float]], title: str) -> None:
    """Plot what a training report's `history` says against time, a panel for each figure.

    Raises:
        ImportError: if matplotlib is not installed (the extra `demo`).
        StorageError: if the plot cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = {
        "loss": ("loss", "log"),
        "flow_error_px": ("flow error, px", "linear"),
        "psnr_db": ("PSNR, dB", "linear"),
        "matte_iou": ("matte IoU", "linear"),
    }
    shown = {key: panel for key, panel in panels.items() if any(key in entry for entry in history)}
    figure = Figure(figsize=(4.2 * max(1, len(shown)), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for number, (key, (label, scale)) in enumerate(shown.items(), 1):
        axes = figure.add_subplot(1, len(shown), number)
        known = [(entry["seconds"], entry[key]) for entry in history if key in entry and "seconds" in entry]
        axes.plot(*zip(*known, strict=True), marker="o", markersize=3, color="#c2570c")
        axes.set_xlabel("learning time, s")
        axes.set_title(label)
        axes.set_yscale(scale)
        axes.grid(alpha=0.3, which="both")
    content = BytesIO()
    figure.savefig(content, format="png", dpi=110)
    write_file(path, content.getvalue())


def grey(matte: NDArray[Any]) -> Image:
    """A matte [h, w] in 0..1 as an RGB picture."""
    return np.repeat(np.rint(np.clip(matte, 0, 1) * 255.0).astype(np.uint8)[..., None], 3, -1)


def _strip(pictures: Mapping[str, Image], cell_width: int) -> Image:
    """Captioned pictures side by side, each fitted into a cell of one width; all as high as the highest."""
    cells = []
    for caption, picture in pictures.items():
        height, width = picture.shape[:2]
        scale = min(cell_width / width, CELL_WIDTH / height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        fitted = np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)
        cells.append(
            np.vstack([_caption(caption, cell_width, CAPTION_HEIGHT, 0.5), _padded(fitted, cell_width)])
        )
    tallest = max(cell.shape[0] for cell in cells)
    even = [np.vstack([cell, _blank(cell.shape[1], tallest - cell.shape[0])]) for cell in cells]
    parts = [part for cell in even for part in (cell, _blank(GAP, tallest))]
    return np.hstack(parts[:-1])


def _caption(text: str, width: int, height: int, size: float) -> Image:
    band = _blank(width, height)
    _write(band, text, (4 if size < 0.7 else 10, height - 9), size)
    return band


def _write(picture: Image, text: str, at: tuple[int, int], size: float) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)


def _blank(width: int, height: int) -> Image:
    return np.full((height, width, 3), _PAPER, np.uint8)


def _padded(picture: Image, width: int) -> Image:
    return np.hstack([picture, _blank(max(0, width - picture.shape[1]), picture.shape[0])])

"""Whether edits can be trusted: strokes where they were drawn, no gaps, no fringes. Prints tables with marks.

    python tests/benchmarks/edits.py [CLIP_DIR]... [--only figure5|drawn|far|edges]... [--preset fast]
        [--frames 24] [--width 640] [--height 360] [--working-size N] [--iterations N] [--batch N]
        [--device cpu] [--seed 0] [--keep DIR] [--out DIR]

The synthetic clip is always measured; CLIP_DIR holds frames/ and mattes/ of others. With --keep what was
learned is kept there and taken again. With --out also pictures: figure5_<clip>.png (ours, nearest, linear,
divided side by side) and edges.png (plate, plain, model, true side by side; fill and darkening of foreground
and background). Exit code 1 where a mark is missed. What is measured stands in edits_figure5, edits_lines and
edits_edges.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from edits_edges import edges_picture, edges_table, measure_edges
from edits_figure5 import draw_figure, figure_picture, figure_table, measure_figure
from edits_lines import drawn_table, far_table, measure_drawn, measure_far
from edits_shots import SYNTHETIC, LearnedShot, Learning, learned_shot

from inve_core.media.colour import linear_to_srgb
from inve_core.presets import PRESETS
from inve_core.rendering import Renderer

PARTS = ("figure5", "drawn", "far", "edges")
ENLARGED = 4


def write_picture(linear: np.ndarray, path: Path) -> None:
    """A picture [h, w, 3] in linear light as an enlarged PNG."""
    code = np.rint(np.clip(linear_to_srgb(np.clip(linear, 0, 1)), 0, 1) * 255).astype(np.uint8)
    large = cv2.resize(code[..., ::-1], None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(path), large)


def measure(shot: LearnedShot, parts: list[str], out: Path | None) -> bool:
    """Measure one shot and print; whether every mark was reached."""
    renderer, rows = Renderer(shot.model, shot.source), []
    if "figure5" in parts:
        figure = draw_figure(shot, renderer)
        found = measure_figure(figure)
        rows += found
        print(figure_table(shot.name, found), flush=True)
        if out is not None:
            plate = shot.source.read_display_rgb(figure.frame).astype(np.float32)
            write_picture(figure_picture(figure, plate), out / f"figure5_{shot.name}.png")
    if "drawn" in parts:
        found = measure_drawn(shot, renderer, large=False) + measure_drawn(shot, renderer, large=True)
        rows += found
        print(drawn_table(found), flush=True)
    if shot.truth is not None and "far" in parts:
        found = measure_far(shot, renderer)
        rows += found
        print(far_table(found), flush=True)
    if shot.truth is not None and "edges" in parts:
        found = measure_edges(renderer, shot.truth)
        rows += found
        print(edges_table(found), flush=True)
        if out is not None:
            write_picture(edges_picture(renderer, shot.truth, len(shot.truth.rgb) // 2), out / "edges.png")
    return all(row["reached"] is not False for row in rows)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="*", metavar="CLIP_DIR")
    parser.add_argument("--only", action="append", choices=PARTS, help="all by default")
    parser.add_argument("--preset", default="fast", choices=sorted(PRESETS))
    parser.add_argument("--frames", type=int, default=24, help="the most of a clip that is used")
    parser.add_argument("--width", type=int, default=640, help="of the synthetic clip")
    parser.add_argument("--height", type=int, default=360)
    for name in ("--working-size", "--iterations", "--batch"):
        parser.add_argument(name, type=int, help="the preset's by default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="where what was learned is kept for the next time")
    parser.add_argument("--out", type=Path, help="where pictures go")
    return parser


def main() -> None:
    """Read the command line, learn, measure, print."""
    options = arguments().parse_args()
    learning = Learning(
        options.preset,
        options.working_size,
        options.iterations,
        options.batch,
        options.frames,
        options.width,
        options.height,
        options.device,
        options.seed,
        options.keep,
    )
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    well = True
    with tempfile.TemporaryDirectory(prefix="inve_edits_") as scratch:
        for name in (SYNTHETIC, *options.clips):
            shot = learned_shot(name, learning, Path(scratch))
            well = measure(shot, options.only or list(PARTS), options.out) and well
    if not well:
        sys.exit(1)


if __name__ == "__main__":
    main()

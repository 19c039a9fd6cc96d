"""1,000 strokes from a RotoPaint to the daemon, with Nuke's stand-in.

    python tests/benchmarks/nuke_sending.py

Told are the button itself, which is on Nuke's main thread, and the time until the daemon has them all; the
mark is 1 s. The daemon is the real one, with a worker that learns nothing.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_FOLDERS = ("plugins/nuke", "tests/daemon", "tests/nuke/fake_nuke", "tests/nuke")
sys.path[:0] = [str(_ROOT / folder) for folder in _FOLDERS]

from nuke_live import Nuke, painting_daemon, stroke, strokes, write_plate  # noqa: E402 - found by the path above

from inve_nuke import actions, shots  # noqa: E402

STROKES, POINTS = 1000, 50


def drawn(number: int) -> str:
    places = [
        (16 + 10 * math.cos(0.1 * index + number), 12 + 8 * math.sin(0.13 * index + number))
        for index in range(POINTS)
    ]
    return stroke(f"Brush{number}", places)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="in-") as name:
        folder = Path(name)
        (folder / "s").mkdir(mode=0o700)
        write_plate(folder / "plate")
        daemon = painting_daemon(folder / "s", folder / "store", folder)
        daemon.start().close()
        try:
            nuke = Nuke(folder, daemon.endpoint)
            plate = nuke.read(str(folder / "plate" / "plate.%04d.exr"), 1001, 1004)
            node = nuke.inve(plate, 1001, 1004)
            nuke.run(node, "connect", "prepare")
            for title, count in (("the first time", STROKES), ("with one more", STROKES + 1)):
                nuke.paint(node, strokes(*map(drawn, range(count))))
                began = time.perf_counter()
                actions.send_edits(node)
                pressed = time.perf_counter()
                document = nuke.live.edits.documents["plate"]
                nuke.until(lambda document=document: not document.waiting)
                done = time.perf_counter()
                held = sum(len(layer["edits"]) for layer in document.layers)
                spent = f"the button {1000 * (pressed - began):.0f} ms, all {1000 * (done - began):.0f} ms"
                print(f"{count} strokes of {POINTS} points {title}: {spent} ({held} edits there)")
        finally:
            shots.stop()
            daemon.end()


if __name__ == "__main__":
    main()

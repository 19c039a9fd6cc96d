"""How long a RotoPaint's strokes take from the knob's text to the requests that carry them, on one core.

Prints the median and the largest processor time of each stage, all of it on one thread. Coordinates and
pressures are all different, which is the most that there is to read; `again` sends the same paint once more,
`one` after one stroke was changed.
Run it with daemon and plugins/nuke on the path:

PYTHONPATH=daemon:plugins/nuke python tests/benchmarks/nuke_strokes.py
"""

import argparse
import random
import statistics
import struct
import time

from inve_client.plugin.document import EditDocument
from inve_nuke import curve_script, roto, roto_steps
from inve_nuke.geometry import Picture
from inve_nuke.roto_elements import RotoSettings

SETTINGS = RotoSettings(
    owner="node", name="RotoPaint1", picture=Picture(1920, 1080), first=1001, last=1100, reference_frame=1001
)
_ATTRIBUTES = (
    "{a ro 0 go 0 bo 0 ao 0 r x3f000000 bs %d h x3e4ccccd ds 1 bu 1 str 1 ltn 1001 ltm 1001 ltt 2 tt 17}"
)


def bits(value: float) -> str:
    """A number as Nuke writes most."""
    return f"x{struct.pack('>f', value).hex()}"


def curves(strokes: int, points: int, widths: dict[int, int]) -> str:
    """The text of a knob."""
    rng = random.Random(1)
    made = []
    for number in range(strokes):
        x, y = rng.uniform(300, 1600), rng.uniform(300, 780)
        rows = []
        for _ in range(points):
            x, y = x + rng.uniform(-4, 5), y + rng.uniform(-4, 5)
            rows.append(f"{{{bits(x)} {bits(y)} {bits(rng.random())}}}")
        line = "\n       ".join(rows)
        made.append(
            f"    {{cubiccurve Brush{number} 512 catmullrom\n     {{cc\n      {{f 2080}}\n      {{p\n       "
            f"{line}}}}}\n     {{t {bits(x)} {bits(y)}}}\n     {_ATTRIBUTES % widths.get(number, 40)}}}"
        )
    head = "{{v x3f99999a}\n  {f 0}\n  {n\n   {layer Root\n    {f 0}\n    {t 960 540}\n    {a}\n"
    return head + "\n".join(made) + "}}}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strokes", type=int, default=1_000)
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    text = curves(options.strokes, options.points, {})
    changed = roto.convert(curves(options.strokes, options.points, {options.strokes // 2: 41}), SETTINGS)
    seconds: dict[str, list[float]] = {}
    for _ in range(options.repeats):
        start = time.process_time()

        def lap(name: str) -> None:
            nonlocal start
            now = time.process_time()
            seconds.setdefault(name, []).append(now - start)
            start = time.process_time()

        root = curve_script.parse(text)
        lap("read the text")
        painted = roto.convert(root, SETTINGS)
        lap("make edits")
        document = EditDocument("shot")
        for step in roto_steps.steps(document.layers, painted.layers, "node"):
            document.perform(step)
        lap("make the request")
        assert roto_steps.steps(document.layers, painted.layers, "node") == ()
        lap("again: nothing")
        (step,) = roto_steps.steps(document.layers, changed.layers, "node")
        assert len(step.edits) == 1
        lap("one: one patch")
    print(f"{options.strokes} strokes of {options.points} points, {len(text) / 1e6:.1f} MB")
    for name, laps in seconds.items():
        print(f"  {name:18} {statistics.median(laps) * 1e3:7.1f} ms, at most {max(laps) * 1e3:.1f}")


if __name__ == "__main__":
    main()

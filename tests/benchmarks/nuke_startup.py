"""What the plugin adds to Nuke's start, with Nuke's stand-in: python tests/benchmarks/nuke_startup.py

Each figure is of processes of their own, whose files are in the cache. The mark is 50 ms; on a machine
that is busy the processor's time tells more than the wall's.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNS = 9
_CHILD = """
import json, runpy, sys, time
root = sys.argv[1]
sys.path[:0] = [root + path for path in ("/tests/nuke/fake_nuke", "/daemon", "/plugins/nuke")]
import nuke, nukescripts.panels, stage
stage.fresh(gui=sys.argv[2] == "window")
clock = {"wall": time.perf_counter, "processor": time.process_time}[sys.argv[3]]
spent = {}
def measure(name, work):
    began = clock()
    work()
    spent[name] = 1000 * (clock() - began)
measure("init.py", lambda: runpy.run_path(root + "/plugins/nuke/init.py"))
if nuke.GUI:
    measure("menu.py", lambda: runpy.run_path(root + "/plugins/nuke/menu.py"))
def first_use():
    from inve_nuke.host import NukeHost
    from inve_nuke import actions, shots
    live = shots.Shots(NukeHost())
    live.insert()
measure("the first node", first_use)
print(json.dumps(spent))
"""


def measured(kind: str, clock: str) -> dict[str, list[float]]:
    """Milliseconds of each part, a figure for each run."""
    command = [sys.executable, "-c", _CHILD, str(ROOT), kind, clock]
    told = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(RUNS + 1)
    ]
    # The first one compiles.
    return {name: [one[name] for one in told[1:]] for name in told[0]}


def main() -> None:
    for kind, clock in itertools.product(("window", "terminal"), ("wall", "processor")):
        spent = measured(kind, clock)
        files = [spent[name] for name in spent if name.endswith(".py")]
        start = [sum(times) for times in zip(*files, strict=True)]
        print(f"{kind}, {clock} time: start {statistics.median(start):.1f} ms (longest {max(start):.1f})")
        for name, times in spent.items():
            print(f"  {name}: {statistics.median(times):.1f} ms (longest {max(times):.1f})")


if __name__ == "__main__":
    main()

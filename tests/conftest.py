"""For all tests: settings that stand before torch is imported, what GPU tests need, the plugins' zips."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# As in inve_daemon.worker.__main__, which says why.
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // 2)))
os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no core is idle in the end; GPU tests skip without a GPU."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device, and torch finds none here"))


@pytest.fixture(scope="session")
def built_zips() -> Path:
    """Folder of the plugins' zips, built from the sources as they are, once in a run of many processes."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    (ROOT / "build").mkdir(exist_ok=True)
    with open(ROOT / "build" / "built_in_run", "a+") as stamp:
        fcntl.flock(stamp, fcntl.LOCK_EX)
        stamp.seek(0)
        if not run or stamp.read() != run:
            _build_zips()
            stamp.truncate(0)
            stamp.write(run)
    return ROOT / "dist"


def _build_zips() -> None:
    command = [sys.executable, str(ROOT / "tools" / "build_plugins.py")]
    built = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if "pip found no wheel" in built.stderr:
        pytest.skip(f"the plugins' wheels cannot be had: {built.stderr.strip().splitlines()[-1]}")
    assert built.returncode == 0, built.stderr

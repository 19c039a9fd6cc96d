"""Nuke's place is taken by a stand-in (fake_nuke/), which is fresh for every test that asks for it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

# Tests are imported by path, so what they share is made importable here.
HERE = Path(__file__).resolve().parent
for _folder in (HERE.parent / "daemon", HERE, HERE / "fake_nuke"):
    sys.path.insert(0, str(_folder))

if TYPE_CHECKING:
    from daemon_support import Daemon
    from nuke_live import Nuke

    from stage import Stage


@pytest.fixture
def stage() -> Stage:
    """An empty script in a Nuke with a window; this thread is its main one."""
    import stage as stages

    return stages.fresh()


@pytest.fixture
def terminal() -> Stage:
    """An empty script in `nuke -t`."""
    import stage as stages

    return stages.fresh(gui=False)


@pytest.fixture
def nuke(stage: Stage) -> ModuleType:
    """The stand-in for Nuke's module, with an empty script."""
    import nuke

    return nuke


@pytest.fixture
def short() -> Iterator[Path]:
    """A temporary folder with a short name: paths of sockets have 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="in-") as folder:
        yield Path(folder)


@pytest.fixture
def painting(short: Path, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that learns in no time and paints a square where a stroke begins, started."""
    import nuke_live

    one = nuke_live.painting_daemon(short, tmp_path / "store", tmp_path)
    one.start().close()
    yield one
    if one.process is not None and one.process.poll() is None:
        one.end()


@pytest.fixture
def live(painting: Daemon, tmp_path: Path) -> Iterator[Nuke]:
    """`nuke -t` with the plugin alive in it, and that daemon."""
    import nuke_live

    yield nuke_live.Nuke(tmp_path, painting.endpoint)
    nuke_live.shots.stop()

"""Nuke's place is taken by a stand-in (fake_nuke/), which is fresh for every test that asks for it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

# Tests are imported by path, so what they share is made importable here.
HERE = Path(__file__).resolve().parent
for _folder in (HERE.parent / "daemon", HERE, HERE / "fake_nuke"):
    sys.path.insert(0, str(_folder))

if TYPE_CHECKING:
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

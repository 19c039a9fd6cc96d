"""The timer in a Qt event loop, without Nuke and without a screen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("PySide6.QtWidgets", reason="PySide6-Essentials is not installed", exc_type=ImportError)
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from panel_pictures import application

from inve_nuke import pumping
from inve_nuke.pumping import BUSY_MS, IDLE_MS, Pump


def run_until(condition: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        application().processEvents()
        time.sleep(0.001)
    return condition()


class Plugin:
    def __init__(self) -> None:
        application()
        self.pumped, self.busy, self.ended = 0, False, 0
        self.pump = Pump(self._pump, lambda: self.busy, self._end)

    def _pump(self) -> None:
        self.pumped += 1

    def _end(self) -> None:
        self.ended += 1


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugin]:
    monkeypatch.setattr(pumping, "IDLE_MS", 60)
    made = Plugin()
    yield made
    made.pump.stop()


def test_it_is_quick_while_something_is_awaited_and_slow_else(plugin: Plugin) -> None:
    assert 20 <= BUSY_MS <= 50 < IDLE_MS
    assert plugin.pump.interval_ms == 60
    plugin.pump.hurry()
    assert plugin.pump.interval_ms == BUSY_MS
    plugin.busy = True
    assert run_until(lambda: plugin.pumped >= 3)
    assert plugin.pump.interval_ms == BUSY_MS
    plugin.busy = False
    assert run_until(lambda: plugin.pump.interval_ms == 60)
    before = plugin.pumped
    assert run_until(lambda: plugin.pumped > before)


def test_it_stops(plugin: Plugin) -> None:
    plugin.pump.stop()
    plugin.pump.hurry()
    assert plugin.pump.interval_ms == 0
    assert not run_until(lambda: plugin.pumped > 0, 0.2)

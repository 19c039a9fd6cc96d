"""A daemon behind a slow network: Nuke's main thread never waits for it, and never touches its sockets."""

from __future__ import annotations

import gc
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from daemon_support import FRAMES
from nuke_live import BLENDER_TESTS, Nuke, result_of, stroke, strokes, write_plate

from inve_nuke import actions, shots

sys.path.insert(0, str(BLENDER_TESTS))

from blender_support import daemon_environment, free_ports, serving

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the daemon's test process is killed by signals")
DELAY_S = 0.2
BUTTON_MS = 5.0
"""Of the processor, of each call on the main thread with ordinary paint; the clock tells of others too."""
PUMP_MS = 16.0
"""The same of a pump while a thousand strokes are sent: a frame of the interface."""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Of a proxy before a painting daemon, that passes everything on late."""
    near, far, events = free_ports(3)
    command = serving("serve_painting.py", f"tcp://127.0.0.1:{far}", tmp_path)
    command += ["--events", f"tcp://127.0.0.1:{events}"]
    proxy = [sys.executable, str(BLENDER_TESTS / "delaying_proxy.py"), str(near), str(far), str(DELAY_S)]
    with subprocess.Popen(command, env=daemon_environment()) as daemon:
        with subprocess.Popen(proxy, stdout=subprocess.PIPE, text=True) as between:
            assert between.stdout is not None
            assert between.stdout.readline() == "ready\n"
            yield near
            between.kill()
        daemon.kill()


def drawn(number: int, points: int = 3) -> str:
    """A stroke of its own."""
    places = [(16 + 10 * math.cos(0.1 * k + number), 12 + 8 * math.sin(0.13 * k)) for k in range(points)]
    return stroke(f"Brush{number}", places)


class Stopwatch:
    """The calls on the main thread, in ms: by the clock the longest of each, and how long each works."""

    def __init__(self) -> None:
        self.clock: dict[str, float] = {}
        self.worked: dict[str, list[float]] = {}

    def call(self, name: str, work: Callable[[], Any]) -> Any:
        began, worked = time.perf_counter(), time.thread_time()
        try:
            return work()
        finally:
            self.worked.setdefault(name, []).append(1000 * (time.thread_time() - worked))
            self.clock[name] = max(self.clock.get(name, 0.0), 1000 * (time.perf_counter() - began))


def test_the_main_thread_never_waits(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    touched: set[str] = set()
    for name in ("send", "send_multipart", "recv", "recv_multipart", "poll", "connect"):
        plain = getattr(zmq.Socket, name)

        def watched(self: Any, *args: Any, plain: Any = plain, **more: Any) -> Any:
            touched.add(threading.current_thread().name)
            return plain(self, *args, **more)

        monkeypatch.setattr(zmq.Socket, name, watched)
    # In Nuke it is loaded long before any plugin.
    panel_pictures = pytest.importorskip("panel_pictures", reason="PySide6-Essentials is not installed")
    panel_pictures.application()
    write_plate(tmp_path / "plate")
    nuke = Nuke(tmp_path, f"tcp://127.0.0.1:{port}", gui=True)
    try:
        node = nuke.inve(nuke.read(str(tmp_path / "plate" / "plate.%04d.exr"), 1001, 1004), 1001, 1004)
        paint = nuke.paint(node, strokes())
        watch = Stopwatch()
        # How long the collector takes is a matter of all that this process holds, the other tests' too.
        gc.collect()
        gc.freeze()
        live = watch.call("first use", shots.current)
        live.pump.stop()  # Pumped here by hand, to see how long each takes.
        live.pump = None
        plain_ask = live.session.ask
        monkeypatch.setattr(
            live.session, "ask", lambda *told, **more: watch.call("ask", lambda: plain_ask(*told, **more))
        )

        def pump_until(condition: Callable[[], Any], timeout_s: float = 30.0) -> None:
            deadline = time.monotonic() + timeout_s
            while not condition():
                assert time.monotonic() < deadline, (live.session.problem, live.log.lines)
                watch.call("pump", live.session.pump)
                time.sleep(0.005)

        watch.call("connect", lambda: actions.connect(node))
        pump_until(lambda: live.session.is_connected)
        for turn in range(3):
            watch.call("prepare", lambda: actions.prepare(node))
            pump_until(lambda: "plate" in live.session.shots and live.session.shots["plate"].final)
            pump_until(lambda: not live.is_busy)
            paint["curves"].fromScript(strokes(*map(drawn, range(turn, turn + 5))))
            watch.call("send edits", lambda: actions.send_edits(node))
            pump_until(lambda: not live.edits.documents["plate"].waiting)
            watch.call("render", lambda: actions.render(node))
            pump_until(lambda: not live.is_busy and len(result_of(node)) == len(FRAMES))
        watch.call("cancel", lambda: actions.cancel(node))
        watch.call("panel", live.panel.view)
        watch.call("save", live.store)
        # Much paint: that it is converted takes its time, what comes back must not.
        watch, ordinary = Stopwatch(), watch
        paint["curves"].fromScript(strokes(*(drawn(number, 50) for number in range(1000))))
        watch.call("send 1,000 strokes", lambda: actions.send_edits(node))
        pump_until(lambda: not live.edits.documents["plate"].waiting)
        pump_until(lambda: not live.is_busy)
        assert sum(row.edits for row in live.panel.view().layers.rows) == 1000
        watch.call("save 1,000 strokes", live.store)
    finally:
        shots.stop()
        gc.unfreeze()
    assert nuke.stage.messages == [
        "INVE1 must be learning or rendering to be cancelled; it is not.",
    ]
    assert touched == {"inve link"}
    with capsys.disabled():
        print(
            f"\nwith {DELAY_S} s each way, the longest of each on the main thread, ms (of which it worked):"
        )
        for one in (ordinary, watch):
            each = (f"{name} {ms:.2f} ({max(one.worked[name]):.2f})" for name, ms in one.clock.items())
            print("  " + ", ".join(each))
    # Whoever waited for a single answer took longer.
    assert max(ordinary.clock.values()) < 2 * 1000 * DELAY_S, ordinary.clock
    # The first use loads the plugin, and asks the daemon nothing.
    ordinary.worked.pop("first use")
    for name, worked in ordinary.worked.items():
        # Of what is pressed several times the least: a crowded machine takes up to twice as long for it.
        assert (max if name in ("ask", "pump") else min)(worked) < BUTTON_MS, (name, worked)
    assert max(watch.worked["ask"]) < BUTTON_MS, watch.worked
    assert max(watch.worked["pump"]) < PUMP_MS, watch.worked

"""A daemon behind a slow network: Nuke's main thread never waits for it, and never touches its sockets."""

from __future__ import annotations

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


class Stopwatch:
    """The longest of each call on the main thread, in ms: by the clock, and how much of that it works."""

    def __init__(self) -> None:
        self.clock: dict[str, float] = {}
        self.worked: dict[str, float] = {}

    def call(self, name: str, work: Callable[[], Any]) -> Any:
        began, worked = time.perf_counter(), time.thread_time()
        try:
            return work()
        finally:
            for longest, spent in (
                (self.clock, time.perf_counter() - began),
                (self.worked, time.thread_time() - worked),
            ):
                longest[name] = max(longest.get(name, 0.0), 1000 * spent)


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
        nuke.paint(node, strokes(*(stroke(f"Brush{n}", [(10, 14), (15, 12)]) for n in range(50))))
        watch = Stopwatch()
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
        watch.call("prepare", lambda: actions.prepare(node))
        pump_until(lambda: "plate" in live.session.shots and live.session.shots["plate"].final)
        pump_until(lambda: not live.is_busy)
        watch.call("send edits", lambda: actions.send_edits(node))
        pump_until(lambda: not live.edits.documents["plate"].waiting)
        watch.call("render", lambda: actions.render(node))
        pump_until(lambda: not live.is_busy and len(result_of(node)) == len(FRAMES))
        watch.call("cancel", lambda: actions.cancel(node))
        watch.call("panel", live.panel.view)
        watch.call("save", live.store)
    finally:
        shots.stop()
    assert nuke.stage.messages == [
        "INVE1 must be learning or rendering to be cancelled; it is not.",
    ]
    assert touched == {"inve link"}
    with capsys.disabled():
        print(
            f"\nwith {DELAY_S} s each way, the longest of each on the main thread, ms (of which it worked):"
        )
        each = (f"{name} {ms:.2f} ({watch.worked[name]:.2f})" for name, ms in watch.clock.items())
        print("  " + ", ".join(each))
    # Whoever waited for a single answer took longer.
    assert max(watch.clock.values()) < 2 * 1000 * DELAY_S, watch.clock

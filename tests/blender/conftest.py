"""Blender in processes of their own, the add-on's zip, and daemons for them.

INVE_BLENDER names the versions ("4.5" by default; `make test-blender` says all three), BLENDER_ENVS where
tools/blender_env.sh has put them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Tests are imported by path, so what they share is made importable here.
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "daemon"))

from blender_support import VERSIONS, Blender, daemon_environment, free_ports, missing, serving
from daemon_support import Clip, Daemon, write_clip

from inve_client import Client
from inve_client.errors import Unreachable

HERE = Path(__file__).resolve().parent

# What needs no Blender is tested without it: the package's own __init__, which does, is not run.
package = types.ModuleType("inve_blender")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "plugins" / "blender" / "inve_blender")]
sys.modules.setdefault("inve_blender", package)


@pytest.fixture(scope="session")
def built_zip(built_zips: Path) -> Path:
    """The extension's zip, built from the sources as they are."""
    (path,) = (path for path in built_zips.glob("inve_blender-*.zip") if "legacy" not in path.name)
    return path


@pytest.fixture(params=VERSIONS)
def blender(request: pytest.FixtureRequest, built_zip: Path, short: Path) -> Blender:
    """A Blender of each version that is tested, with an empty user folder."""
    reason = missing(request.param)
    if reason:
        pytest.skip(reason)
    resources = short / "blender"
    resources.mkdir()
    (resources / "run").mkdir(mode=0o700)
    return Blender(request.param, resources, built_zip)


@pytest.fixture
def short() -> Iterator[Path]:
    """A temporary folder with a short name: paths of sockets have 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="ib-") as folder:
        yield Path(folder)


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return write_clip(tmp_path / "clip")


@pytest.fixture
def daemon(tmp_path: Path, short: Path) -> Iterator[Daemon]:
    """A daemon with the fake worker, as a process; not started yet."""
    one = Daemon(short, tmp_path / "store", tmp_path)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.end()


@pytest.fixture
def painting(daemon: Daemon) -> Daemon:
    """The same with a worker that paints squares where strokes begin, started."""
    script = Path(__file__).resolve().parent / "serve_painting.py"
    daemon.cli = (sys.executable, str(script))
    daemon.start().close()
    return daemon


@pytest.fixture
def slowed(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Starts a daemon and a proxy before it that passes everything on late; gives the proxy's port.

    The daemon learns for a second, or is that of another script.
    """
    started: list[subprocess.Popen[str]] = []

    def start(delay_s: float, script: str = "serve_learning.py") -> int:
        near, far, events = free_ports(3)
        command = serving(script, f"tcp://127.0.0.1:{far}", tmp_path)
        command += ["--events", f"tcp://127.0.0.1:{events}"]
        started.append(subprocess.Popen(command, env={**daemon_environment(), "LEARNS_S": "1"}, text=True))
        with Client(f"tcp://127.0.0.1:{far}") as client:
            for _ in range(20):
                try:
                    client.hello(timeout_s=1.0)
                    break
                except Unreachable:
                    assert started[-1].poll() is None
        proxy = [sys.executable, str(HERE / "delaying_proxy.py"), str(near), str(far), str(delay_s)]
        started.append(subprocess.Popen(proxy, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == "ready\n"
        return near

    yield start
    for process in reversed(started):
        process.kill()
        process.communicate()

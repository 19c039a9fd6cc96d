"""What the add-on's tests share: Blender as a Python module in a process of its own, and daemons to kill."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).resolve().parent / "scripts"
ENVS = Path(os.environ.get("BLENDER_ENVS", ROOT / ".blender"))
VERSIONS = tuple(os.environ.get("INVE_BLENDER", "4.5").split())
REPORT = "REPORT "
TIMEOUT_S = 150


def missing(version: str) -> str:
    """Why there is no Blender of a version; "" where there is."""
    if (ENVS / version / "bin" / "python").exists():
        return ""
    said = ENVS / f"{version}.unavailable"
    if said.exists():
        return said.read_text().strip()
    return f"no bpy {version} at {ENVS / version}; `bash tools/blender_env.sh {version}` makes it"


@dataclass(frozen=True)
class Blender:
    """One Blender with its own user folder, in which the add-on's zip is not yet installed."""

    version: str
    resources: Path
    zip: Path

    def run(self, script: str, timeout_s: float = TIMEOUT_S, **arguments: Any) -> dict[str, Any]:
        """Run one of scripts/ to its end and return what it reported; any exit code but 0 fails."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.resources),
            "TMPDIR": str(self.resources),
            "BLENDER_USER_RESOURCES": str(self.resources),
            "XDG_RUNTIME_DIR": str(self.resources / "run"),
            "PYTHONPATH": str(SCRIPTS),
            "PYTHONFAULTHANDLER": "1",
        }
        told = json.dumps({"zip": str(self.zip), "folder": str(self.resources), **arguments}, default=str)
        done = subprocess.run(
            [str(ENVS / self.version / "bin" / "python"), str(SCRIPTS / script), told],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        # An exception inside a callback or at exit does not show in the exit code.
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        reports = [line[len(REPORT) :] for line in done.stdout.splitlines() if line.startswith(REPORT)]
        assert len(reports) == 1, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(reports[0])
        return found


def daemon_command(endpoint: str, store: Path, root: Path, *, fake: bool = True) -> list[str]:
    """`inve-daemon serve`, with a worker that learns in no time or with the real one."""
    start = (
        [str(ROOT / "tests" / "daemon" / "serve_fake.py")]
        if fake
        else ["-c", "from inve_daemon.cli import main; main()"]
    )
    serve = ["serve", "--bind", endpoint, "--store", str(store), "--root", str(root), "--device", "cpu"]
    return [sys.executable, *start, *serve]


def daemon_environment() -> dict[str, str]:
    """For the daemon's Python, when another Python starts it."""
    paths = [path for path in sys.path if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def serving(script: str, endpoint: str, root: Path, store: str = "store") -> list[str]:
    """The command of a daemon with one of the workers of this folder."""
    python, _, *serve = daemon_command(endpoint, root / store, root)
    return [python, str(SCRIPTS.parent / script), *serve]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with_ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in with_ports]
    for one in with_ports:
        one.close()
    return ports

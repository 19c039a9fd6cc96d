"""The client needs pyzmq, msgpack and the standard library, on every Python that a host may have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CLIENT = Path(__file__).resolve().parents[2] / "daemon"

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top not in sys.stdlib_module_names and top not in {"inve_client", "zmq", "msgpack", "_zmq"}:
            raise ImportError(f"{name} is blocked in this test")

sys.meta_path.insert(0, Blocked())
import inve_client, inve_client.errors, inve_client.endpoints, inve_client.codec, inve_client.transport
assert not {"torch", "numpy", "msgspec", "click", "inve_core", "inve_daemon"} & set(sys.modules)
client = inve_client.Client("tcp://127.0.0.1:47399")
try:
    client.status(timeout_s=0.2)
except inve_client.errors.Unreachable as error:
    print(error.message)
"""


def test_it_imports_with_everything_else_blocked() -> None:
    environment = {**os.environ, "PYTHONPATH": str(CLIENT)}
    asked = subprocess.run(
        [sys.executable, "-c", BLOCKED], env=environment, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    assert "No daemon answers" in asked.stdout


def test_the_plugins_half_loads_no_zeromq_on_the_main_thread() -> None:
    """It takes tens of milliseconds, which a host's main thread does not have."""
    script = (
        "import sys, inve_client.plugin.session, inve_client.plugin.rendering, inve_client.plugin.editing\n"
        "assert not {'zmq', 'msgpack'} & set(sys.modules), sys.modules.keys()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(CLIENT)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


def find_python(version: str) -> str | None:
    """A working interpreter of a version: on the path, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"{version}.*/bin/python"))]
    for python in filter(None, candidates):
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return python
    return None


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11", "3.13"])
def test_it_is_valid_on_the_pythons_of_the_hosts(version: str, tmp_path: Path) -> None:
    """Compiles and imports all that needs no third package; with pyzmq and msgpack there, all of it."""
    python = find_python(version)
    if python is None:
        pytest.skip(f"no python{version} on this machine")
    script = (
        "import compileall, sys\n"
        "assert compileall.compile_dir(sys.argv[1], quiet=1)\n"
        "try: import zmq, msgpack\n"
        "except ImportError:\n"
        "    import types\n"
        "    zmq = types.ModuleType('zmq'); zmq.Context = zmq.Socket = dict; sys.modules['zmq'] = zmq\n"
        "    sys.modules['msgpack'] = types.ModuleType('msgpack')\n"
        "import importlib, pkgutil, inve_client\n"
        "for module in pkgutil.walk_packages(inve_client.__path__, 'inve_client.'):\n"
        "    importlib.import_module(module.name)\n"
        "print(inve_client.Client('ipc:///nowhere/d.sock').endpoint)\n"
    )
    shutil.copytree(
        CLIENT / "inve_client", tmp_path / "inve_client", ignore=shutil.ignore_patterns("__pycache__")
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [python, "-W", "error", "-c", script, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "ipc:///nowhere/d.sock"

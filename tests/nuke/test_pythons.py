"""The thin code on each of Nuke's Pythons, with the very packages that the zip has for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_support import Clip, Daemon, write_clip

from inve_client.version import VERSION
from inve_daemon.plugins.nuke import install_nuke
from inve_nuke import vendor

HERE = Path(__file__).resolve().parent
PYTHONS = ("3.9", "3.10", "3.11", "3.13")
PLATFORMS = {
    "linux-x64": "manylinux",
    "windows-x64": "win_amd64",
    "macos-x64": "macosx",
    "macos-arm64": "macosx",
}
STARTUP_S = 0.05


def find_python(version: str) -> str:
    """A working interpreter of a version: on the path, or one of pyenv's; skips where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"{version}.*/bin/python"))]
    for python in filter(None, candidates):
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip(f"no python{version} on this machine")


@pytest.fixture(scope="module")
def installed(built_zips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin as it is installed for all Pythons on this platform."""
    this = vendor.folder_name().partition("-")[2]
    if this not in PLATFORMS:
        pytest.skip(f"the zip has no packages for {this}")
    to = tmp_path_factory.mktemp("studio")
    install_nuke(to, pythons=PYTHONS, platforms=[this], say=lambda text: None)
    return to / "inve"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with the fake worker; sockets have short paths."""
    with tempfile.TemporaryDirectory(prefix="in-") as short:
        one = Daemon(Path(short), tmp_path / "store", tmp_path)
        one.start().close()
        yield one
        one.end()


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return write_clip(tmp_path / "clip")


def drive(python: str, installed: Path, endpoint: str = "none", frames: str = "") -> dict[str, Any]:
    command = [python, "-I", "-S", str(HERE / "scripts" / "drive.py")]
    done = subprocess.run(
        [*command, str(installed), str(HERE / "fake_nuke"), endpoint, frames],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("version", PYTHONS)
def test_it_starts_imports_and_talks_to_a_daemon(
    version: str, installed: Path, daemon: Daemon, clip: Clip
) -> None:
    report = drive(find_python(version), installed, daemon.endpoint, clip.frames)
    assert report["python"] == version
    assert report["loaded"] == []
    own = installed / "vendor" / f"py{version.replace('.', '')}-{vendor.folder_name().partition('-')[2]}"
    zmq, msgpack, client = report["files"]
    assert Path(zmq).is_relative_to(own)
    assert Path(msgpack).is_relative_to(own)
    assert Path(client) == installed / "vendor" / "any" / "inve_client" / "__init__.py"
    assert {"inve_client.plugin.session", "inve_nuke.host", "inve_nuke.vendor"} <= set(report["imported"])
    # What needs Qt is the panel, and nothing else.
    assert [name for name in report["without_qt"] if ".panel" not in name] == []
    assert report["shot"] == [1001, 1004]
    assert report["exr"] == "762f3101"


@pytest.mark.parametrize("version", PYTHONS)
def test_it_adds_little_to_nukes_start(version: str, installed: Path) -> None:
    """The best of five: others have this machine too, and the first start compiles."""
    python = find_python(version)
    assert min(drive(python, installed)["startup_s"] for _ in range(5)) < STARTUP_S


def test_the_zip_has_every_python_and_platform(built_zips: Path) -> None:
    with zipfile.ZipFile(built_zips / f"inve_nuke-{VERSION}.zip") as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"inve"}
    assert {"inve/init.py", "inve/inve_nuke/vendor.py", "inve/vendor/any/inve_client/SPEC.md"} <= set(names)
    assert {"inve/menu.py", "inve/examples/farm.py", "inve/pictures/editing.jpg"} <= set(names)
    for platform, tag in PLATFORMS.items():
        for python in PYTHONS:
            folder = f"inve/vendor/py{python.replace('.', '')}-{platform}/"
            inside = [name.removeprefix(folder) for name in names if name.startswith(folder)]
            assert any(name.startswith("zmq/backend/cython/") for name in inside), folder
            assert any(name.startswith("msgpack/_cmsgpack") for name in inside), folder
            assert [name for name in inside if name.endswith((".so", ".pyd"))], (folder, tag)
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]


def test_building_it_again_gives_the_same_bytes(built_zips: Path, tmp_path: Path) -> None:
    """The zip holds what the tree holds, and nothing of the time or the order of files on this disk."""
    name = f"inve_nuke-{VERSION}.zip"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "import nuke_zip, plugin_wheels\n"
        "nuke_zip.DIST = Path(sys.argv[2])\n"
        "locked = plugin_wheels.read_lock(nuke_zip.LOCK)\n"
        "nuke_zip.build(locked, {one.wheel: plugin_wheels.fetch(one) for one in locked})\n"
    )
    tools = built_zips.parent / "tools"
    subprocess.run([sys.executable, "-c", code, str(tools), str(tmp_path)], check=True)
    assert (tmp_path / name).read_bytes() == (built_zips / name).read_bytes()

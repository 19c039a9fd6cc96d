"""Which vendored packages are put on the path, and the start-up file that does it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inve_nuke import vendor

INIT = Path(__file__).resolve().parents[2] / "plugins" / "nuke" / "init.py"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A vendor folder for this Python, and a path to look at."""
    for name in (vendor.folder_name(), "py27-amiga-x64", "any"):
        (tmp_path / "vendor" / name).mkdir(parents=True)
    monkeypatch.setattr(sys, "path", ["/before"])
    return tmp_path / "vendor"


def importable(monkeypatch: pytest.MonkeyPatch, **origins: str) -> None:
    """Have the import system find these packages and no others."""

    def find_spec(name: str) -> Any:
        return importlib.util.spec_from_loader(name, None, origin=origins[name]) if name in origins else None

    monkeypatch.setattr(vendor.importlib.util, "find_spec", find_spec)


def test_what_fits_goes_to_the_end_of_the_path_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    importable(monkeypatch)
    added = [str(folder / vendor.folder_name()), str(folder / "any")]
    assert vendor.make_importable(str(folder)) == added
    assert sys.path == ["/before", *added]
    assert vendor.make_importable(str(folder)) == []
    assert sys.path == ["/before", *added]


@pytest.mark.parametrize(
    ("version", "system", "machine", "name"),
    [
        ((3, 9), "linux", "x86_64", "py39-linux-x64"),
        ((3, 10), "win32", "AMD64", "py310-windows-x64"),
        ((3, 11), "darwin", "arm64", "py311-macos-arm64"),
        ((3, 13), "darwin", "x86_64", "py313-macos-x64"),
    ],
)
def test_folders_are_called_by_python_and_platform(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], system: str, machine: str, name: str
) -> None:
    monkeypatch.setattr(vendor.sys, "version_info", (*version, 0, "final", 0))
    monkeypatch.setattr(vendor.sys, "platform", system)
    monkeypatch.setattr(vendor.platform, "machine", lambda: machine)
    assert vendor.folder_name() == name


def test_where_nothing_fits_a_sentence_says_what_to_do(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importable(monkeypatch, zmq="/nuke/zmq/__init__.py")
    (folder / vendor.folder_name()).rmdir()
    with pytest.raises(
        ImportError, match=rf"packages for py27-amiga-x64, this Nuke needs {vendor.folder_name()}; run `inve-"
    ):
        vendor.make_importable(str(folder))
    with pytest.raises(
        ImportError, match=r"INVE has no packages in .*nothing; run `inve-daemon install-plugin"
    ):
        vendor.make_importable(str(tmp_path / "nothing"))
    assert sys.path == ["/before"]


def test_what_nuke_brings_itself_is_used_and_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "inve_nuke")
    importable(
        monkeypatch, zmq="/nuke/zmq/__init__.py", msgpack=str(folder / vendor.folder_name() / "msgpack.py")
    )
    assert len(vendor.make_importable(str(folder))) == 2
    assert caplog.messages == ["zmq comes from /nuke/zmq/__init__.py, not from the plugin"]
    # With both its own, it needs none of ours but the client.
    sys.path[1:] = []
    importable(monkeypatch, zmq="/nuke/zmq/__init__.py", msgpack="/nuke/msgpack/__init__.py")
    (folder / vendor.folder_name()).rmdir()
    assert vendor.make_importable(str(folder)) == [str(folder / "any")]


def test_in_a_working_tree_the_client_may_be_importable_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importable(monkeypatch, inve_client="/src/inve_client/__init__.py")
    assert vendor.make_importable(str(tmp_path / "nothing")) == []


def test_the_start_up_file_never_keeps_nuke_from_starting(tmp_path: Path) -> None:
    """A copy without packages, in a Python that has none."""
    (tmp_path / "inve_nuke").mkdir()
    for name in ("init.py", "inve_nuke/__init__.py", "inve_nuke/vendor.py"):
        (tmp_path / name).write_bytes((INIT.parent / name).read_bytes())
    run = (
        f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); "
        f"runpy.run_path({str(tmp_path / 'init.py')!r})"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", run], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr.startswith("INVE has no packages in ")
    assert done.stderr.count("\n") == 1

"""`install-plugin nuke`: what it puts there, what it leaves alone, and that it can be undone."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inve_client.errors import CallError, StorageError
from inve_daemon.plugins import nuke, nuke_startup, owned_folder, zips

MEMBERS = {
    "init.py": b"1",
    "menu.py": b"2",
    "inve_nuke/__init__.py": b"3",
    "inve_nuke/panel/view.py": b"4",
    "vendor/any/inve_client/__init__.py": b"5",
    **{
        f"vendor/py{python}-{system}/zmq.py": f"{python} {system}".encode()
        for python in ("39", "310", "311", "313")
        for system in ("linux-x64", "windows-x64", "macos-x64", "macos-arm64")
    },
}


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a zip like the real one, with small files in it."""
    folder = tmp_path / "dist"
    folder.mkdir()
    with zipfile.ZipFile(folder / "inve_nuke-9.9.9.zip", "w") as archive:
        for name, content in MEMBERS.items():
            archive.writestr(f"inve/{name}", content)
    monkeypatch.setattr(zips, "_BUILT", folder)
    monkeypatch.setattr(zips, "_PACKAGED", folder)
    return folder


@pytest.fixture
def home(tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which Nuke was started once."""
    (tmp_path / "home" / ".nuke").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home" / ".nuke"


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() or path.is_symlink()
    }


def test_it_comes_with_the_packages_of_three_pythons_and_tells_nuke(home: Path) -> None:
    said: list[str] = []
    done = nuke.install_nuke(None, say=said.append)
    there = tree(home / "inve")
    listed = there.pop(owned_folder.LIST).decode().splitlines()
    wanted = {name: content for name, content in MEMBERS.items() if "py313" not in name}
    assert there == wanted
    assert sorted(listed) == sorted(wanted)
    line = f"nuke.pluginAddPath('{home}/inve')"
    assert done == {
        "installed": [str(home / "inve")],
        "pythons": ["3.9", "3.10", "3.11"],
        "platforms": ["linux-x64", "macos-arm64", "macos-x64", "windows-x64"],
        "files": len(wanted),
        "linked": False,
        "startup": str(home / "init.py"),
        "line": line,
    }
    assert line in (home / "init.py").read_text().splitlines()
    assert said == [
        f"inve_nuke-9.9.9: {home}/inve",
        "Packages for Python 3.9, 3.10, 3.11 on linux-x64, macos-arm64, macos-x64, windows-x64.",
        f"{home}/init.py: {line}",
        "Start Nuke again to have it there.",
    ]
    before = (tree(home), (home / "init.py").stat().st_mtime_ns)
    nuke.install_nuke(None, say=said.append)
    assert (tree(home), (home / "init.py").stat().st_mtime_ns) == before


def test_only_what_is_asked_for(home: Path) -> None:
    nuke.install_nuke(None, pythons=["3.13", "3.9"], platforms=["linux-x64"], say=lambda text: None)
    vendored = {name.split("/")[1] for name in tree(home / "inve") if name.startswith("vendor")}
    assert vendored == {"any", "py39-linux-x64", "py313-linux-x64"}
    # Fewer than before: what is not wanted any more goes.
    nuke.install_nuke(None, pythons=["3.9"], platforms=["linux-x64"], say=lambda text: None)
    assert {path.name for path in (home / "inve" / "vendor").iterdir()} == {"any", "py39-linux-x64"}
    for choice, sentence in (
        (
            {"pythons": ["3.12"]},
            r"--python must be one of 3\.9, 3\.10, 3\.11, 3\.13, for which .* got '3\.12'",
        ),
        ({"platforms": ["amiga"]}, r"--platform must be one of linux-x64, .* got 'amiga'"),
    ):
        with pytest.raises(CallError, match=sentence):
            nuke.install_nuke(None, **choice, say=lambda text: None)


def test_into_another_folder_nothing_else_is_touched(home: Path, tmp_path: Path) -> None:
    said: list[str] = []
    done = nuke.install_nuke(tmp_path / "studio", say=said.append)
    assert done["installed"] == [str(tmp_path / "studio" / "inve")]
    assert done["startup"] is None
    assert tree(home) == {}
    assert (tmp_path / "studio" / "inve" / "init.py").is_file()
    assert f"nuke.pluginAddPath('{tmp_path}/studio/inve')" in said[-1]
    assert "NUKE_PATH" in said[-1]
    assert nuke.uninstall_nuke(tmp_path / "studio", say=said.append)["left"] == []
    assert list((tmp_path / "studio").iterdir()) == []


def test_uninstalling_leaves_what_it_did_not_put_there(home: Path) -> None:
    mine = b"# -*- coding: latin-1 -*-\r\nimport nuke  # caf\xe9\r\nnuke.pluginAddPath('./mine')"
    (home / "init.py").write_bytes(mine)
    (home / "menu.py").write_bytes(b"mine")
    nuke.install_nuke(None, say=lambda text: None)
    assert (home / "init.py").read_bytes().startswith(mine)
    ast.parse((home / "init.py").read_bytes())
    inside = home / "inve" / "inve_nuke"
    (inside / "__pycache__").mkdir()
    (inside / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(b"compiled")
    (inside / "notes.txt").write_bytes(b"my own")
    said: list[str] = []
    done = nuke.uninstall_nuke(None, say=said.append)
    assert done == {"removed": [str(home / "init.py"), str(home / "inve")], "left": ["inve_nuke/notes.txt"]}
    assert "keeps what INVE did not put there: inve_nuke/notes.txt" in said[-1]
    assert tree(home) == {"init.py": mine, "menu.py": b"mine", "inve/inve_nuke/notes.txt": b"my own"}
    assert nuke.uninstall_nuke(None, say=said.append) == {"removed": [], "left": []}
    assert said[-1] == f"There is no plugin of INVE in {home}."


def test_a_start_up_file_that_was_made_for_it_goes_with_it(home: Path) -> None:
    nuke.install_nuke(None, say=lambda text: None)
    nuke.uninstall_nuke(None, say=lambda text: None)
    assert list(home.iterdir()) == []
    # One that was there, though empty, stays; and what was added to one that was made.
    (home / "init.py").touch()
    nuke.install_nuke(None, say=lambda text: None)
    nuke.uninstall_nuke(None, say=lambda text: None)
    assert tree(home) == {"init.py": b""}
    (home / "init.py").unlink()
    nuke.install_nuke(None, say=lambda text: None)
    with (home / "init.py").open("ab") as file:
        file.write(b"mine = 1\n")
    nuke.install_nuke(None, say=lambda text: None)
    nuke.uninstall_nuke(None, say=lambda text: None)
    assert tree(home) == {"init.py": b"mine = 1\n"}


def test_somebody_elses_folder_is_left_alone(home: Path) -> None:
    (home / "inve").mkdir()
    nuke.install_nuke(None, say=lambda text: None)
    nuke.uninstall_nuke(None, say=lambda text: None)
    (home / "inve").mkdir()
    (home / "inve" / "init.py").write_bytes(b"mine")
    with pytest.raises(CallError, match=r"inve is there and was not put there by .*; move it away, or name"):
        nuke.install_nuke(None, say=lambda text: None)
    assert nuke.uninstall_nuke(None, say=lambda text: None)["removed"] == []
    assert tree(home) == {"inve/init.py": b"mine"}


def test_a_list_that_leads_out_of_the_folder_removes_nothing_there(home: Path, tmp_path: Path) -> None:
    nuke.install_nuke(None, say=lambda text: None)
    (home / "mine.py").write_bytes(b"mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "view.py").write_bytes(b"mine")
    for path in (home / "inve" / "inve_nuke" / "panel").iterdir():
        path.unlink()
    (home / "inve" / "inve_nuke" / "panel").rmdir()
    (home / "inve" / "inve_nuke" / "panel").symlink_to(tmp_path / "elsewhere")
    with (home / "inve" / owned_folder.LIST).open("a") as file:
        file.write(f"../mine.py\n{tmp_path}/elsewhere/view.py\n")
    with pytest.raises(StorageError, match=r"panel/view\.py lies behind a link that is not INVE's"):
        nuke.install_nuke(None, say=lambda text: None)
    assert nuke.uninstall_nuke(None, say=lambda text: None)["left"] == ["inve_nuke/panel"]
    assert (home / "mine.py").is_file()
    assert (tmp_path / "elsewhere" / "view.py").read_bytes() == b"mine"


def test_linked_it_is_the_working_tree(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nuke.install_nuke(None, say=lambda text: None)
    done = nuke.install_nuke(None, link=True, platforms=["linux-x64"], say=lambda text: None)
    assert done["linked"] is True
    folder = home / "inve"
    assert (folder / "inve_nuke").resolve() == zips.REPOSITORY / "plugins" / "nuke" / "inve_nuke"
    assert (folder / "init.py").resolve() == zips.REPOSITORY / "plugins" / "nuke" / "init.py"
    assert (folder / "vendor/any/inve_client").resolve() == zips.REPOSITORY / "daemon" / "inve_client"
    assert (folder / "vendor/py39-linux-x64/zmq.py").read_bytes() == b"39 linux-x64"
    # Back to copies: they take the links' place and nothing behind them.
    source = zips.REPOSITORY / "plugins" / "nuke" / "inve_nuke" / "__init__.py"
    before = source.read_bytes()
    nuke.install_nuke(None, say=lambda text: None)
    assert not (folder / "inve_nuke").is_symlink()
    assert (folder / "inve_nuke/__init__.py").read_bytes() == b"3"
    nuke.install_nuke(None, link=True, say=lambda text: None)
    nuke.uninstall_nuke(None, say=lambda text: None)
    assert list(home.iterdir()) == []
    assert source.read_bytes() == before
    nuke.install_nuke(None, say=lambda text: None)
    (folder / "inve_nuke/mine.py").write_bytes(b"mine")
    there = tree(folder)
    with pytest.raises(CallError, match=r"to become a link, got .*mine\.py; move that away"):
        nuke.install_nuke(None, link=True, say=lambda text: None)
    assert tree(folder) == there
    monkeypatch.setattr(zips, "REPOSITORY", tmp_path)
    with pytest.raises(CallError, match="leave --link out, or run it from a clone"):
        nuke.install_nuke(None, link=True, say=lambda text: None)


def test_without_nuke_or_a_zip_it_says_what_is_missing(home: Path, built: Path) -> None:
    next(built.iterdir()).unlink()
    with pytest.raises(
        CallError, match="The Nuke plugin's zip is not in this installation of inve; run `make"
    ):
        nuke.install_nuke(None, say=lambda text: None)
    (built / "inve_nuke-9.9.9.zip").write_bytes(b"PK")
    with pytest.raises(StorageError, match=r"cannot be read .*; run `make plugins` again"):
        nuke.install_nuke(None, say=lambda text: None)
    home.rmdir()
    with pytest.raises(CallError, match=r"has not left its folder .*\.nuke; start Nuke once, or name one"):
        nuke.user_folder()


def test_on_windows_nuke_looks_in_home_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nuke.sys, "platform", "win32")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert nuke.home_folder() == tmp_path / ".nuke"
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(Path, "home", classmethod(lambda cls: tmp_path / "user"))
    assert nuke.home_folder() == tmp_path / "user" / ".nuke"


def test_a_folder_that_cannot_be_written_is_named(home: Path) -> None:
    (home / "inve").mkdir()
    (home / "inve" / owned_folder.LIST).touch()
    (home / "inve" / "vendor").write_bytes(b"a file where a folder is to be")
    with pytest.raises(
        StorageError, match=r"The plugin in .*inve cannot be written: .*; close the host, check"
    ):
        nuke.install_nuke(None, say=lambda text: None)


TEXTS = st.lists(
    st.sampled_from([b"import nuke", b"\n", b"\r\n", b"\r", b"x = 1", b"\xe9", b"# >>> other", b"\\"]),
    max_size=8,
).map(b"".join)


@given(TEXTS)
def test_the_lines_come_out_as_they_went_in(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    startup = tmp_path_factory.mktemp("s") / "init.py"
    startup.write_bytes(text)
    assert nuke_startup.add(startup, Path("/a/b"))
    assert not nuke_startup.add(startup, Path("/a/b"))
    assert nuke_startup.add(startup, Path("/c"))
    assert startup.read_bytes().count(b"pluginAddPath") == 1
    assert nuke_startup.take_out(startup)
    assert startup.read_bytes() == text
    assert not nuke_startup.take_out(startup)


def test_what_was_written_after_them_stays_a_line_of_its_own(tmp_path: Path) -> None:
    startup = tmp_path / "init.py"
    startup.write_bytes(b"a = 1")
    nuke_startup.add(startup, Path("/inve"))
    with startup.open("ab") as file:
        file.write(b"b = 2\n")
    nuke_startup.take_out(startup)
    assert startup.read_bytes() == b"a = 1\nb = 2\n"


def test_the_line_names_any_folder_in_any_encoding(tmp_path: Path) -> None:
    folder = tmp_path / 'Größe\'s "inve" 中'
    line = nuke_startup.line_for(folder)
    assert line.isascii()
    (call,) = ast.parse(line).body
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    assert ast.literal_eval(call.value.args[0]) == folder.as_posix()


def test_half_a_marker_and_links_are_respected(tmp_path: Path) -> None:
    startup = tmp_path / "init.py"
    nuke_startup.add(startup, Path("/inve"))
    whole = startup.read_bytes()
    startup.write_bytes(whole.replace(b"# <<< inve", b"# gone"))
    with pytest.raises(CallError, match=r"init\.py has one of INVE's two markers without the other; take"):
        nuke_startup.add(startup, Path("/inve"))
    startup.unlink()
    (tmp_path / "dotfiles.py").write_bytes(b"mine\n")
    (tmp_path / "dotfiles.py").chmod(0o640)
    startup.symlink_to("dotfiles.py")
    nuke_startup.add(startup, Path("/inve"))
    assert startup.is_symlink()
    assert b"pluginAddPath" in (tmp_path / "dotfiles.py").read_bytes()
    assert (tmp_path / "dotfiles.py").stat().st_mode & 0o777 == 0o640


def test_a_link_to_no_file_yet_is_not_of_our_making(tmp_path: Path) -> None:
    startup = tmp_path / "init.py"
    startup.symlink_to("dotfiles.py")
    nuke_startup.add(startup, Path("/inve"))
    assert nuke_startup.take_out(startup)
    assert startup.is_symlink()
    assert (tmp_path / "dotfiles.py").read_bytes() == b""


def test_taken_out_of_its_folder_by_name_nuke_is_told_no_more(home: Path) -> None:
    nuke.install_nuke(None, say=lambda text: None)
    nuke.uninstall_nuke(home, say=lambda text: None)
    assert list(home.iterdir()) == []


def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from inve_daemon.cli import main; main()", "install-plugin", *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_on_the_command_line(home: Path, tmp_path: Path) -> None:
    assert "leave it out for Blender" in run("blender", "--link", code=2).stderr
    assert "leave --python out" in run("nuke", "--uninstall", "--python", "3.9", code=2).stderr
    removed = json.loads(run("nuke", "--uninstall", "--to", str(tmp_path), "--json").stdout)
    assert removed == {"removed": [], "left": []}

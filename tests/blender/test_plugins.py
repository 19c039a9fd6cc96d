"""The zips: what is in them, that they are the same each time, and that they can be installed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from blender_support import ENVS, ROOT, Blender
from daemon_support import Clip, Daemon

from inve_client.errors import CallError
from inve_client.version import VERSION
from inve_daemon.plugins import blender as plugins
from inve_daemon.plugins import zips

PLATFORMS = {
    "linux-x64": "manylinux",
    "windows-x64": "win_amd64",
    "macos-x64": "macosx",
    "macos-arm64": "macosx",
}


def legacy(built_zip: Path) -> Path:
    return built_zip.with_name(f"{built_zip.stem}-legacy.zip")


def test_the_extension_has_wheels_for_every_platform_and_python(built_zip: Path) -> None:
    assert VERSION in built_zip.name
    with zipfile.ZipFile(built_zip) as archive:
        names = archive.namelist()
        manifest = archive.read("blender_manifest.toml").decode()
    wheels = [name for name in names if name.endswith(".whl")]
    for tag in PLATFORMS.values():
        for package in ("msgpack", "pyzmq"):
            ours = [name for name in wheels if tag in name and package in name]
            assert any("cp311-cp311" in name for name in ours), (tag, package)
            assert any("cp313-cp313" in name or "cp312-abi3" in name for name in ours), (tag, package)
    assert f"wheels/inve_client-{VERSION}-py3-none-any.whl" in wheels
    listed = re.findall(r'"\./(wheels/[^"]+)"', manifest)
    assert sorted(listed) == sorted(wheels)
    assert f'version = "{VERSION}"' in manifest
    assert not [name for name in names if "__pycache__" in name or "vendor/" in name]


def test_building_again_gives_the_same_bytes(built_zip: Path) -> None:
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (built_zip, legacy(built_zip))]
    subprocess.run([sys.executable, str(ROOT / "tools" / "build_plugins.py")], check=True, cwd=ROOT)
    assert [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in (built_zip, legacy(built_zip))
    ] == before


def test_blenders_own_validator_accepts_it(blender: Blender) -> None:
    env = ENVS / blender.version
    (validator,) = env.glob("lib/python*/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/*ext.py")
    python = str(env / "bin" / "python")
    done = subprocess.run(
        [python, str(validator), "validate", str(blender.zip)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Success" in done.stdout


def test_the_client_wheel_is_one_that_pip_takes(built_zip: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(built_zip) as archive:
        (name,) = (name for name in archive.namelist() if "inve_client-" in name)
        archive.extract(name, tmp_path)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(tmp_path / "site"), str(tmp_path / name)], check=True)
    assert (tmp_path / "site" / "inve_client" / "SPEC.md").is_file()


def test_what_install_plugin_puts_there_works(
    blender: Blender, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.start().close()
    monkeypatch.setenv("BLENDER_USER_RESOURCES", str(blender.resources))
    for _ in range(2):
        done = plugins.install_blender(None, lambda text: None)
    folder = blender.resources / "extensions" / "user_default"
    assert done["installed"] == [str(folder / "inve_blender")]
    assert [path.name for path in folder.iterdir()] == ["inve_blender"]
    assert blender.run("installed.py", endpoint=daemon.endpoint)["version"] == VERSION


def test_it_is_put_where_each_blender_looks(
    built_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BLENDER_USER_RESOURCES", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(plugins.sys, "platform", "linux")
    for name in ("3.0", "3.4", "4.2", "5.1", "notes"):
        (tmp_path / "blender" / name).mkdir(parents=True)
    said: list[str] = []
    plugins.install_blender(None, said.append)
    found = {
        path.parent.relative_to(tmp_path / "blender").as_posix()
        for path in tmp_path.rglob("inve_blender/panel.py")
    }
    assert found == {
        "3.4/scripts/addons/inve_blender",
        "4.2/extensions/user_default/inve_blender",
        "5.1/extensions/user_default/inve_blender",
    }
    assert (tmp_path / "blender/3.4/scripts/addons/inve_blender/vendor/any/inve_client/client.py").is_file()
    assert [line.split(":")[0] for line in said] == [
        "Blender 3.4",
        "Blender 4.2",
        "Blender 5.1",
        said[-1].split(":")[0],
    ]


def test_without_a_blender_or_a_zip_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BLENDER_USER_RESOURCES", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(plugins.sys, "platform", "linux")
    with pytest.raises(CallError, match="start Blender once, or name one with --to"):
        plugins.install_blender(None, print)
    monkeypatch.setattr(zips, "_BUILT", tmp_path)
    monkeypatch.setattr(zips, "_PACKAGED", tmp_path)
    with pytest.raises(CallError, match="run `make plugins`"):
        plugins.install_blender(tmp_path / "there", print)
    assert not (tmp_path / "there").exists()


def test_the_legacy_zip_works_in_blender_3_4(
    built_zip: Path, daemon: Daemon, clip: Clip, short: Path
) -> None:
    program = shutil.which("blender")
    asked = [program or sys.executable, "--version"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    if not re.match(r"Blender (3\.[4-6]|4\.[01])", said):
        pytest.skip("no Blender 3.4 to 4.1 on the path; Debian: apt-get install blender")
    assert program is not None
    daemon.start().close()
    script = Path(__file__).resolve().parent / "scripts" / "legacy.py"
    arguments = [str(legacy(built_zip)), daemon.endpoint, str(clip.folder)]
    done = subprocess.run(
        [
            program,
            "-b",
            "--factory-startup",
            "--python-exit-code",
            "1",
            "--python",
            str(script),
            "--",
            *arguments,
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(short), "XDG_CONFIG_HOME": str(short / "config")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "REPORT plate-" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_the_command_line_says_it_as_json(tmp_path: Path, built_zip: Path) -> None:
    command = [sys.executable, "-c", "from inve_daemon.cli import main; main()", "install-plugin", "blender"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [*command, "--to", str(tmp_path / "user_default"), "--json"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert json.loads(done.stdout) == {"installed": [str(tmp_path / "user_default" / "inve_blender")]}

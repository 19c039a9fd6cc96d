"""The command line as people run it, with the fake worker behind it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from daemon_fakes import DIES, FINDS_A_DAMAGED_PICTURE, LONG
from daemon_support import (
    FAKE_CLI,
    FRAMES,
    Clip,
    Daemon,
    environment,
    sketch,
    stroke,
    texture,
    until,
    write_picture,
)

from inve_core.presets import PRESETS
from inve_daemon import cli
from inve_daemon.calls import shot_name


@pytest.fixture
def run(tmp_path: Path, sockets: Path) -> Any:
    """Runs a command in tmp_path, without the user's own daemon and store."""
    home = environment(XDG_RUNTIME_DIR=str(sockets), XDG_DATA_HOME=str(tmp_path / "data"))

    def call(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*FAKE_CLI, *words], env=home, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == code, done.stderr
        return done

    return call


def test_a_shot_from_beginning_to_end_without_a_daemon(run: Any, clip: Clip, tmp_path: Path) -> None:
    train = run("train", "clip/plate.####.png", "--mattes", "clip/matte.%04d.png", "--seed", "8", "--json")
    result = json.loads(train.stdout)
    wanted = {"shot", "frames", "iterations", "train_s", "total_s", "psnr_db", "flow_error_px", "matte_iou"}
    assert wanted | {"device", "backend", "preset"} <= result.keys()
    assert (result["shot"], result["frames"], result["iterations"]) == ("clip", 4, 8)
    assert "learning" in train.stderr

    (tmp_path / "art").mkdir()
    write_picture(tmp_path / "art" / "logo.png", 8, 8)
    stack = sketch(stroke(), stroke(1002))
    stack["layers"].append({"name": "sign", "kind": "texture", "edits": [texture("logo.png")]})
    (tmp_path / "art" / "edits.json").write_text(json.dumps(stack))
    assert json.loads(run("edit", "clip", "art/edits.json", "--json").stdout)["edits"] == 3

    (tmp_path / "points.json").write_text('{"points": [{"id": "p", "frame": 1001, "x": 3, "y": 4}]}')
    assert json.loads(run("track", "clip", "points.json").stdout)["tracks"][0]["id"] == "p"
    run("track", "clip", "points.json", "--out", "tracks.json")
    assert json.loads((tmp_path / "tracks.json").read_text())["frames"] == list(FRAMES)

    written = json.loads(
        run("render", "clip", "--out", "out/f.%04d.exr", "--range", "1002-1003", "--json").stdout
    )
    assert (written["frames"], written["touched"]) == (2, 6)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["f.1002.exr", "f.1003.exr"]

    assert "clip" in run("shots").stdout
    assert [job["state"] for job in json.loads(run("jobs", "--json").stdout)["jobs"]] == ["done", "done"]
    run("delete", "clip")
    assert json.loads(run("shots", "--json").stdout) == {"shots": []}
    assert "unknown_shot" in run("delete", "clip", "--json", code=2).stdout


def test_edits_go_out_and_come_back_in_another_store(run: Any, clip: Clip, tmp_path: Path) -> None:
    for store in ("here", "there"):
        run("train", clip.frames, "--name", f"shot-{store}", "--seed", "3", "--store", store)
    (tmp_path / "art").mkdir()
    stack = sketch(stroke(), stroke(1002, point_widths=[1.0, 0.25], smooth=True))
    stack["version"] = 2
    signs = []
    for number, name in enumerate(("logo.png", "LOGO2.PNG")):
        write_picture(tmp_path / "art" / name, 8, 8, value=number)
        signs.append(texture(name))
    # The same picture by another name is the same texture.
    (tmp_path / "art" / "again.png").write_bytes((tmp_path / "art" / "logo.png").read_bytes())
    signs.append(texture("again.png", frame=1003))
    stack["layers"].append({"name": "sign", "kind": "texture", "edits": signs})
    (tmp_path / "art" / "edits.json").write_text(json.dumps(stack))
    put = json.loads(run("edit", "shot-here", "art/edits.json", "--store", "here", "--json").stdout)

    (tmp_path / "sent").mkdir()
    said = run("edit", "shot-here", "--out", "sent/job.json", "--store", "here", "--json")
    exported = json.loads(said.stdout)
    assert exported == {
        "shot": "shot-here",
        "edits": 5,
        "revision": put["revision"],
        "out": "sent/job.json",
        "textures": exported["textures"],
    }
    assert sorted(path.name for path in (tmp_path / "sent").iterdir()) == ["job.json", "job.textures"]
    contents = {(tmp_path / path).read_bytes() for path in exported["textures"]}
    assert contents == {(tmp_path / "art" / name).read_bytes() for name in ("logo.png", "LOGO2.PNG")}
    document = json.loads((tmp_path / "sent" / "job.json").read_text())
    images = [edit["image"] for edit in document["layers"][1]["edits"]]
    assert [f"sent/{image}" for image in dict.fromkeys(images)] == exported["textures"]
    assert images[0] == images[2]
    assert document["version"] == 2

    # Elsewhere, where nothing else of it is left.
    for folder in ("here", "art"):
        shutil.rmtree(tmp_path / folder)
    (tmp_path / "sent").rename(tmp_path / "received")
    got = json.loads(run("edit", "shot-there", "received/job.json", "--store", "there", "--json").stdout)
    assert got["ids"] == put["ids"]
    run("edit", "shot-there", "--out", "again.json", "--store", "there")
    again = json.loads((tmp_path / "again.json").read_text().replace("again.textures/", "job.textures/"))
    assert again == document
    written = run("render", "shot-there", "--out", "o.%04d.exr", "--store", "there", "--json")
    assert json.loads(written.stdout)["touched"] == 5 * len(FRAMES)


def test_undo_redo_and_copy_on_the_command_line(run: Any, clip: Clip, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run("train", clip.frames, "--name", name, "--seed", "2")
    (tmp_path / "e.json").write_text(json.dumps(sketch(stroke(1002), stroke(1003))))

    def edits(shot: str) -> tuple[int, dict[str, Any]]:
        told = json.loads(run("edit", shot, "--out", f"{shot}.json", "--json").stdout)
        assert told["textures"] == []
        return told["edits"], json.loads((tmp_path / f"{shot}.json").read_text())

    run("edit", "one", "e.json")
    count, before = edits("one")
    assert (count, before["version"]) == (2, 1)
    undone = json.loads(run("edit", "one", "--undo", "--json").stdout)
    assert undone.keys() == {"shot", "revision"}
    assert edits("one")[0] == 0
    assert "nothing to undo" in run("edit", "one", "--undo", code=2).stderr
    assert "brought back" in run("edit", "one", "--redo").stdout
    assert edits("one") == (2, before)
    copied = json.loads(run("edit", "one", "--copy-to", "two", "--frame-offset", "-1", "--json").stdout)
    assert (copied["shot"], copied["to"], copied["edits"]) == ("one", "two", 2)
    count, copy = edits("two")
    assert [edit["frame"] for edit in copy["layers"][0]["edits"]] == [1001, 1002]
    assert [edit["id"] for edit in copy["layers"][0]["edits"]] == copied["ids"]
    assert (
        "is 1000, the shot has"
        in run("edit", "one", "--copy-to", "two", "--frame-offset", "-2", code=2).stderr
    )
    assert edits("two") == (2, copy)
    assert edits("one") == (2, before)
    run("edit", "two", "--undo")
    assert edits("two")[0] == 0
    gone = run("edit", "one", "--out", "nowhere/e.json", code=1).stderr
    assert "nowhere/e.json could not be written" in gone


def test_a_running_daemon_is_used(
    run: Any, clip: Clip, daemon: Daemon, sockets: Path, tmp_path: Path
) -> None:
    daemon.start()
    result = json.loads(
        run("train", clip.frames, "--connect", daemon.endpoint, "--seed", "3", "--json").stdout
    )
    assert result["iterations"] == 3
    status = run("status", "--connect", daemon.endpoint).stdout
    assert "1 shots" in status
    assert "Backend fake; the real one is not here.\n" in status
    error = run("shots", "--connect", daemon.endpoint, "--device", "cpu", code=2).stderr
    assert "leave out --store and --device" in error
    assert "held by another daemon" in run("shots", "--store", str(daemon.store), code=2).stderr


def test_the_default_daemon_is_found(tmp_path: Path, sockets: Path, clip: Clip, run: Any) -> None:
    home = environment(XDG_RUNTIME_DIR=str(sockets), XDG_DATA_HOME=str(tmp_path / "data"))
    serving = subprocess.Popen([*FAKE_CLI, "serve", "--root", str(tmp_path), "--device", "cpu"], env=home)
    try:
        socket = sockets / "inve" / "daemon.sock"
        until(socket.is_socket)
        status = json.loads(run("status", "--json").stdout)
        assert status["pid"] == serving.pid
        assert status["endpoint"] == f"ipc://{socket}"
        assert "leave out --device" in run("train", clip.frames, "--device", "cuda", code=2).stderr
    finally:
        serving.send_signal(signal.SIGINT)
    assert serving.wait(30) == 130
    assert not socket.exists()
    assert "No daemon is running" in run("status", code=1).stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "nowhere/x.%04d.exr"], "nowhere"),
        (["train", "clip/plate.%04d.png", "--range", "1003-1009"], "1009"),
        (["train", "clip/plate.%04d.png", "--name", "a/b"], "shot"),
        (["train", "clip/plate.%04d.png", "--device", "cuda"], "'cuda' is not there"),
        (["train", "clip/plate.%04d.png", "--device", "tpu"], "'tpu'"),
        (["train", "clip/plate.%04d.png", "--range", "9-1"], "'9-1'"),
        (["train", "clip/plate.%04d.png", "--preset", "sharpest"], "sharpest"),
        (["train", "clip/plate.%04d.png", "--flow", "x"], "x' does not exist"),
        (["train", "clip/plate.%04d.png", "--flow", "clip/plate.%04d.png"], "read from EXR: write it as EXR"),
        (["edit", "shot", "nowhere.json"], "nowhere.json"),
        (["edit", "shot", "bad.json"], "`layers[0].edits[0].colour`"),
        (["edit", "nobody", "good.json"], "nobody"),
        (["edit", "shot"], "takes one of EDITS.json, --out, --undo, --redo, --copy-to, got none of them"),
        (["edit", "shot", "good.json", "--undo"], "got EDITS.json and --undo; give one."),
        (["edit", "shot", "--undo", "--redo", "--out", "o.json"], "got --out and --undo and --redo"),
        (["edit", "shot", "--undo", "--frame-offset", "3"], "--frame-offset belongs to --copy-to"),
        (["edit", "shot", "--copy-to", "two", "--frame-offset", "x"], "'x' is not a valid integer"),
        (["edit", "shot", "--copy-to", "two", "--frame-offset", "9" * 30], "`frame_offset` cannot be sent"),
        (
            ["edit", "shot", "--copy-to", "bad name"],
            "`to` must be 1 to 64 letters, digits or . _ -, got",
        ),
        (["edit", "bad\udcff", "--undo"], "`shot` cannot be sent"),
        (["edit", "shot", "--out", ""], "is no ordinary file; choose another --out"),
        (["edit", "shot", "--out", "x.textures"], "must not end in .textures"),
        (["edit", "shot", ""], "cannot be read"),
        (["edit", "shot", "new.json"], "`version` must be 1 to 2, got 3; install a newer release"),
        (["track", "shot", "points.json", "--out", ""], "is no ordinary file; choose another --out"),
        (["edit", "nobody", "--undo"], "nobody"),
        (["edit", "nobody", "--out", "o.json"], "nobody"),
        (["edit", "nobody", "--copy-to", "two"], "nobody"),
        (["track", "nobody", "points.json"], "nobody"),
        (["render", "nobody", "--out", "o.%04d.exr"], "nobody"),
        (["cancel", "abc"], "abc"),
        (["status", "--connect", "http://localhost"], "http://localhost"),
        (["shots", "--connect", "tcp://192.168.0.1:47310"], "neither ipc nor loopback"),
        (["serve", "--bind", "tcp://0.0.0.0:47310"], "until the daemon can be given keys"),
        (["serve", "--bind", "ipc://relative"], "absolute path"),
        (["serve", "--bind", "tcp://127.0.0.1:5558"], "Nuke"),
        (["serve", "--root", "nowhere"], "nowhere"),
        (["serve", "--device", "cuda"], "'cuda' is not there"),
        (["export", "shot", "stmap", "--out", "x"], "later"),
        (["keygen"], "later"),
        (["install-plugin", "blender", "--uninstall"], "leave it out for Blender"),
        (["demo", "--mattes", "x"], "--frames"),
        (["dance"], "dance"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_exit_code_2(
    run: Any, clip: Clip, tmp_path: Path, words: list[str], sentence: str
) -> None:
    (tmp_path / "bad.json").write_text(json.dumps(sketch(stroke(colour=1))))
    (tmp_path / "new.json").write_text('{"version": 3}')
    (tmp_path / "good.json").write_text(json.dumps(sketch(stroke())))
    (tmp_path / "points.json").write_text('{"points": [{"id": "p", "frame": 1001, "x": 3, "y": 4}]}')
    said = run(*words, code=2)
    assert sentence in said.stderr
    assert "Traceback" not in said.stderr
    assert said.stdout == ""


def test_a_picture_that_is_found_damaged_late_leaves_no_shot(run: Any, clip: Clip) -> None:
    said = run("train", clip.frames, "--seed", str(FINDS_A_DAMAGED_PICTURE), "--json", code=2)
    assert json.loads(said.stdout)["error"]["code"] == "bad_media"
    assert json.loads(run("shots", "--json").stdout) == {"shots": []}
    # A shot that was there before is kept.
    run("train", clip.frames, "--seed", "3")
    run("train", clip.frames, "--seed", str(FINDS_A_DAMAGED_PICTURE), code=2)
    assert json.loads(run("shots", "--json").stdout)["shots"][0]["final"]


def test_failed_work_is_exit_code_1_and_json_says_why(run: Any, clip: Clip) -> None:
    said = run("train", clip.frames, "--seed", str(DIES), "--json", code=1)
    assert json.loads(said.stdout)["error"]["code"] == "worker_died"
    gone = run("status", "--connect", "tcp://127.0.0.1:47999", "--json", code=1)
    assert json.loads(gone.stdout)["error"]["code"] == "unreachable"


def test_ctrl_c_cancels_and_exits_130(tmp_path: Path, sockets: Path, clip: Clip, run: Any) -> None:
    home = environment(XDG_RUNTIME_DIR=str(sockets), XDG_DATA_HOME=str(tmp_path / "data"))
    command = [*FAKE_CLI, "train", clip.frames, "--seed", str(LONG), "--name", "shot"]
    # Where the tests themselves run in the background of a script, Ctrl-C is ignored, which children inherit.
    training = subprocess.Popen(
        command,
        env=home,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert training.stderr is not None
    for line in training.stderr:
        if line.startswith("learning"):
            break
    training.send_signal(signal.SIGINT)
    _, rest = training.communicate(timeout=30)
    assert training.returncode == 130
    assert "Interrupted." in rest
    assert [job["state"] for job in json.loads(run("jobs", "--json").stdout)["jobs"]] == ["cancelled"]


def test_a_private_daemon_marks_what_was_left_as_interrupted(
    tmp_path: Path, sockets: Path, clip: Clip, run: Any
) -> None:
    home = environment(XDG_RUNTIME_DIR=str(sockets), XDG_DATA_HOME=str(tmp_path / "data"))
    command = [*FAKE_CLI, "train", clip.frames, "--seed", str(LONG), "--name", "shot"]
    training = subprocess.Popen(command, env=home, stderr=subprocess.PIPE, text=True)
    assert training.stderr is not None
    for line in training.stderr:
        if line.startswith("learning"):
            break
    training.kill()
    training.communicate()
    assert [job["state"] for job in json.loads(run("jobs", "--json").stdout)["jobs"]] == ["interrupted"]


def test_help_and_status_are_quick() -> None:
    for words in (["--help"], ["status"]):
        took = []
        for _ in range(3):
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "inve_daemon", *words], env=environment(), capture_output=True
            )
            took.append(time.perf_counter() - started)
        # The best of three: the figure is about the program, not about what else the machine does.
        assert min(took) < 0.3


def test_commands_import_no_torch() -> None:
    script = (
        "import sys; import inve_daemon.server, inve_daemon.private, inve_daemon.calls, inve_daemon.doctor\n"
        "heavy = {'torch', 'cv2', 'OpenImageIO', 'av', 'numpy'} & set(sys.modules)\n"
        "print(heavy); sys.exit(bool(heavy))"
    )
    asked = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True)
    assert asked.returncode == 0, asked.stdout + asked.stderr


def test_presets_are_the_core_s() -> None:
    assert list(cli.PRESETS) == list(PRESETS)


@pytest.mark.parametrize(
    ("frames", "name"),
    [
        ("/p/sh010/plate_v3.%04d.exr", "plate_v3"),
        ("/p/sh010/plate.####.exr", "sh010"),
        ("/p/swan/frames/%05d.jpg", "swan"),
        ("/p/swan/frames", "swan"),
        ("/p/swan.mov", "swan"),
        ("/p/my shot/*.png", "my_shot"),
    ],
)
def test_a_shot_is_named_after_its_frames(frames: str, name: str) -> None:
    assert shot_name(frames) == name


def test_doctor_finds_this_machine_fit(run: Any) -> None:
    findings = json.loads(run("doctor", "--json").stdout)["findings"]
    assert {"inve", "python", "packages", "devices", "backend", "store", "daemon"} <= {
        one["name"] for one in findings
    }

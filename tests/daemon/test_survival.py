"""What must survive: kill -9, SIGTERM while training, a full disk."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_fakes import LONG
from daemon_support import (
    FAKE_CLI,
    Clip,
    Daemon,
    environment,
    open_and_train,
    sketch,
    stroke,
    texture,
    until,
    write_picture,
)

from inve_client import Client, errors


def test_kill_while_clients_edit_loses_nothing_acknowledged(daemon: Daemon, clip: Clip) -> None:
    client = daemon.start()
    client.open_shot("shot", clip.frames)
    for round_number in range(3):
        acknowledged: list[int] = []

        def paint(acknowledged: list[int] = acknowledged) -> None:
            with Client(daemon.endpoint) as painter, contextlib.suppress(errors.InveError):
                while True:
                    fields = {"layers": [{"name": "paint", "kind": "sketch"}]}
                    base = painter.ask("describe_shot", shot="shot", timeout_s=2.0)["revision"]
                    answer = painter.ask(
                        "patch_edits",
                        shot="shot",
                        base_revision=base,
                        edits=[{"layer": "paint", "edit": stroke()}],
                        timeout_s=2.0,
                        **fields,
                    )
                    acknowledged.append(answer["ids"][0])

        painter = threading.Thread(target=paint)
        painter.start()
        wanted = 20 + 7 * round_number
        until(lambda wanted=wanted, acknowledged=acknowledged: len(acknowledged) >= wanted)
        assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
        painter.join(30)
        client = daemon.start()
        stack = client.describe_shot("shot", with_edits=True)["stack"]
        kept = [edit["id"] for layer in stack["layers"] for edit in layer["edits"]]
        assert set(acknowledged) <= set(kept)
        assert len(kept) == len(set(kept))


def test_a_restarted_daemon_answers_an_old_request_id(daemon: Daemon, clip: Clip, tmp_path: Path) -> None:
    logo = tmp_path / "logo.png"
    write_picture(logo, 4, 4)
    client = daemon.start()
    open_and_train(client, clip)
    stack = {"layers": [{"name": "sign", "kind": "texture", "edits": [texture(str(logo))]}]}
    answer = client.put_edits("shot", stack, request_id="put")
    session = client.session
    daemon.end()
    logo.unlink()
    client = daemon.start()
    assert client.put_edits("shot", stack, request_id="put") == answer
    assert client.session != session
    assert client.render("shot", [1001])[0].touched == 1


def test_the_undo_history_and_its_textures_survive(daemon: Daemon, clip: Clip, tmp_path: Path) -> None:
    client = daemon.start()
    open_and_train(client, clip)
    for number in range(2):
        write_picture(tmp_path / f"{number}.png", 4, 4, value=10 + number)
        sign = {"name": "s", "kind": "texture", "edits": [texture(str(tmp_path / f"{number}.png"))]}
        client.put_edits("shot", {"layers": [sign]})
        (tmp_path / f"{number}.png").unlink()
    states = [client.describe_shot("shot", with_edits=True)]
    client.put_edits("shot", sketch())
    # Back to the first texture: the second is then named by a state to be redone alone.
    for _ in range(2):
        client.undo("shot")
        states.append(client.describe_shot("shot", with_edits=True))
    second, _, first = (state["stack"] for state in states)
    revision = states[-1]["revision"]
    for number in (signal.SIGKILL, signal.SIGTERM):
        daemon.end(number)
        client = daemon.start()
        described = client.describe_shot("shot", with_edits=True)
        assert (described["revision"], described["stack"]) == (revision, first)
    assert client.render("shot", [1001])[0].touched == 1
    client.redo("shot")
    assert client.describe_shot("shot", with_edits=True)["stack"] == second
    assert client.render("shot", [1001])[0].touched == 1
    client.redo("shot")
    with pytest.raises(errors.NothingToUndo):
        client.redo("shot")
    for _ in range(3):
        client.undo("shot")
    assert client.describe_shot("shot", with_edits=True)["stack"]["layers"] == []
    with pytest.raises(errors.NothingToUndo):
        client.undo("shot")


def test_a_killed_training_goes_on_from_its_checkpoint(daemon: Daemon, clip: Clip) -> None:
    client = daemon.start()
    client.open_shot("shot", clip.frames)
    job = client.train("shot", seed=LONG)
    until(lambda: client.describe_shot("shot")["trained"])
    worker = client.status()["worker"]["pid"]
    daemon.end()
    until(lambda: not _alive(worker))
    client = daemon.start()
    assert client.describe_job(job)["state"] in {"queued", "running"}
    reached = until(
        lambda: client.describe_job(job)["progress"]["iteration"] > 5 and client.describe_job(job)
    )
    assert reached["progress"]["stage"] == "learning"
    client.cancel(job)
    with pytest.raises(errors.Cancelled):
        client.wait_job(job, timeout_s=20)


def test_the_first_preview_is_soon_light_and_honest_and_survives_a_kill(daemon: Daemon, clip: Clip) -> None:
    client = daemon.start()
    client.open_shot("shot", clip.frames)
    job = client.train("shot", seed=LONG)
    shot = until(lambda: client.describe_shot("shot")["trained"] and client.describe_shot("shot"))
    assert shot["final"] is False
    assert shot["report"]["iterations"] > 0
    assert shot["report"]["psnr_db"] == 30.0
    assert shot["report"]["flow_error_px"] is None
    assert client.render("shot", [1001])[0].frame == 1001
    daemon.end(signal.SIGKILL)
    client = daemon.start()
    again = client.describe_shot("shot")
    assert again["trained"]
    assert again["report"]["iterations"] >= shot["report"]["iterations"]
    assert client.render("shot", [1001])[0].frame == 1001
    reached = until(lambda: client.describe_job(job)["progress"]["iteration"])
    assert reached > shot["report"]["iterations"]
    client.cancel(job)
    with pytest.raises(errors.Cancelled):
        client.wait_job(job, timeout_s=20)


def _alive(pid: int) -> bool:
    # A zombie of the killed daemon has ended too, although its number is still taken.
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_sigterm_while_training_saves_and_ends_cleanly(daemon: Daemon, clip: Clip) -> None:
    client = daemon.start()
    client.open_shot("shot", clip.frames)
    job = client.train("shot", seed=LONG)
    until(lambda: client.describe_job(job)["progress"]["iteration"] > 20)
    reached = client.describe_job(job)["progress"]["iteration"]
    assert daemon.end(signal.SIGTERM) == 0
    client = daemon.start()
    first = until(lambda: client.describe_job(job)["progress"]["iteration"])
    assert first > reached - 5, "it went on from where SIGTERM stopped it"
    client.shutdown()
    assert daemon.process is not None
    assert daemon.process.wait(30) == 0


def test_a_stale_socket_is_no_obstacle_and_a_living_one_is(
    daemon: Daemon, clip: Clip, tmp_path: Path
) -> None:
    daemon.start()
    path = Path(daemon.endpoint[len("ipc://") :])
    other = Daemon(path.parent, tmp_path / "other", tmp_path)
    command = [*FAKE_CLI, "serve", "--bind", other.endpoint, "--store", str(other.store)]
    refused = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=30)
    assert refused.returncode == 2
    assert "A daemon listens at" in refused.stderr
    daemon.end()
    assert path.is_socket()
    client = other.start()
    assert other.process is not None
    assert client.status()["pid"] == other.process.pid
    assert other.end(signal.SIGTERM) == 0
    assert not path.exists()


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if sys.platform == "linux"
        else None
    )
    if mounted is None or mounted.returncode != 0:
        pytest.skip(
            f"no small file system can be mounted here: {mounted.stderr.strip() if mounted else sys.platform}"
        )
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_a_typed_error_and_reads_go_on(
    small_disk: Path, sockets: Path, clip: Clip, tmp_path: Path
) -> None:
    daemon = Daemon(sockets, small_disk / "store", tmp_path)
    client = daemon.start()
    open_and_train(client, clip)
    client.put_edits("shot", sketch(stroke(x=1.0)))
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(os.urandom(4096))
    # SQLite reuses room in its log for a while, so it takes some edits to notice.
    revisions: list[int] = []

    def paint() -> None:
        for _ in range(3000):
            answer = client.put_edits("shot", sketch(*(stroke(x=float(n)) for n in range(20))))
            revisions.append(answer["revision"])

    with pytest.raises(errors.StorageError, match="full"):
        paint()
    described = client.describe_shot("shot", with_edits=True)
    assert described["revision"] >= max(revisions, default=0)
    assert client.render("shot", [1001])[0].frame == 1001
    write_picture(tmp_path / "large.png", 400, 400)
    sign = {"name": "s", "kind": "texture", "edits": [texture(str(tmp_path / "large.png"))]}
    with pytest.raises(errors.StorageError):
        client.put_edits("shot", {"layers": [sign]})
    filler.unlink()
    assert client.put_edits("shot", sketch(stroke(x=2.0)))["revision"] > described["revision"]
    daemon.end()
    client = daemon.start()
    stack = client.describe_shot("shot", with_edits=True)["stack"]
    assert stack["layers"][0]["edits"][0]["points"][0][0] == 2.0
    daemon.end()


def test_a_training_whose_result_has_no_room_fails_as_storage(
    small_disk: Path, sockets: Path, clip: Clip, tmp_path: Path
) -> None:
    daemon = Daemon(sockets, small_disk / "store", tmp_path)
    client = daemon.start()
    client.open_shot("shot", clip.frames)
    with open(small_disk / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 512)
    with contextlib.suppress(errors.StorageError):
        job = client.train("shot", seed=5)
        with pytest.raises(errors.StorageError):
            client.wait_job(job, timeout_s=30)
    assert client.describe_shot("shot")["trained"] is False
    (small_disk / "filler").unlink()
    assert client.wait_job(client.train("shot", seed=6), timeout_s=30)["iterations"] == 6
    daemon.end()

"""The store: what is acknowledged stays, twice is once, and nobody else gets in."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from inve_client import errors
from inve_daemon.jobs import Job, JobState
from inve_daemon.store import Store, history
from inve_daemon.store.files import ContentFiles
from inve_daemon.store.filesystem import linux_mounts, network_type

SOURCE = {"frames": [1, 2], "width": 4, "height": 3}


@pytest.fixture
def store(tmp_path: Path) -> Any:
    one = Store(tmp_path / "store")
    yield one
    one.close()


def add_shot(store: Store, name: str = "shot", request: str = "add") -> dict[str, Any]:
    def change(db: sqlite3.Connection) -> dict[str, Any]:
        store.add_shot(db, name, SOURCE, ["background"], ["/plates"])
        return {"revision": store.shot(name).revision}

    return store.answer(request, b"digest", change)[0]


def push(
    store: Store, request: str, stack: bytes, base: int | None = None, textures: set[str] | None = None
) -> int:
    def change(db: sqlite3.Connection) -> dict[str, Any]:
        return {"revision": store.push_stack(db, "shot", base, stack, textures or set())}

    return int(store.answer(request, stack, change)[0]["revision"])


def reopened(store: Store) -> Store:
    store.close()
    return Store(store.folder)


def test_a_reopened_store_has_everything(store: Store) -> None:
    add_shot(store)
    revision = push(store, "one", b"stack one")
    again = reopened(store)
    shot = again.shot("shot")
    assert (shot.source, shot.video_layers, shot.folders, shot.revision) == (
        SOURCE,
        ("background",),
        ("/plates",),
        revision,
    )
    assert again.stack("shot") == b"stack one"
    assert again.replay("one", b"stack one") == {"revision": revision}
    again.close()


def test_an_answered_request_is_not_done_again(store: Store) -> None:
    first = add_shot(store)

    def must_not_run(db: sqlite3.Connection) -> dict[str, Any]:
        raise AssertionError

    assert store.answer("add", b"digest", must_not_run) == (first, False)
    with pytest.raises(errors.RequestIdReused):
        store.answer("add", b"other", must_not_run)


def test_a_change_that_fails_leaves_nothing(store: Store) -> None:
    add_shot(store)

    def change(db: sqlite3.Connection) -> dict[str, Any]:
        store.push_stack(db, "shot", None, b"x", set())
        raise errors.EditError("No.")

    with pytest.raises(errors.EditError):
        store.answer("bad", b"d", change)
    assert store.stack("shot") == b""
    assert store.replay("bad", b"d") is None


def test_revisions_grow_across_a_deleted_shot(store: Store) -> None:
    add_shot(store)
    before = push(store, "one", b"x")
    store.answer("del", b"", lambda db: (store.delete_shot(db, "shot"), {})[1])
    assert store.find_shot("shot") is None
    add_shot(store, request="again")
    assert store.shot("shot").revision > before
    with pytest.raises(errors.StaleRevision):
        push(store, "two", b"y", base=before)


def kept_states(store: Store) -> list[bytes]:
    with contextlib.closing(sqlite3.connect(f"file:{store.folder}/inve.sqlite?mode=ro", uri=True)) as db:
        return [row[0] for row in db.execute("SELECT stack FROM edits ORDER BY position")]


def test_states_are_compressed_when_there_is_time(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    add_shot(store)
    states = [b'{"layers":[]}' + b" " * 100 * number for number in range(4)]
    for number, state in enumerate(states):
        push(store, f"put {number}", state)
    for _ in range(8):
        store.tidy()
    store.close()
    lengths = [len(one) for one in kept_states(store)]
    # The current one stays plain, for the next request to read.
    assert lengths[3] == len(states[3])
    assert max(lengths[1:3]) < 100
    again = Store(store.folder)
    for state in states[2::-1]:
        again.answer(f"undo to {len(state)}", b"", lambda db: {"revision": again.step(db, "shot", None, -1)})
        assert again.stack("shot") == state
    again.close()


def test_a_shot_that_is_gone_is_tidy(store: Store) -> None:
    add_shot(store)
    push(store, "one", b"stack one")
    push(store, "two", b"stack two")
    store.answer("delete", b"", lambda db: store.delete_shot(db, "shot") or {})
    store.tidy()
    store.tidy()
    assert store.shots() == []


def test_a_large_state_does_not_wait(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PLAIN_BYTES", 50)
    add_shot(store)
    push(store, "put", b'{"layers":[]}' + b" " * 1000)
    assert store.stack("shot") == b'{"layers":[]}' + b" " * 1000
    store.close()
    assert len(kept_states(store)[0]) < 100


def test_what_was_rolled_back_is_not_taken_for_what_came_instead(store: Store) -> None:
    add_shot(store)
    push(store, "one", b"stack one")
    push(store, "two", b"stack two")

    def fails(db: sqlite3.Connection) -> dict[str, Any]:
        store.push_stack(db, "shot", None, b"stack three", set())
        raise errors.StorageError("no space")

    with pytest.raises(errors.StorageError):
        store.answer("three", b"", fails)
    store.answer("undo", b"", lambda db: {"revision": store.step(db, "shot", None, -1)})
    assert store.stack("shot") == b"stack one"


def test_history_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_STATES", 3)
    add_shot(store)
    for number in range(6):
        push(store, f"r{number}", b"%d" % number)
    for _ in range(2):
        store.answer(os.urandom(8).hex(), b"", lambda db: {"r": store.step(db, "shot", None, -1)})
    assert store.stack("shot") == b"3"
    with pytest.raises(errors.NothingToUndo):
        store.answer("undo", b"", lambda db: {"r": store.step(db, "shot", None, -1)})
    monkeypatch.setattr(history, "MAX_BYTES", 1)
    push(store, "large", os.urandom(100))
    with pytest.raises(errors.NothingToUndo):
        store.answer("undo", b"", lambda db: {"r": store.step(db, "shot", None, -1)})


def test_jobs_keep_their_state(store: Store) -> None:
    add_shot(store)
    job = Job("a1", "train", "shot", {"seed": 1}, JobState.QUEUED, 1.0)
    store.answer("job", b"", lambda db: (store.jobs.add(db, job), {})[1])
    store.jobs.set_checkpoint(job, "sha256:" + "1" * 64)
    assert store.shot("shot").model == "sha256:" + "1" * 64
    store.jobs.set_state("a1", JobState.FAILED, error={"code": "storage", "message": "Full."})
    again = reopened(store)
    assert again.jobs.get("a1").state is JobState.FAILED
    assert again.jobs.unfinished() == []
    with pytest.raises(errors.UnknownJob):
        again.jobs.get("b2")
    again.close()


def test_a_final_model_is_not_replaced_by_a_checkpoint(store: Store) -> None:
    add_shot(store)
    job = Job("a1", "train", "shot", {}, JobState.RUNNING, 1.0)
    store.answer("job", b"", lambda db: (store.jobs.add(db, job), {})[1])
    assert store.jobs.set_checkpoint(job, "sha256:" + "1" * 64)
    store.jobs.finish_training(job, "sha256:" + "2" * 64, {}, {})
    assert not store.jobs.set_checkpoint(job, "sha256:" + "3" * 64)
    assert store.shot("shot").model == "sha256:" + "2" * 64


def test_a_second_daemon_is_refused_and_told_who_holds_it(store: Store) -> None:
    script = (
        "import sys; from pathlib import Path; from inve_daemon.store import Store\n"
        "from inve_client.errors import StoreError\n"
        "try: Store(Path(sys.argv[1]))\n"
        "except StoreError as error: print(error.message); sys.exit(2)\n"
    )
    import subprocess
    import sys

    from daemon_support import environment

    asked = subprocess.run(
        [sys.executable, "-c", script, str(store.folder)], env=environment(), capture_output=True, text=True
    )
    assert asked.returncode == 2
    assert f"process {os.getpid()}" in asked.stdout
    add_shot(store)


@pytest.mark.parametrize(
    "content", [b"not a database at all, but longer than a header" * 100, "other", "newer"]
)
def test_what_is_no_store_is_refused(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "inve.sqlite"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE theirs (x)")
            if content == "newer":
                db.execute("PRAGMA user_version = 99")
                db.execute(f"PRAGMA application_id = {0x494E5645}")
        db.close()
    before = path.read_bytes()
    with pytest.raises(errors.StoreError, match="newer release" if content == "newer" else "choose another"):
        Store(tmp_path)
    assert path.read_bytes() == before


def test_the_store_is_for_its_owner_alone(store: Store) -> None:
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("kind", "refused"), [("nfs4", True), ("fuse.sshfs", True), ("ext4", False), ("tmpfs", False)]
)
def test_network_file_systems(
    tmp_path: Path, kind: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    where = str(tmp_path / "a folder").replace(" ", "\\040")
    mounts.write_text(
        f"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:5 / {where} rw shared:1 - {kind} server:/x rw\n"
    )
    monkeypatch.setattr("inve_daemon.store.filesystem.linux_mounts", lambda: linux_mounts(mounts))
    folder = tmp_path / "a folder"
    folder.mkdir()
    assert (network_type(folder) == kind) is refused
    assert network_type(tmp_path) is None
    if refused:
        with pytest.raises(errors.StoreError, match="network file system"):
            Store(folder / "store")


# Content-addressed files


@pytest.fixture
def files(tmp_path: Path) -> ContentFiles:
    made = ContentFiles(tmp_path)
    made.create()
    return made


def test_files_are_found_by_content(files: ContentFiles, tmp_path: Path) -> None:
    logo = tmp_path / "Logo.TGA"
    logo.write_bytes(b"pixels")
    address = files.put_file(str(logo), 100)
    assert files.path(address).read_bytes() == b"pixels"
    assert files.path(address).suffix == ".tga"
    assert files.put_file(str(logo), 100) == address
    assert list(files.incoming.iterdir()) == []
    with pytest.raises(errors.TooLarge):
        files.put_file(str(logo), 5)
    assert list(files.incoming.iterdir()) == []


def test_folders_are_found_by_content(files: ContentFiles) -> None:
    addresses = []
    for _ in range(2):
        folder = files.new_folder()
        (folder / "weights").write_bytes(b"w")
        addresses.append(files.adopt_folder(folder))
    assert addresses[0] == addresses[1]
    assert (files.path(addresses[0]) / "weights").read_bytes() == b"w"
    assert list(files.incoming.iterdir()) == []


def test_a_sweep_leaves_what_is_named(files: ContentFiles, tmp_path: Path) -> None:
    kept, dropped = ((tmp_path / name) for name in ("kept.png", "dropped.png"))
    for path in (kept, dropped):
        path.write_bytes(path.name.encode())
    first, second = files.put_file(str(kept), 100), files.put_file(str(dropped), 100)
    assert files.sweep({first}) == 1
    assert files.find(first) is not None
    assert files.find(second) is None
    with pytest.raises(errors.CheckpointError):
        files.path(second)


@pytest.mark.parametrize(
    "address", ["", "sha256:", "sha256:../../etc/passwd", "sha256:" + "A" * 64, "/etc/passwd"]
)
def test_an_address_is_no_path(files: ContentFiles, address: str) -> None:
    assert files.find(address) is None

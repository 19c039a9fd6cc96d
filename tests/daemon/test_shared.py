"""Pictures in shared memory: who may put them where, who takes them, and what becomes of the rest."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon_support import Clip, open_and_train, until

from inve_client import Client, errors, sharing
from inve_daemon import shared
from inve_daemon.shared import SharedPictures
from inve_daemon.worker import rendering

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /dev/shm")

MEMORY = Path(sharing.MEMORY)


def died(pictures: SharedPictures) -> None:
    """As when its process is killed: the lock goes, the folder stays."""
    assert pictures._lock is not None
    os.close(pictures._lock)
    pictures._lock = None


def test_a_folder_of_one_s_own_cleared_of_what_a_killed_daemon_left(tmp_path: Path) -> None:
    pictures = SharedPictures(tmp_path / "store", tmp_path)
    folder = Path(pictures.folder() or "")
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "left.exr").write_bytes(b"x")
    other = SharedPictures(tmp_path / "other", tmp_path)
    assert other.folder() != str(folder)
    # It is in use, and so it is left alone.
    assert (folder / "left.exr").exists()
    died(pictures)
    again = SharedPictures(tmp_path / "store", tmp_path)
    assert again.folder() == str(folder)
    assert list(folder.iterdir()) == []
    died(again)
    third = SharedPictures(tmp_path / "third", tmp_path)
    assert not folder.exists()
    for one in (other, third):
        one.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_others_can_look_into_is_not_used(tmp_path: Path) -> None:
    pictures = SharedPictures(tmp_path / "store", tmp_path)
    folder = Path(pictures.folder() or "")
    died(pictures)
    folder.chmod(0o755)
    assert SharedPictures(tmp_path / "store", tmp_path).folder() is None
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    assert SharedPictures(tmp_path / "store", tmp_path).folder() is None
    assert (tmp_path / "elsewhere").exists()
    assert SharedPictures(tmp_path / "store", tmp_path / "nowhere").folder() is None


def test_what_nobody_fetches_goes_and_too_much_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = SharedPictures(tmp_path / "store", tmp_path)
    folder = Path(pictures.folder() or "")
    paths = [folder / name for name in ("a.exr", "b.exr")]
    for path in paths:
        path.write_bytes(b"x" * 10)
    pictures.gave([str(path) for path in paths], [10, 10])
    pictures.tick()
    assert all(path.exists() for path in paths)
    monkeypatch.setattr(shared, "MAX_WAITING_BYTES", 15)
    assert pictures.folder() is None
    paths[0].unlink()
    pictures.tick()
    assert pictures.folder() == str(folder)
    monkeypatch.setattr(shared.time, "monotonic", lambda: 1e12)
    pictures.tick()
    assert not paths[1].exists()


def test_what_a_dead_worker_left_goes(tmp_path: Path) -> None:
    pictures = SharedPictures(tmp_path / "store", tmp_path)
    folder = Path(pictures.folder() or "")
    old, fresh, waiting = (folder / name for name in ("old.exr", ".new.exr", "waiting.exr"))
    for path in (old, fresh, waiting):
        path.write_bytes(b"x")
    long_ago = time.time() - 10 * shared.KEEP_S
    for path in (old, waiting):
        os.utime(path, (long_ago, long_ago))
    pictures.gave([str(waiting)], [1])
    pictures.tick()
    assert sorted(path.name for path in folder.iterdir()) == [".new.exr", "waiting.exr"]
    pictures.close()


def test_only_a_daemon_s_pictures_are_taken(tmp_path: Path) -> None:
    other = tmp_path / "a.exr"
    other.write_bytes(b"x")
    for path in (str(other), f"{MEMORY}/a.exr", f"{MEMORY}/inve-1/../a.exr", f"{MEMORY}/inve-1/a.txt"):
        with pytest.raises(errors.BadMessage):
            sharing.fetch(path)
    assert other.exists()
    with pytest.raises(OSError, match="inve-nobody"):
        sharing.fetch(f"{MEMORY}/inve-nobody/a.exr")


def shared_files() -> set[Path]:
    return set(MEMORY.glob(f"inve-{os.getuid()}-*/*.exr"))


def test_inline_pictures_are_the_same_on_every_way(client: Client, clip: Clip) -> None:
    open_and_train(client, clip)
    before = shared_files()
    (in_memory,) = client.render("shot", [1002])
    assert isinstance(in_memory.exr, memoryview)
    assert shared_files() == before
    (by_socket,) = client.render("shot", [1002], shared=False)
    assert isinstance(by_socket.exr, bytes)
    assert in_memory.exr == by_socket.exr
    (small,) = client.render("shot", [1002], compression="zip")
    assert len(small.exr) < len(in_memory.exr)
    with pytest.raises(errors.BadField, match="shared"):
        client.ask("render", shot="shot", frames=[1002], shared=True, out=str(clip.folder / "f.%04d.exr"))


def test_another_shared_memory_is_noticed(
    client: Client, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_and_train(client, clip)
    asked = []

    def fetch(path: str) -> memoryview:
        asked.append(path)
        raise FileNotFoundError(path)

    monkeypatch.setattr(sharing, "fetch", fetch)
    for _ in range(2):
        frames = client.render("shot", [1001, 1002])
        assert [(one.frame, type(one.exr)) for one in frames] == [(1001, bytes), (1002, bytes)]
    assert len(asked) == 1


def test_a_full_memory_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Core:
        def write_exr(self, path: Path, *_: object, **__: object) -> None:
            if len(list(tmp_path.iterdir())) == 1:
                raise errors.StorageError("full")
            path.write_bytes(b"shared")

        def exr_bytes(self, *_: object) -> bytes:
            return b"by socket"

    class Frame:
        picture, parts, touched = None, (), 3

    args = {"frames": [1, 2, 3], "bits": None, "compression": "none", "shared": str(tmp_path)}
    steps = rendering.render_inline(Core(), lambda frame: Frame(), args)  # type: ignore[arg-type]
    result = run_to_end(steps)
    assert ["path" in one for one in result["frames"]] == [True, False, False]
    assert result["pictures"] == [b"by socket", b"by socket"]
    # What does not fit into an answer leaves nothing behind.
    for left in tmp_path.iterdir():
        left.unlink()
    monkeypatch.setattr(rendering, "MAX_INLINE_BYTES", 10)
    with pytest.raises(errors.TooLarge):
        run_to_end(rendering.render_inline(Core(), lambda frame: Frame(), args))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def run_to_end(steps: rendering.Steps) -> dict[str, object]:
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            return dict(ended.value)


def test_a_daemon_that_ends_leaves_nothing(served: Callable[..., Client], clip: Clip) -> None:
    before = set(MEMORY.iterdir())
    client = served(store="ends")
    made = set(MEMORY.iterdir()) - before
    assert len(made) == 1
    client.shutdown()
    until(lambda: not next(iter(made)).exists())

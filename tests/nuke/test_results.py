"""Edited frames under a Read's pattern: versions, what stands in for what, what is removed or in use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inve_client.plugin.messages import RefusedError
from inve_client.plugin.rendering import Run
from inve_client.plugin.result_files import RenderedFile
from inve_nuke import results as results_module
from inve_nuke.result_versions import Result
from inve_nuke.results import Results


class LocalSession:
    """Runs what is to be run on the I/O thread when it is told to, as an answer comes later."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.is_open = True
        self.problems: list[Any] = []

    def ask(self, request: Any, done: Any = None, failed: Any = None) -> str:
        if not self.is_open:
            raise RefusedError("The plugin is not connected; press Connect.", "unreachable")

        def answer() -> None:
            told = request.read(None)
            if done is not None:
                done(told)

        self.waiting.append(answer)
        return ""

    def fail(self, problem: Any) -> None:
        self.problems.append(problem)

    def answer(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()


class Bench:
    """A node whose frames arrive."""

    def __init__(self, folder: Path) -> None:
        self.session = LocalSession()
        self.told: list[tuple[str, Result, frozenset[int]]] = []
        self.results = Results(self.session, lambda *told: self.told.append(told))  # type: ignore[arg-type]
        self.run = Run("plate", str(folder), (1001, 1002, 1003), 1001)
        self.folder = folder

    def arrive(self, frame: int, content: str, revision: int) -> None:
        name = f"plate.r{revision}-{len(os.listdir(self.folder)):010d}.{frame:04d}.exr"
        (self.folder / name).write_text(content)
        file = RenderedFile(frame, revision, str(self.folder), name, 1, len(content), False)
        self.run.files[frame] = file
        self.run.revision = max(self.run.revision, revision)
        if self.run.news is not None:
            self.run.news.add(frame)

    def show(self, key: str = "a") -> Result:
        assert self.results.show(key, self.run)
        self.session.answer()
        shown = self.results.of(key)
        assert shown is not None
        return shown

    def frames(self, result: Result) -> dict[int, str]:
        paths = {frame: Path(result.pattern % frame) for frame in range(result.first, result.last + 1)}
        return {frame: path.read_text() for frame, path in paths.items() if path.exists()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_frames_come_one_by_one_under_one_pattern(bench: Bench) -> None:
    bench.arrive(1001, "one", 1)
    first = bench.show()
    assert first.pattern == f"{bench.folder}/plate.v0001.%04d.exr"
    assert (first.first, first.last, first.revision) == (1001, 1003, 1)
    assert bench.frames(first) == {1001: "one"}
    bench.arrive(1003, "three", 1)
    assert bench.show() == first
    assert bench.frames(first) == {1001: "one", 1003: "three"}
    assert bench.told == [("a", first, {1001}), ("a", first, {1001, 1003})]


def test_other_edits_are_another_version_in_which_old_frames_stand_in(bench: Bench) -> None:
    for frame in (1001, 1002):
        bench.arrive(frame, f"{frame} old", 1)
    old = bench.show()
    bench.arrive(1002, "1002 new", 2)
    new = bench.show()
    assert new.version == old.version + 1
    assert bench.frames(new) == {1001: "1001 old", 1002: "1002 new"}
    # Nobody has saved a script that shows it.
    assert bench.frames(old) == {}
    # What was asked for before the edit comes after it: it is on its way to be replaced.
    bench.arrive(1003, "1003 old", 1)
    assert bench.show() == new
    assert bench.frames(new)[1003] == "1003 old"
    bench.arrive(1003, "1003 new", 2)
    assert bench.show() == new
    assert bench.frames(new)[1003] == "1003 new"


def test_frames_of_another_shot_never_stand_in(bench: Bench) -> None:
    for frame in (1001, 1002, 1003):
        bench.arrive(frame, "plate", 1)
    bench.show()
    bench.run = Run("other", str(bench.folder), (1001, 1002, 1003), 1001)
    bench.arrive(1002, "other", 1)
    shown = bench.show()
    assert shown.shot == "other"
    assert bench.frames(shown) == {1002: "other"}
    assert bench.told[-1] == ("a", shown, {1002})


def test_a_sharper_model_takes_the_place_of_what_was_there(bench: Bench) -> None:
    bench.arrive(1001, "rough", 1)
    first = bench.show()
    bench.arrive(1001, "sharp", 1)
    assert bench.show() == first
    assert bench.frames(first) == {1001: "sharp"}
    assert not list(bench.folder.glob("*.part"))


def test_what_a_saved_script_shows_stays(bench: Bench) -> None:
    bench.arrive(1001, "one", 1)
    first = bench.show()
    bench.results.saved()
    bench.arrive(1001, "two", 2)
    second = bench.show()
    bench.arrive(1001, "three", 3)
    third = bench.show()
    assert bench.frames(first) == {1001: "one"}
    assert bench.frames(second) == {}
    assert bench.frames(third) == {1001: "three"}


def test_a_script_that_is_opened_goes_on_from_its_version(bench: Bench) -> None:
    for frame in (1001, 1002, 1003):
        bench.arrive(frame, f"{frame} then", 4)
    saved = bench.show()
    later = Bench(bench.folder)
    later.results.adopt("a", Result.from_map(saved.to_map()))
    later.arrive(1002, "1002 now", 5)
    shown = later.show()
    assert later.frames(shown) == {1001: "1001 then", 1002: "1002 now", 1003: "1003 then"}
    assert later.told == [("a", shown, {1001, 1002, 1003})]
    assert later.frames(saved) == {frame: f"{frame} then" for frame in (1001, 1002, 1003)}


def test_the_same_edits_go_into_the_version_that_a_script_was_opened_with(bench: Bench) -> None:
    for frame in (1001, 1003):
        bench.arrive(frame, f"{frame} then", 4)
    saved = bench.show()
    later = Bench(bench.folder)
    later.results.adopt("a", saved)
    later.arrive(1003, "1003 now", 4)
    assert later.show() == saved
    assert later.frames(saved) == {1001: "1001 then", 1003: "1003 now"}
    assert later.told == [("a", saved, {1001, 1003})]


def test_a_version_that_another_script_has_is_not_written_over(bench: Bench) -> None:
    bench.arrive(1001, "theirs", 1)
    theirs = bench.show()
    other = Bench(bench.folder)
    other.arrive(1001, "ours", 1)
    ours = other.show("b")
    assert ours.version == theirs.version + 1
    assert bench.frames(theirs) == {1001: "theirs"}


def test_a_frame_that_is_in_use_makes_another_version(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.arrive(1001, "rough", 1)
    first = bench.show()
    plain = os.replace

    def in_use(source: str, target: str) -> None:
        if target == first.pattern % 1001:
            raise PermissionError(13, "in use", target)
        plain(source, target)

    monkeypatch.setattr(results_module.os, "replace", in_use)
    bench.arrive(1001, "sharp", 1)
    assert bench.show() == first
    assert bench.run.unshown
    second = bench.show()
    assert second.version == first.version + 1
    assert bench.frames(second) == {1001: "sharp"}


def test_a_file_that_has_gone_is_asked_for_once_more(bench: Bench) -> None:
    for frame in (1001, 1002):
        bench.arrive(frame, f"{frame} old", 1)
    bench.run.fresh = {1001, 1002}
    old = bench.show()
    # Another Nuke with the same script has removed it; then an edit comes, and its first frame.
    os.unlink(bench.folder / bench.run.files[1002].name)
    bench.arrive(1001, "1001 new", 2)
    new = bench.show()
    assert bench.frames(new) == {1001: "1001 new", 1002: "1002 old"}
    assert new.version == old.version + 1
    assert (bench.run.queue, set(bench.run.files), bench.run.fresh) == ([1002], {1001}, {1001})
    assert not bench.run.unshown
    # Which is no reason for another version.
    bench.run.queue.clear()
    bench.arrive(1002, "1002 new", 2)
    assert bench.show() == new
    assert bench.frames(new) == {1001: "1001 new", 1002: "1002 new"}
    assert bench.session.problems == []


def test_frames_that_go_again_and_again_are_a_problem_that_is_told(bench: Bench) -> None:
    for time in range(1, results_module.MOST_TRIES + 1):
        bench.arrive(1001, "one", 1)
        os.unlink(bench.folder / bench.run.files[1001].name)
        assert bench.results.show("a", bench.run)
        bench.session.answer()
        asked, bench.run.queue = bench.run.queue, []
        assert asked == ([1001] if time < results_module.MOST_TRIES else [])
    assert not bench.run.unshown
    assert bench.told == []
    assert os.listdir(bench.folder) == []
    (problem,) = bench.session.problems
    assert "1001 went 3 times" in problem.message
    # Render asks for it anew.
    bench.arrive(1001, "one", 1)
    assert bench.frames(bench.show()) == {1001: "one"}


def test_a_folder_that_takes_nothing_is_a_problem_that_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "not permitted")

    bench.arrive(1001, "one", 1)
    with monkeypatch.context() as patched:
        patched.setattr(results_module.os, "replace", refuse)
        tries = 0
        bench.run.unshown = True
        while bench.run.unshown and tries < 10:
            bench.run.unshown = False
            tries += 1
            assert bench.results.show("a", bench.run)
            bench.session.answer()
    assert tries == results_module.MOST_TRIES
    (problem,) = bench.session.problems
    assert "was not permitted 3 times" in problem.message
    assert bench.frames(bench.show()) == {1001: "one"}


def test_a_disk_without_links_gets_copies(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: Any) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(results_module.os, "link", no_links)
    bench.arrive(1001, "one", 1)
    assert bench.frames(bench.show()) == {1001: "one"}


def test_one_thing_at_a_time_and_nothing_without_a_connection(bench: Bench) -> None:
    bench.arrive(1001, "one", 1)
    assert bench.results.show("a", bench.run)
    bench.arrive(1002, "two", 1)
    assert not bench.results.show("a", bench.run)
    bench.session.answer()
    bench.session.is_open = False
    assert not bench.results.show("a", bench.run)
    bench.session.is_open = True
    assert bench.frames(bench.show()) == {1001: "one", 1002: "two"}


def test_a_read_is_not_told_of_every_single_frame(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(results_module.time, "monotonic", lambda: now[0])
    bench.run.queue = [1002, 1003]
    bench.arrive(1001, "one", 1)
    bench.show()
    bench.run.queue = [1003]
    bench.arrive(1002, "two", 1)
    now[0] += 0.1
    assert not bench.results.show("a", bench.run)
    now[0] += 0.5
    assert sorted(bench.frames(bench.show())) == [1001, 1002]
    # The last one is told of at once.
    bench.run.queue = []
    bench.arrive(1003, "three", 1)
    assert sorted(bench.frames(bench.show())) == [1001, 1002, 1003]
    assert len(bench.told) == 3


def test_a_node_that_is_gone_is_told_nothing(bench: Bench) -> None:
    bench.arrive(1001, "one", 1)
    assert bench.results.show("a", bench.run)
    bench.results.forget("a")
    bench.session.answer()
    assert bench.told == []


@pytest.mark.parametrize(
    ("saved", "sentence"),
    [
        ({"state": 2}, "must have version 1 or older, got 2"),
        ({"state": 1, "folder": "/a"}, "cannot be read (KeyError: 'version')"),
        ({"state": 1, "version": "x", "first": 1, "last": 1, "revision": 1}, "cannot be read (ValueError"),
    ],
)
def test_a_damaged_result_is_refused_in_a_sentence(saved: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        Result.from_map(saved)
    assert sentence in str(refusal.value)

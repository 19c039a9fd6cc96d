"""The daemon's parts on their own: job states, turns, roots, pipe, events, progress."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inve_client import errors
from inve_client.codec import MAX_EVENT_BYTES
from inve_core.errors import DeviceError
from inve_daemon import calls, doctor, pipe, progress
from inve_daemon.events import Publisher
from inve_daemon.jobs import ENDED, TRANSITIONS, Job, JobEvent, JobState, Progress, next_state
from inve_daemon.roots import Roots, output_root, own_roots
from inve_daemon.worker import process
from inve_daemon.worker.core import InveCore
from inve_daemon.worker.process import Worker
from inve_daemon.worker.scheduler import Scheduler, Task
from inve_daemon.worker.tasks import TrainingPace, finite

# Jobs


def test_a_job_that_has_ended_stays_so() -> None:
    for state, event in itertools.product(ENDED, JobEvent):
        assert next_state(state, event) is None


def test_every_state_is_reached_and_every_job_can_end() -> None:
    reached = {JobState.QUEUED}
    for _ in JobState:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    assert reached == set(JobState)
    for state in set(JobState) - ENDED:
        assert {after for (before, _), after in TRANSITIONS.items() if before is state} & ENDED


def test_the_specification_s_table_is_this_one() -> None:
    import inve_client

    text = (Path(inve_client.__file__).parent / "SPEC.md").read_text(encoding="utf-8")
    for state in set(JobState) - ENDED:
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {state.value} |")]
        told = dict(cell.split(": ") for cell in row.split("|")[2].strip().split(" · "))
        assert told == {
            event.value: after.value for (before, event), after in TRANSITIONS.items() if before is state
        }


# The scheduler


class Orders:
    """Stands for the daemon's orders and for what is told to it."""

    def __init__(self) -> None:
        self.scheduler = Scheduler(self.receive, self.failed)
        self.told: list[dict[str, Any]] = []
        self.errors: dict[int, BaseException] = {}
        self.at_receive: list[Any] = []
        self.log: list[str] = []

    def receive(self, wait: bool) -> None:
        assert not wait or self.at_receive, "it would wait for ever"
        if self.at_receive:
            self.at_receive.pop(0)()

    def failed(self, task: Task, error: BaseException) -> None:
        self.errors[task.number] = error

    def task(self, number: int, steps: int, *, long: bool = False, name: str = "") -> Task:
        task = Task(number, self.told.append, long)
        self.scheduler.add(task, self.body(name or str(number), steps))
        return task

    def body(self, name: str, steps: int) -> Generator[None, None, dict[str, Any]]:
        for step in range(steps):
            self.log.append(f"{name}{step}")
            yield
        return {"name": name}

    def stop(self) -> None:
        self.scheduler.stopping = True


def test_short_tasks_run_between_the_steps_of_long_ones() -> None:
    orders = Orders()
    orders.task(1, 3, long=True, name="L")
    orders.at_receive = [
        lambda: None,
        lambda: orders.task(2, 2, name="s"),
        *[lambda: None] * 4,
        orders.stop,
    ]
    orders.scheduler.run()
    assert [entry for entry in orders.log if entry[0] == "L"] == ["L0", "L1", "L2"]
    assert orders.log.index("s1") < orders.log.index("L2")
    assert {one["task"]: one["event"] for one in orders.told} == {1: "done", 2: "done"}


def test_two_long_tasks_take_turns() -> None:
    orders = Orders()
    orders.task(1, 2, long=True, name="a")
    orders.task(2, 2, long=True, name="b")
    orders.at_receive = [*[lambda: None] * 3, orders.stop]
    orders.scheduler.run()
    assert orders.log == ["a0", "b0", "a1", "b1"]


def test_a_cancelled_task_ends_at_its_next_yield() -> None:
    orders = Orders()
    task = orders.task(1, 100, long=True, name="a")
    orders.at_receive = [lambda: None, lambda: None, lambda: orders.scheduler.cancel(1), orders.stop]
    orders.scheduler.run()
    assert isinstance(orders.errors[task.number], errors.Cancelled)
    assert len(orders.log) < 5


def test_a_long_call_gives_short_tasks_their_turn() -> None:
    orders = Orders()

    def body(task: Task) -> Generator[None, None, dict[str, Any]]:
        orders.log.append("before")
        orders.scheduler.breathe(task)
        orders.log.append("after")
        yield
        task.cancelled = True
        with pytest.raises(errors.Cancelled):
            orders.scheduler.breathe(task)
        task.cancelled = False
        orders.stop()
        with pytest.raises(errors.Interrupted):
            orders.scheduler.breathe(task)
        return {}

    task = Task(1, orders.told.append, long=True)
    orders.scheduler.add(task, body(task))
    orders.at_receive = [lambda: None, lambda: orders.task(2, 2, name="s")]
    orders.scheduler.run()
    assert orders.log == ["before", "s0", "s1", "after"]
    assert not orders.errors


def test_one_task_s_error_leaves_the_others_alone() -> None:
    orders = Orders()

    def bad() -> Generator[None, None, dict[str, Any]]:
        yield
        raise ValueError("bad")

    orders.scheduler.add(Task(1, orders.told.append, long=False), bad())
    orders.task(2, 3, name="s")
    orders.at_receive = [orders.stop]
    orders.scheduler.run()
    assert isinstance(orders.errors[1], ValueError)
    assert orders.told == [{"task": 2, "event": "done", "result": {"name": "s"}}]


def test_progress_is_coalesced_but_a_new_stage_is_told_at_once() -> None:
    told: list[dict[str, Any]] = []
    task = Task(1, told.append, long=True)
    for number in range(1000):
        task.report("learning", iteration=number)
    task.report("inverse", iteration=0)
    assert len(told) < 20
    assert [told[0]["stage"], told[-1]["stage"]] == ["learning", "inverse"]


# Roots


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("in/shot", "in/shot two", "out"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "in/shot/a.0001.exr").write_bytes(b"x")
    (tmp_path / "out/secret.exr").write_bytes(b"x")
    (tmp_path / "in/door").symlink_to(tmp_path / "out")
    (tmp_path / "in/link.exr").symlink_to(tmp_path / "out/secret.exr")
    return tmp_path


@pytest.mark.parametrize(
    "path", ["in", "in/shot", "in/shot/a.0001.exr", "in/new/one.exr", "in/shot two/../shot/a.0001.exr"]
)
def test_paths_under_a_root(tree: Path, path: str) -> None:
    assert (
        Roots.resolve([str(tree / "in")])
        .admit(str(tree / path), "x")
        .startswith(os.path.realpath(tree / "in"))
    )


@pytest.mark.parametrize(
    "path",
    [
        "out",
        "out/secret.exr",
        "in/../out/secret.exr",
        "in/door/secret.exr",
        "in/link.exr",
        "in-between",
        "",
        "in/\0",
    ],
)
def test_paths_outside(tree: Path, path: str) -> None:
    with pytest.raises(errors.PathRefused):
        Roots.resolve([str(tree / "in")]).admit(str(tree / path), "x")


@given(st.lists(st.sampled_from(["..", ".", "in", "out", "door", "shot", "link.exr", "a", ""]), max_size=8))
def test_no_path_leads_outside(parts: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        base = Path(os.path.realpath(folder))
        (base / "in").mkdir()
        (base / "out").mkdir()
        (base / "in/door").symlink_to(base / "out")
        roots = Roots.resolve([str(base / "in")])
        path = os.path.join(str(base / "in"), *parts)
        try:
            real = roots.admit(path, "x")
        except errors.PathRefused:
            return
        assert real == os.path.realpath(path)
        assert Path(real).is_relative_to(base / "in")


@pytest.mark.parametrize("pattern", ["in/shot/a.%04d.exr", "in/shot/a.####.exr", "in/*/a.*.exr", "in/shot"])
def test_patterns_under_a_root(tree: Path, pattern: str) -> None:
    admitted = Roots.resolve([str(tree / "in")]).admit_pattern(str(tree / pattern), "x")
    assert admitted == str(Path(os.path.realpath(tree)) / pattern)


@pytest.mark.parametrize(
    "pattern", ["in/door/a.%04d.exr", "in/*/../../out/*.exr", "out/*.exr", "*/secret.exr"]
)
def test_patterns_outside(tree: Path, pattern: str) -> None:
    with pytest.raises(errors.PathRefused):
        Roots.resolve([str(tree / "in")]).admit_pattern(str(tree / pattern), "x")
    with pytest.raises(errors.PathRefused):
        Roots.resolve([str(tree / "in")]).admit_pattern(pattern, "x")


def test_only_ordinary_files_are_files(tree: Path) -> None:
    roots = Roots.resolve([str(tree / "in"), "/dev"])
    roots.admit_file(str(tree / "in/shot/a.0001.exr"), "x")
    os.mkfifo(tree / "in/pipe.exr")
    for path in (tree / "in/pipe.exr", tree / "in/shot", tree / "in/missing.exr", Path("/dev/zero")):
        with pytest.raises(errors.PathRefused):
            roots.admit_file(str(path), "x")


def test_without_roots_nothing_is_allowed(tree: Path) -> None:
    with pytest.raises(errors.PathRefused, match=r"none.*--root"):
        Roots.resolve([]).admit(str(tree / "in"), "the frames")


def test_the_roots_of_one_s_own_command_line(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert own_roots(["in/shot/a.%04d.exr"]) == (str(tree / "in/shot"),)
    # Links in the folder lead to where the pictures really are.
    assert set(own_roots(["in"])) == {
        str(tree / "in"),
        os.path.realpath(tree),
        os.path.realpath(tree / "out"),
    }
    assert output_root("new/f.%04d.exr") == str(tree / "new")
    assert output_root("new/folder") == str(tree / "new/folder")


# Pipe, events, progress


def test_pipe_messages_come_whole_or_not_at_all() -> None:
    stream = io.BytesIO()
    messages = [{"op": "a", "data": b"\0" * 1000}, {"op": "b"}]
    for message in messages:
        pipe.write_message(stream, message)
    whole = stream.getvalue()
    reader = io.BytesIO(whole)
    assert [pipe.read_message(reader), pipe.read_message(reader), pipe.read_message(reader)] == [
        *messages,
        None,
    ]
    for length in range(len(whole) - 10, len(whole)):
        cut = io.BytesIO(whole[:length])
        pipe.read_message(cut)
        assert pipe.read_message(cut) is None
    with pytest.raises(ValueError, match="1073741824"):
        pipe.read_message(io.BytesIO(b"\xff\xff\xff\xff"))
    with pytest.raises(ValueError, match="map"):
        pipe.read_message(io.BytesIO(b"\0\0\0\1\x90"))


def test_an_event_stays_small_whatever_a_job_says() -> None:
    sent: list[list[bytes]] = []
    publisher = Publisher("s", sent.append)
    job = Job("j", "train", "a" * 64, {}, JobState.FAILED, 1.0, error={"code": "x", "message": "y" * 100_000})
    many = Progress(losses={f"loss {n}": 1.0 for n in range(1000)}, warnings=["w" * 10_000] * 100)
    publisher.job(job, many)
    publisher.shot("a", "edits", 3)
    assert all(len(frames[1]) <= MAX_EVENT_BYTES for frames in sent)
    assert [msgspec.msgpack.decode(frames[1])["seq"] for frames in sent] == [1, 2]


def test_plain_lines_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    line = progress.ProgressLine(stream)
    facts = {
        "iteration": 5,
        "iterations": 10,
        "iterations_per_s": 2.0,
        "seconds_left": 70.0,
        "losses": {"psnr_db": 30.5},
    }
    for stage in ("learning", "learning", "inverse"):
        line({"progress": {"stage": stage, "warnings": ["Slow."], **facts}})
    line.close()
    assert stream.getvalue().splitlines() == [
        "Warning: Slow.",
        "learning  5/10  2.0/s  1 min 10 s left  psnr_db 30.5",
        "inverse  5/10  2.0/s  1 min 10 s left  psnr_db 30.5",
    ]


@pytest.mark.parametrize(("outcome", "verdict"), [("good", ""), ("poor", ", but poorly")])
def test_a_poor_training_does_not_look_done(outcome: str, verdict: str) -> None:
    result = {
        "outcome": outcome,
        "total_s": 12.0,
        "iterations": 40,
        "device": "cpu",
        "psnr_db": 20.0,
        "flow_error_px": None,
        "matte_iou": 0.5,
        "warnings": ["the opacity is poor."],
    }
    assert calls.outcome_lines("shot", result) == [
        f"Learned shot in 12 s{verdict}: 40 iterations on cpu, PSNR 20.0 dB, matte IoU 0.500.",
        "Warning: the opacity is poor.",
    ]


def test_one_line_that_changes_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    line = progress.ProgressLine(stream)
    for done in (5, 10):
        line({"progress": {"stage": "learning", "iteration": done, "iterations": 10}})
    line.close()
    assert stream.getvalue().count("\r") == 2
    assert stream.getvalue().endswith("[########################]  10/10\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (190, "3 min 10 s"), (3900, "1 h 05 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text


def test_what_json_does_not_have_is_left_out() -> None:
    value = {"a": float("nan"), "b": [float("inf"), 1.5], "c": ("x", None), "d": b"x"}
    assert finite(value) == {"a": None, "b": [None, 1.5], "c": ["x", None], "d": b"x"}


def test_an_output_folder_that_is_not_there_yet_is_admitted_under_its_own_root(tmp_path):
    folder = tmp_path / "new"
    roots = Roots.resolve([output_root(str(folder))])
    assert roots.admit_pattern(str(folder), "the output") == str(folder)
    with pytest.raises(errors.PathRefused):
        roots.admit_pattern(str(tmp_path / "other"), "the output")


# The backend


@pytest.mark.parametrize(
    ("asked", "state", "words"),
    [
        ("torch", "note", "INVE_BACKEND=torch asks for it"),
        ("abacus", "bad", "INVE_BACKEND must be torch, triton, tinycudann or unset, got 'abacus'"),
    ],
)
def test_doctor_names_the_backend(
    monkeypatch: pytest.MonkeyPatch, asked: str, state: str, words: str
) -> None:
    monkeypatch.setenv("INVE_BACKEND", asked)
    devices, backend = doctor._devices()
    assert devices.name == "devices"
    assert (backend.name, backend.state) == ("backend", state)
    assert words in backend.text
    assert backend.text.startswith("torch on c") == (asked == "torch")


class _Told:
    """Takes what a worker tells its daemon."""

    def __init__(self) -> None:
        self.messages: queue.SimpleQueue[pipe.Message] = queue.SimpleQueue()

    def send(self, message: pipe.Message) -> None:
        self.messages.put(message)


# Of the thread that reads orders: see `start_worker`.
_ends_by_exit = pytest.mark.filterwarnings("ignore:Exception in thread orders")


@pytest.fixture
def start_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[InveCore], tuple[_Told, Any]]]:
    """Runs a worker in a thread; gives what it tells, and the pipe that its orders come by."""
    with contextlib.ExitStack() as ends:

        def start(core: InveCore) -> tuple[_Told, Any]:
            told = _Told()
            coming, orders = (os.fdopen(end, mode) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
            worker = Worker(core, coming, told, TrainingPace())  # type: ignore[arg-type]
            # A worker whose daemon is gone ends its process, which here is that of the tests.
            monkeypatch.setattr(process.os, "_exit", lambda code: sys.exit(code))
            thread = threading.Thread(target=worker.run, daemon=True)
            thread.start()
            pipe.write_message(orders, {"op": "init", "device": "cpu", "store": str(tmp_path)})

            def end() -> None:
                pipe.write_message(orders, {"op": "stop"})
                orders.close()
                for one in [thread, *(one for one in threading.enumerate() if one.name == "orders")]:
                    one.join(20)
                    assert not one.is_alive()

            ends.callback(end)
            return told, orders

        yield start


class _SlowToKnow(InveCore):
    def __init__(self) -> None:
        self.go_on = threading.Event()

    def device(self, name: str) -> tuple[str, str]:
        return name, "a fake"

    def backend(self, device: str) -> tuple[str, list[str]]:
        assert self.go_on.wait(20)
        return "triton", ["a reason"]

    def find_files(self, *args: Any) -> list[str]:
        raise DeviceError("a short task was taken on")


@_ends_by_exit
def test_a_worker_is_ready_before_its_backend_is(start_worker: Any) -> None:
    core = _SlowToKnow()
    told, orders = start_worker(core)
    assert told.messages.get(timeout=20)["event"] == "ready"
    args = {"roots": [], "frames": "x", "mattes": [], "frame_range": None}
    pipe.write_message(orders, {"op": "open_shot", "task": 1, "args": args})
    assert told.messages.get(timeout=20)["event"] == "error", "it works meanwhile"
    core.go_on.set()
    expected = {"event": "backend", "backend": "triton", "passed_over": ["a reason"]}
    assert told.messages.get(timeout=20) == expected


@_ends_by_exit
def test_a_worker_says_why_it_has_no_backend(start_worker: Any) -> None:
    class Broken(_SlowToKnow):
        def backend(self, device: str) -> tuple[str, list[str]]:
            raise DeviceError("INVE_BACKEND must be another one")

    told, _ = start_worker(Broken())
    assert told.messages.get(timeout=20)["event"] == "ready"
    expected = {"event": "backend", "backend": None, "passed_over": ["INVE_BACKEND must be another one"]}
    assert told.messages.get(timeout=20) == expected

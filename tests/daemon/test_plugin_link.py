"""The link and the session against a real daemon, without a host: order, cancel, ends, other requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from daemon_support import Clip, Daemon, until

from inve_client.plugin import link as link_module
from inve_client.plugin import messages, preparation
from inve_client.plugin import session as session_module


@pytest.fixture
def session() -> Iterator[Any]:
    one = session_module.Session()
    yield one
    one.end(3)


@dataclass(frozen=True)
class Render(messages.Request):
    """As a plugin's own will be: written in `read`, and asked again where a picture is not ours."""

    kind: ClassVar[str] = "render"
    shot: str
    frames: tuple[int, ...]
    bits: int | None = 16

    def read(self, reply: Any) -> tuple[int, str]:
        if self.bits == 16:
            raise messages.AskInstead(Render(self.shot, self.frames, None))
        return len(reply.attachments), threading.current_thread().name


@dataclass(frozen=True)
class Wrong(messages.Request):
    kind: ClassVar[str] = "status"
    extra: object = None

    def fields(self) -> dict[str, Any]:
        return {} if self.extra is None else {"extra": self.extra}

    def read(self, reply: Any) -> None:
        raise ZeroDivisionError


def connect(session: Any, daemon: Daemon) -> None:
    session.connect(daemon.endpoint)
    assert session.pump_until(lambda: session.is_connected, 20), session.connection


def test_an_answer_may_turn_into_another_question(session: Any, daemon: Daemon, clip: Clip) -> None:
    with daemon.start() as client:
        client.open_shot("one", clip.frames, [clip.mattes])
        client.wait_job(client.train("one", seed=3))
    connect(session, daemon)
    answers: list[Any] = []
    problems: list[Any] = []
    for frame in (1001, 1003):
        session.ask(Render("one", (frame,)), answers.append, problems.append)
    assert session.pump_until(lambda: len(answers) + len(problems) == 2, 20)
    assert problems == []
    # Read on the I/O thread, given on this one.
    assert answers == [(1, "inve link")] * 2


def test_what_cannot_be_asked_or_read_fails_alone(session: Any, daemon: Daemon, caplog: Any) -> None:
    daemon.start().close()
    connect(session, daemon)
    problems: list[Any] = []
    for request in (Wrong(), Wrong(object()), Wrong("a field that status has not")):
        session.ask(request, failed=problems.append)
    assert session.pump_until(lambda: len(problems) == 3, 20), problems
    assert {problem.code for problem in problems} == {"plugin", "bad_field"}
    assert any("ZeroDivisionError" in problem.message for problem in problems)
    assert "a mistake in status" in caplog.text
    assert session.is_connected


def test_a_callback_that_fails_does_not_stop_the_pump(session: Any, daemon: Daemon, caplog: Any) -> None:
    daemon.start().close()
    connect(session, daemon)
    assert session.pump_until(lambda: session.waiting == 0, 10)
    session.ask(messages.ListShots(), done=lambda shots: shots.nothing)
    answers: list[Any] = []
    session.ask(messages.ListShots(), done=answers.append)
    assert session.pump_until(lambda: answers, 10)
    assert "AttributeError" in session.problem.message
    assert "Traceback" in caplog.text


def test_requests_arrive_in_order_and_control_goes_by(session: Any, daemon: Daemon, clip: Clip) -> None:
    with daemon.start() as client:
        client.open_shot("one", clip.frames, [clip.mattes])
        client.wait_job(client.train("one", seed=3))
    connect(session, daemon)
    order: list[Any] = []
    for number in range(40):
        session.ask(Render("one", (1001, 1002, 1003, 1004)), lambda _, number=number: order.append(number))
    session.ask(messages.DescribeShot("one"), lambda _: order.append("control"))
    assert session.pump_until(lambda: len(order) == 41, 60), order
    assert [one for one in order if one != "control"] == list(range(40))
    # Forty renderings of four frames take seconds; the description waited for none of them.
    assert order.index("control") < 10, order


def test_news_of_others_reach_listeners(session: Any, daemon: Daemon, clip: Clip) -> None:
    news: list[Any] = []
    session.listeners.append(news.append)
    with daemon.start() as client:
        connect(session, daemon)
        client.open_shot("one", clip.frames)
        job = client.train("one", seed=40)
        assert session.pump_until(lambda: "one" in session.shots and session.shots["one"].final, 30)
        revision = client.put_edits("one", {"layers": [{"name": "a", "kind": "sketch"}]})["revision"]
        assert session.pump_until(lambda: session.shots["one"].revision == revision, 20)
    assert session.job_of("one").id == job
    assert session.pump_until(lambda: session.jobs[job].result, 10)
    changes = [one.change for one in news if isinstance(one, messages.ShotNews)]
    assert "opened" in changes
    assert "edits" in changes


def test_nothing_is_called_after_the_end(session: Any, daemon: Daemon) -> None:
    daemon.start().close()
    connect(session, daemon)
    answers: list[Any] = []
    for _ in range(20):
        session.ask(messages.ListJobs(), answers.append, answers.append)
    session.disconnect()
    time.sleep(0.2)
    assert not session.pump()
    assert answers == []
    with pytest.raises(messages.RefusedError, match="press Connect"):
        session.ask(messages.ListJobs())


@pytest.mark.parametrize(
    ("endpoint", "code", "sentence"),
    [
        ("tcp://10.0.0.1:47310", "bad_endpoint", "neither ipc nor loopback"),
        ("somewhere", "bad_endpoint", "must look like"),
        ("tcp://127.0.0.1:5560", "bad_endpoint", "Nuke"),
    ],
)
def test_a_wrong_endpoint_is_refused_in_a_sentence(
    session: Any, endpoint: str, code: str, sentence: str
) -> None:
    session.connect(endpoint)
    failed: list[Any] = []
    session.ask(messages.ListJobs(), failed=failed.append)
    assert session.pump_until(lambda: session.problem is not None and failed, 10)
    assert session.connection.state is messages.ConnectionState.REFUSED
    assert (session.problem.code, failed[0].code) == (code, code)
    assert sentence in session.problem.message
    assert session_module.advice(session.problem)


def test_threads_end_at_once_while_nobody_answers() -> None:
    ends = []
    for _ in range(5):
        link = link_module.Link("ipc:///nowhere/at/all.sock", lambda news: None)
        link.ask(messages.ListJobs())
        time.sleep(0.1)
        began = time.monotonic()
        assert link.close(timeout_s=3)
        ends.append(time.monotonic() - began)
    assert max(ends) < 1.0, ends
    until(lambda: not [one for one in threading.enumerate() if one.name == "inve link"])


def test_a_preparation_that_is_cancelled_early_never_learns(
    session: Any, daemon: Daemon, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.start().close()
    connect(session, daemon)
    asked: list[str] = []
    plain: Callable[..., str] = session.ask

    def ask(request: Any, *rest: Any, **more: Any) -> str:
        asked.append(request.kind)
        return plain(request, *rest, **more)

    monkeypatch.setattr(session, "ask", ask)
    preparation.prepare(session, messages.OpenShot("one", clip.frames), messages.Train("one"))
    assert preparation.cancel(session, "one")
    assert not preparation.cancel(session, "one")
    assert session.pump_until(lambda: "one" in session.shots and session.waiting == 0, 20)
    assert asked == ["open_shot"]
    preparation.prepare(session, messages.OpenShot("two", "/etc/a.%04d.png"), messages.Train("two"))
    assert session.pump_until(lambda: session.problem is not None, 20)
    assert session.problem.code == "path_refused"
    assert session.opening == set()

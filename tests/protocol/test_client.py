"""The client over a made-up socket: sent again until answered, news followed, gaps noticed."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from protocol_fakes import ENDPOINT, FakeEvents, FakeSocket, answering, client_of, reply

from inve_client import connection, errors, watching
from inve_client.codec import PREAMBLE
from inve_client.errors import BY_CODE, from_wire
from inve_client.watching import EventStream, follow_job
from inve_core import errors as core_errors
from inve_daemon.mapping import to_client_error


def test_an_error_of_the_daemon_is_raised_as_its_class() -> None:
    for code, kind in BY_CODE.items():
        socket = FakeSocket(
            lambda body, _, code=code: [reply(body["id"], error={"code": code, "message": "No."})]
        )
        with pytest.raises(kind, match=r"No\."):
            client_of(socket).status()


def test_codes_are_unique_and_survive_the_wire() -> None:
    assert len({kind.code for kind in BY_CODE.values()}) == len(BY_CODE)
    for code, kind in BY_CODE.items():
        again = from_wire(kind("Why.", field="x").to_wire())
        assert (type(again), again.message, again.details) == (kind, "Why.", {"field": "x"})
        branch = kind in (errors.CallError, errors.WorkError)
        assert branch or code in str(errors.__doc__)


def test_exit_codes_are_of_the_two_kinds() -> None:
    for kind in BY_CODE.values():
        assert kind.exit_code == (2 if issubclass(kind, errors.CallError) else 1)


def test_every_error_of_the_core_has_its_class() -> None:
    def tree(root: type[core_errors.CoreError]) -> list[type[core_errors.CoreError]]:
        return [one for child in root.__subclasses__() for one in (child, *tree(child))]

    kinds = tree(core_errors.CoreError)
    assert core_errors.MediaError in kinds
    for kind in kinds:
        mapped = to_client_error(kind("frame 3 is missing; add it."))
        assert mapped.code == kind.code
        assert mapped.message == "Frame 3 is missing; add it."


def test_other_errors_are_mapped_too() -> None:
    assert to_client_error(OSError(28, "No space left on device", "/a")).code == "storage"
    assert to_client_error(MemoryError()).code == "out_of_memory"
    assert to_client_error(KeyError("x")).code == "internal"


def test_a_request_is_sent_again_under_the_same_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "RESEND_S", 0.01)
    tries: list[bytes] = []

    def answer(body: dict[str, Any], frames: list[bytes]) -> list[list[bytes]]:
        tries.append(frames[1])
        return [reply(body["id"], {"pid": 1})] if len(tries) == 3 else []

    assert client_of(FakeSocket(answer)).status() == {"pid": 1}
    assert len(set(tries)) == 1


def test_an_answer_to_something_else_is_not_taken() -> None:
    socket = FakeSocket(lambda body, _: [reply("another", {"pid": 0}), reply(body["id"], {"pid": 1})])
    assert client_of(socket).status() == {"pid": 1}


def test_an_answer_without_an_id_is_taken_when_it_is_an_error() -> None:
    socket = FakeSocket(lambda body, _: [reply("", error={"code": "too_large", "message": "No."})])
    with pytest.raises(errors.TooLarge):
        client_of(socket).status()


def test_nobody_there_and_no_answer_are_different_things() -> None:
    nobody = FakeSocket(lambda body, _: [])
    nobody.connected = False
    with pytest.raises(errors.Unreachable, match="inve-daemon serve"):
        client_of(nobody).status(timeout_s=0.1)
    with pytest.raises(errors.TimedOut, match="did not answer status"):
        client_of(FakeSocket(lambda body, _: [])).status(timeout_s=0.1)


def test_a_real_socket_to_nobody_gives_up_in_time() -> None:
    from inve_client import Client

    with Client(ENDPOINT) as client, pytest.raises(errors.Unreachable):
        client.status(timeout_s=0.3)


def test_a_render_brings_as_many_pictures_as_it_says() -> None:
    result = {"frames": [{"frame": 1, "touched": 4}]}
    good = FakeSocket(lambda body, _: [[*reply(body["id"], result), b"exr"]])
    frames = client_of(good).render("a", [1])
    assert (frames[0].frame, frames[0].exr, frames[0].touched) == (1, b"exr", 4)
    with pytest.raises(errors.BadMessage):
        client_of(answering(result)).render("a", [1])


def test_a_texture_is_what_its_address_says() -> None:
    content = bytes(range(10))
    address = "sha256:" + hashlib.sha256(content).hexdigest()

    def part(body: dict[str, Any], size: int) -> list[list[bytes]]:
        at = body["offset"]
        return [[*reply(body["id"], {"bytes": 10, "suffix": ".png"}), content[at : at + size]]]

    for size in (1, 4, 10):
        got = client_of(FakeSocket(lambda body, _, size=size: part(body, size))).get_texture(address)
        assert (got.content, got.suffix) == (content, ".png")
    # One that ends too soon, one of other content, one without a part.
    short = FakeSocket(lambda body, _: part(body, 4 if body["offset"] == 0 else 0))
    with pytest.raises(errors.BadMessage, match="other content"):
        client_of(short).get_texture(address)
    with pytest.raises(errors.BadMessage, match="other content"):
        client_of(FakeSocket(lambda body, _: part(body, 10))).get_texture("sha256:" + "0" * 64)
    with pytest.raises(errors.BadMessage, match="one attachment"):
        client_of(answering({"bytes": 10, "suffix": ""})).get_texture(address)


# Following a job


def event(seq: int, state: str, session: str = "s", **more: Any) -> dict[str, Any]:
    job = {"id": "j", "state": state, "progress": {"stage": "learning"}, **more}
    return {"kind": "job", "seq": seq, "session": session, "job": job}


class Jobs:
    """Answers `describe` from a list; the last one again and again."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, job: str) -> dict[str, Any]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return {"id": job, **answer}


RUNNING, DONE = {"state": "running"}, {"state": "done", "result": {"psnr_db": 30.0}}


def test_events_tell_of_the_end_sooner_than_asking() -> None:
    stream = EventStream(FakeEvents([event(1, "running"), event(2, "running"), event(3, "done")]))
    jobs, seen = Jobs(RUNNING, DONE), []
    ended = follow_job("j", jobs, stream, lambda job: seen.append(job["state"]), 5.0)
    assert ended["result"] == {"psnr_db": 30.0}
    assert seen == ["running", "running", "running", "done"]
    assert jobs.asked == 2


def test_without_events_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.01)
    ended = follow_job("j", Jobs(RUNNING, RUNNING, DONE), EventStream(FakeEvents([])), None, 5.0)
    assert ended["state"] == "done"


def test_a_gap_makes_it_ask() -> None:
    jobs = Jobs(RUNNING, DONE)
    stream = EventStream(FakeEvents([event(1, "running"), event(9, "running")]))
    follow_job("j", jobs, stream, None, 5.0)
    assert jobs.asked == 3


def test_a_new_session_is_a_gap() -> None:
    stream = EventStream(FakeEvents([event(1, "running"), event(2, "running", session="t")]))
    stream.next(0)
    assert not stream.missed
    stream.next(0)
    assert stream.missed


def test_other_jobs_and_events_are_not_its_own() -> None:
    others = [
        {"kind": "shot", "seq": 1, "session": "s", "shot": "a"},
        event(2, "failed") | {"job": {"id": "k", "state": "failed"}},
        event(3, "done"),
    ]
    assert follow_job("j", Jobs(RUNNING, DONE), EventStream(FakeEvents(others)), None, 5.0)["state"] == "done"


@pytest.mark.parametrize(
    ("state", "code", "kind"),
    [
        ("failed", "storage", errors.StorageError),
        ("cancelled", "cancelled", errors.Cancelled),
        ("interrupted", "interrupted", errors.Interrupted),
    ],
)
def test_a_job_that_failed_raises_its_error(state: str, code: str, kind: type[errors.InveError]) -> None:
    ended = {"state": state, "error": {"code": code, "message": "Why."}}
    with pytest.raises(kind, match=r"Why\."):
        follow_job("j", Jobs(ended), EventStream(FakeEvents([])), None, 5.0)


def test_a_daemon_that_restarts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.01)
    jobs = Jobs(RUNNING, errors.Unreachable("Gone."), errors.Unreachable("Gone."), DONE)
    assert follow_job("j", jobs, EventStream(FakeEvents([])), None, 5.0)["state"] == "done"
    monkeypatch.setattr(watching, "LOST_S", -1.0)
    with pytest.raises(errors.Unreachable):
        follow_job("j", Jobs(errors.Unreachable("Gone.")), EventStream(FakeEvents([])), None, 5.0)


def test_a_wait_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.01)
    with pytest.raises(errors.TimedOut):
        follow_job("j", Jobs(RUNNING), EventStream(FakeEvents([])), None, 0.1)


def test_another_protocol_s_events_say_so() -> None:
    class Other(FakeEvents):
        def receive(self, timeout_s: float) -> list[bytes] | None:
            return [PREAMBLE.replace(b"1", b"8"), b"\x80"]

    with pytest.raises(errors.VersionMismatch, match="protocol 8"):
        EventStream(Other([])).next(0)

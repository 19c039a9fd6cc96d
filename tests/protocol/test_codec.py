"""Bytes in, messages out: golden bytes, cut bytes, and bytes that mean nothing."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inve_client import codec, errors
from inve_client.version import PROTOCOL, VERSION, mismatch_sentence

# A change of any of these bytes is a change of the protocol: raise PROTOCOL and say so in SPEC.md.
GOLDEN_REQUESTS = [
    ("status", {}, "82a46b696e64a6737461747573a26964a27231"),
    (
        "hello",
        {"client": "nuke", "version": "0.1.0", "protocol": 1},
        "85a46b696e64a568656c6c6fa26964a27231a6636c69656e74a46e756b65a776657273696f6ea5302e312e30"
        "a870726f746f636f6c01",
    ),
    (
        "track",
        {"shot": "a", "points": [{"id": "p", "frame": 1001, "x": 1.5, "y": 2.0, "video_layer": "auto"}]},
        "84a46b696e64a5747261636ba26964a27231a473686f74a161a6706f696e74739185a26964a170a56672616d65cd03e9"
        "a178cb3ff8000000000000a179cb4000000000000000ab766964656f5f6c61796572a46175746f",
    ),
]
GOLDEN_REPLY = "83a26964a27231a773657373696f6ea27331a6726573756c7481a87265766973696f6e07"
GOLDEN_ERROR = (
    "83a26964a27231a773657373696f6ea27331a56572726f7283a4636f6465ae7374616c655f7265766973696f6e"
    "a76d657373616765a44f6c642ea764657461696c7381a87265766973696f6e07"
)
GOLDEN_EVENT = (
    "86a46b696e64a473686f74a373657105a773657373696f6ea27331a473686f74a161a66368616e6765a56564697473"
    "a87265766973696f6e07"
)


@pytest.mark.parametrize(("kind", "fields", "golden"), GOLDEN_REQUESTS, ids=lambda value: str(value)[:10])
def test_requests_are_these_bytes(kind: str, fields: dict[str, object], golden: str) -> None:
    assert codec.encode_request("r1", kind, fields) == [b"INVE/1", bytes.fromhex(golden)]


def test_a_reply_is_read_from_these_bytes() -> None:
    got = codec.decode_reply([b"INVE/1", bytes.fromhex(GOLDEN_REPLY), b"exr"])
    assert got == codec.Reply("r1", "s1", {"revision": 7}, None, (b"exr",))


def test_an_error_is_read_from_these_bytes() -> None:
    got = codec.decode_reply([b"INVE/1", bytes.fromhex(GOLDEN_ERROR)])
    assert isinstance(got.error, errors.StaleRevision)
    assert (got.error.message, got.error.details) == ("Old.", {"revision": 7})


def test_an_event_is_read_from_these_bytes() -> None:
    event = codec.decode_event([b"INVE/1", bytes.fromhex(GOLDEN_EVENT)])
    assert (event.seq, event.session, event.kind) == (5, "s1", "shot")
    assert event.body["change"] == "edits"


@pytest.mark.parametrize("golden", [GOLDEN_REPLY, GOLDEN_ERROR])
def test_cut_replies_are_bad_messages(golden: str) -> None:
    whole = bytes.fromhex(golden)
    for length in range(len(whole)):
        with pytest.raises(errors.BadMessage):
            codec.decode_reply([b"INVE/1", whole[:length]])


def test_cut_events_are_bad_messages() -> None:
    whole = bytes.fromhex(GOLDEN_EVENT)
    for length in range(len(whole)):
        with pytest.raises(errors.BadMessage):
            codec.decode_event([b"INVE/1", whole[:length]])


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b"INVE/1"],
        [b"INVE/1", b"\x80"],
        [b"INVE/1", b"\x90"],
        [b"INVE/1", bytes.fromhex(GOLDEN_REPLY) + b"\x00"],
        [b"INVE/1", msgpack.packb({"id": 1, "session": "s", "result": {}})],
        [b"INVE/1", msgpack.packb({"id": "r", "session": "s", "result": []})],
        [b"INVE/1", msgpack.packb({1: 2})],
        [b"INVE/x", bytes.fromhex(GOLDEN_REPLY)],
        [b"inve/1", bytes.fromhex(GOLDEN_REPLY)],
        [b"INVE/1", bytes.fromhex(GOLDEN_REPLY)] + [b""] * codec.MAX_FRAMES,
        [b"INVE/1", b"\x91" * 100_000],
    ],
)
def test_what_is_no_reply(frames: list[bytes]) -> None:
    with pytest.raises(errors.BadMessage):
        codec.decode_reply(frames)


def test_unknown_fields_of_a_newer_daemon_are_left_alone() -> None:
    body = {"id": "r", "session": "s", "result": {"a": 1}, "later": {"x": [1]}}
    assert codec.decode_reply([b"INVE/1", msgpack.packb(body)]).result == {"a": 1}


def test_an_unknown_error_code_is_work_that_failed() -> None:
    body = {"id": "r", "session": "s", "error": {"code": "melted", "message": "Hot."}}
    error = codec.decode_reply([b"INVE/1", msgpack.packb(body)]).error
    assert type(error) is errors.WorkError
    assert "melted" in error.message


def test_another_protocol_says_what_to_install() -> None:
    body = {"id": "", "error": {"code": "x", "message": "y", "details": {"daemon_version": "9.1.0"}}}
    with pytest.raises(
        errors.VersionMismatch, match=r"protocol 1 .* protocol 2; install inve 9\.1\.0 on the client's"
    ):
        codec.decode_reply([b"INVE/2", msgpack.packb(body)])


def test_the_mismatch_sentence_names_the_older_side() -> None:
    assert mismatch_sentence(2, "0.3.0", 1, "0.1.0") == (
        "The client (inve 0.3.0) speaks protocol 2 and the daemon (inve 0.1.0) speaks protocol 1; "
        "install inve 0.3.0 on the daemon's side."
    )
    assert "the newer release of inve on the client's side" in mismatch_sentence(1, VERSION, PROTOCOL + 1, "")


NESTED: list[object] = []
for _ in range(10_000):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (2**70, "Integer value out of range"),
        ({"a": [-(2**63) - 1]}, "Integer value out of range"),
        ("\ud800", "surrogates not allowed"),
        ({"\udcff": 1}, "surrogates not allowed"),
        (object(), "can not serialize 'object' object"),
        ({1, 2}, "can not serialize 'set' object"),
        (NESTED, "recursion limit"),
    ],
    ids=["integer", "negative", "surrogate", "surrogate key", "object", "set", "depth"],
)
def test_what_cannot_be_sent_is_refused_by_name(value: object, words: str) -> None:
    with pytest.raises(errors.BadField, match=r"^copy_edits: `frame_offset` cannot be sent \(.*;") as refused:
        codec.encode_request("r1", "copy_edits", {"shot": "a", "frame_offset": value, "to": "b"})
    assert words in refused.value.message
    assert refused.value.details == {"field": "frame_offset"}


def test_a_request_beyond_the_limit_is_not_sent() -> None:
    with pytest.raises(errors.TooLarge, match="128 MiB"):
        codec.encode_request("r1", "put_edits", {"stack": b"x" * codec.MAX_REQUEST_BYTES})


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_any_frames_are_a_reply_or_a_typed_error(frames: list[bytes]) -> None:
    for decode in (codec.decode_reply, codec.decode_event):
        with contextlib.suppress(errors.BadMessage, errors.VersionMismatch):
            decode(frames)


_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=10,
)


@given(_PLAIN, st.sampled_from(["id", "session", "result", "error"]))
def test_any_plain_data_is_a_reply_or_a_typed_error(value: object, field: str) -> None:
    body = {"id": "r", "session": "s", "result": {}, field: value}
    try:
        reply = codec.decode_reply([b"INVE/1", msgpack.packb(body)])
    except errors.BadMessage:
        return
    assert isinstance(reply.request_id, str)

"""The daemon's strict decoding: every message of the client passes, nothing else does."""

from __future__ import annotations

import hashlib
import inspect
import re
import time
import tracemalloc
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol_fakes import FakeSocket, client_of, reply

import inve_client
from inve_client import Client, errors
from inve_client.codec import MAX_REQUEST_BYTES
from inve_daemon import schema

STROKE = {
    "type": "stroke",
    "frame": 1,
    "points": [[1.0, 2], [3, 4.5]],
    "width": 2.0,
    "color": [1, 0, 0, 1],
}
TEXTURE = {"type": "texture", "image": "/a.png", "frame": 1, "x": 1, "y": 2, "width": 3, "height": 4}
STACK = {"version": 1, "layers": [{"name": "paint", "kind": "sketch", "edits": [STROKE]}]}
EMPTY = "sha256:" + hashlib.sha256(b"").hexdigest()
POINT = {"id": "p", "frame": 1, "x": 1, "y": 2.5}

CALLS: dict[str, Any] = {
    "hello": lambda c: c.hello(),
    "status": lambda c: c.status(),
    "shutdown": lambda c: c.shutdown(),
    "open_shot": lambda c: c.open_shot("a", "/f.%04d.exr", ["/m.%04d.png"], (1, 9), flow="/v.%04d.exr"),
    "list_shots": lambda c: c.list_shots(),
    "describe_shot": lambda c: c.describe_shot("a", with_edits=True),
    "close_shot": lambda c: c.close_shot("a"),
    "delete_shot": lambda c: c.delete_shot("a"),
    "train": lambda c: c.train("a", preset="preview", working_size=320, seed=7),
    "describe_job": lambda c: c.describe_job("0a1b"),
    "list_jobs": lambda c: c.list_jobs(),
    "cancel": lambda c: c.cancel("0a1b"),
    "put_edits": lambda c: c.put_edits("a", STACK, base_revision=3),
    "patch_edits": lambda c: c.patch_edits(
        "a",
        3,
        layers=[
            {"name": "sign", "kind": "texture", "opacity": 0.5, "solo": True, "position": 0},
            {"name": "paint", "rename": "ink", "video_layer": "background"},
        ],
        edits=[
            {"layer": "sign", "edit": TEXTURE, "position": 0},
            {"layer": "ink", "id": "e1", "position": 3},
        ],
    ),
    "remove_edits": lambda c: c.remove_edits("a", 3, edits=["e1"], layers=["sign"]),
    "copy_edits": lambda c: c.copy_edits("a", "b", frame_offset=-1000, base_revision=3),
    "get_texture": lambda c: c.get_texture(EMPTY),
    "undo": lambda c: c.undo("a", base_revision=3),
    "redo": lambda c: c.redo("a"),
    "track": lambda c: c.track("a", [POINT], [1, 2]),
    "render": lambda c: c.render("a", [1], scale=0.5, region=(0, 0, 4, 4), layers=True, bits=16),
    "render to files": lambda c: c.render_to("a", "/o.%04d.exr", [1], bits=32),
    "view_atlas": lambda c: c.view_atlas("a", "background", with_edits=True, long_edge=256, frame=1001),
}


def test_every_request_of_the_schema_has_a_method() -> None:
    assert set(schema.KINDS) == {name for name in CALLS if " " not in name}


@pytest.mark.parametrize("name", CALLS)
def test_every_message_of_the_client_is_accepted(name: str) -> None:
    decoded: list[schema.Request] = []

    def answer(body: dict[str, Any], frames: list[bytes]) -> list[list[bytes]]:
        decoded.append(schema.decode_request(frames[1], MAX_REQUEST_BYTES))
        result = {"events": "ipc:///x", "shots": [], "jobs": [], "job": "0a", "frames": []}
        result |= {"bytes": 0, "suffix": ""}
        attachments = {"view_atlas": [b"exr"], "get_texture": [b""]}.get(name, [])
        return [reply(body["id"], result) + attachments]

    CALLS[name](client_of(FakeSocket(answer)))
    assert decoded[0].__struct_config__.tag == name.split(" ")[0]


@pytest.mark.parametrize("name", CALLS)
def test_one_unknown_field_is_refused_by_name(name: str) -> None:
    body = body_of(name)
    with pytest.raises(schema.Refused) as refused:
        schema.decode_request(msgpack.packb({**body, "sneaky": 1}), MAX_REQUEST_BYTES)
    assert refused.value.error.code == "bad_field"
    assert "sneaky" in refused.value.error.message
    assert refused.value.request_id == body["id"]


@pytest.mark.parametrize("name", CALLS)
def test_every_field_of_another_type_is_refused_by_name(name: str) -> None:
    body = body_of(name)
    for field in body.keys() - {"kind"}:
        with pytest.raises(schema.Refused) as refused:
            schema.decode_request(msgpack.packb({**body, field: {"a": b"b"}}), MAX_REQUEST_BYTES)
        assert field in refused.value.error.message


@pytest.mark.parametrize("name", CALLS)
def test_every_cut_message_is_refused(name: str) -> None:
    whole = msgpack.packb(body_of(name))
    for length in range(len(whole)):
        with pytest.raises(schema.Refused):
            schema.decode_request(whole[:length], MAX_REQUEST_BYTES)


def body_of(name: str) -> dict[str, Any]:
    """The body that the client sends for a call."""
    bodies: list[dict[str, Any]] = []

    def answer(body: dict[str, Any], frames: list[bytes]) -> list[list[bytes]]:
        bodies.append(body)
        return [reply(body["id"], error={"code": "busy", "message": "Enough."})]

    with pytest.raises(errors.Busy):
        CALLS[name](client_of(FakeSocket(answer)))
    return bodies[0]


@pytest.mark.parametrize(
    ("kind", "fields", "field"),
    [
        ("track", {"points": [{**POINT, "x": float("nan")}]}, "points[0].x"),
        ("track", {"points": [{**POINT, "y": float("-inf")}]}, "points[0].y"),
        ("track", {"points": []}, "points"),
        ("track", {"points": [POINT] * 10_001}, "points"),
        ("render", {"scale": float("nan")}, "scale"),
        ("render", {"scale": 0.0}, "scale"),
        ("render", {"bits": 8}, "bits"),
        ("render", {"region": [0, 0, 0, 5]}, "region"),
        ("render", {"region": [0, 0, 5]}, "region"),
        ("render", {"frames": []}, "frames"),
        ("render", {"frames": [1.5]}, "frames"),
        ("render", {"out": "/a\0b"}, "out"),
        ("render", {"out": "/" + "a" * 5000}, "out"),
        ("train", {"seed": -1}, "seed"),
        ("train", {"working_size": 1_000_000}, "working_size"),
        ("train", {"shot": "a" * 65}, "shot"),
        ("train", {"shot": "a\n"}, "shot"),
        ("train", {"shot": ""}, "shot"),
        ("train", {"id": "a b"}, "id"),
        ("put_edits", {"stack": {**STACK, "version": 3}}, "stack.version"),
        (
            "put_edits",
            {"stack": {"layers": [{"name": "x", "kind": "sketch", "edits": [{**STROKE, "width": -1}]}]}},
            "width",
        ),
        (
            "put_edits",
            {"stack": {"layers": [{"name": "x", "kind": "sketch", "edits": [{"type": "spell"}]}]}},
            "edits[0]",
        ),
        ("patch_edits", {"edits": [{"layer": "x", "edit": {**STROKE, "magic": 1}}]}, "edits[0].edit"),
        ("patch_edits", {"layers": [{"name": "x", "solo": 1}]}, "layers[0].solo"),
        ("patch_edits", {"layers": [{"name": "x", "position": -1}]}, "layers[0].position"),
        ("patch_edits", {"layers": [{"name": "x", "rename": ""}]}, "layers[0].rename"),
        ("patch_edits", {"edits": [{"layer": "x", "id": "e", "position": 1.5}]}, "edits[0].position"),
        ("patch_edits", {"edits": [{"layer": "x", "id": ""}]}, "edits[0].id"),
        ("copy_edits", {"to": "a/b"}, "to"),
        ("copy_edits", {"frame_offset": 10**8}, "frame_offset"),
        ("get_texture", {"address": "sha256:12"}, "address"),
        ("get_texture", {"address": "/etc/passwd"}, "address"),
        ("get_texture", {"offset": -1}, "offset"),
        ("view_atlas", {"long_edge": 10**6}, "long_edge"),
        ("view_atlas", {"frame": 1.5}, "frame"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(kind: str, fields: dict[str, Any], field: str) -> None:
    bodies = {
        "track": {"shot": "a", "points": [POINT]},
        "put_edits": {"shot": "a", "stack": STACK},
        "patch_edits": {"shot": "a", "base_revision": 0},
        "copy_edits": {"shot": "a", "to": "b"},
        "get_texture": {"address": EMPTY},
        "view_atlas": {"shot": "a", "video_layer": "b"},
    }
    body = {"kind": kind, "id": "r1", **bodies.get(kind, {"shot": "a"}), **fields}
    with pytest.raises(schema.Refused) as refused:
        schema.decode_request(msgpack.packb(body), MAX_REQUEST_BYTES)
    assert field in refused.value.error.message
    assert field in refused.value.error.details["field"]


@pytest.mark.parametrize(
    ("kind", "code"), [("put_edits", "bad_edit"), ("track", "bad_point"), ("render", "bad_field")]
)
def test_what_is_wrong_in_a_document_is_said_of_the_document(kind: str, code: str) -> None:
    fields = {"put_edits": {"stack": 5}, "track": {"points": 5}, "render": {"frames": 5}}[kind]
    with pytest.raises(schema.Refused) as refused:
        schema.decode_request(msgpack.packb({"kind": kind, "id": "r", "shot": "a", **fields}), 1 << 20)
    assert refused.value.error.code == code


@pytest.mark.parametrize(
    ("kind", "fields", "sentence"),
    [
        ("train", {"seed": -1}, "train: `seed` must be int >= 0, got -1; correct it."),
        ("train", {"shot": "a b"}, "`shot` must be 1 to 64 letters, digits or . _ -, got 'a b'; choose"),
        ("copy_edits", {"to": "a b"}, "`to` must be 1 to 64 letters, digits or . _ -, got 'a b'; choose"),
        ("copy_edits", {"frame_offset": 10**8}, "`frame_offset` must be int <= 10000000, got 100000000;"),
        ("cancel", {"job": "x"}, "`job` must be the id of a job, as `jobs` lists them, got 'x'"),
        ("render", {"out": "a\0b"}, r"`out` must be a path without NUL, got 'a\x00b'"),
        ("render", {"bits": 8}, "`bits` must be 16 or 32, got 8"),
        ("undo", {"id": "a.b"}, "`id` must be 1 to 64 letters, digits or _ -, got 'a.b'"),
        (
            "put_edits",
            {"stack": {"layers": [{"name": "x", "kind": "sketch", "edits": [{**STROKE, "width": 1e9}]}]}},
            "put_edits: `stack.layers[0].edits[0].width` must be float <= 32768.0, got 1000000000.0; correct",
        ),
        (
            "put_edits",
            {"stack": {"layers": [{"name": "x", "kind": "sketch", "blend": "erase"}]}},
            "`stack.layers[0].blend` must be 'over' or 'add' or 'multiply' or 'screen', got 'erase'",
        ),
        ("put_edits", {"stack": {"version": 3}}, "`stack.version` must be 1 to 2, got 3; install a newer"),
        (
            "patch_edits",
            {"edits": [{"layer": "x", "edit": {**STROKE, "id": "a b"}}]},
            "`edits[0].edit.id` must be 1 to 64 letters, digits or . _ : -, got 'a b'",
        ),
        (
            "patch_edits",
            {"edits": [{"layer": "x", "edit": {**STROKE, "color": [1, 0, 0, 2]}}]},
            "`edits[0].edit.color[3]` must be float <= 1.0, got 2",
        ),
        (
            "track",
            {"points": [{**POINT, "x": float("nan")}]},
            "`points[0].x` must be a finite number, got nan",
        ),
        ("undo", {"sneaky": 1}, "undo: `sneaky` is not a known field; check its spelling or remove it."),
    ],
)
def test_a_refusal_says_what_was_expected_and_what_came(
    kind: str, fields: dict[str, Any], sentence: str
) -> None:
    whole = {"patch_edits": {"base_revision": 0}, "copy_edits": {"to": "b"}}.get(kind, {})
    of_a_shot = {} if kind == "cancel" else {"shot": "a"}
    body = {"kind": kind, "id": "r", **of_a_shot, **whole, **fields}
    with pytest.raises(schema.Refused) as refused:
        schema.decode_request(msgpack.packb(body), MAX_REQUEST_BYTES)
    assert sentence in refused.value.error.message
    assert "regex" not in refused.value.error.message


BOMBS = {
    "maps": b"\x83\xa4kind\xa9put_edits\xa2id\xa11\xa5stack" + b"\xdd\x00\xf0\x00\x00" + b"\x80" * 0xF00000,
    "maps in an unknown field": b"\x83\xa4kind\xa6status\xa2id\xa11\xa1x\xdd\x00\xf0\x00\x00"
    + b"\x80" * 0xF00000,
    "layers": b"\x83\xa4kind\xa9put_edits\xa2id\xa11\xa5stack\x81\xa6layers\xdd\x00\xf0\x00\x00"
    + b"\x80" * 0xF00000,
    "depth": b"\x83\xa4kind\xa9put_edits\xa2id\xa11\xa5stack" + b"\x91" * 1_000_000 + b"\xc0",
    "a length that is not there": b"\x83\xa4kind\xa9put_edits\xa2id\xa11\xa5stack\xdd\xff\xff\xff\xff",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_neither_memory_nor_time(name: str) -> None:
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(schema.Refused):
        schema.decode_request(BOMBS[name], MAX_REQUEST_BYTES)
    took = time.perf_counter() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Plain msgpack needs over a gigabyte for the first of these; a bound far below that is enough.
    assert peak < 4 << 20
    assert took < 1.0


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(schema.Refused):
        schema.decode_request(data, MAX_REQUEST_BYTES)


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


@given(
    st.sampled_from(schema.KINDS),
    st.dictionaries(st.sampled_from(["shot", "frames", "stack", "points", "id"]), _PLAIN),
)
def test_any_fields_are_a_request_or_a_typed_error(kind: str, fields: dict[str, Any]) -> None:
    body = msgpack.packb({"id": "r", **fields, "kind": kind})
    try:
        answer = schema.decode_request(body, MAX_REQUEST_BYTES)
    except schema.Refused as refused:
        answer = refused.error
    assert isinstance(answer, (schema.Request, errors.CallError))


def test_a_body_beyond_the_limit_is_not_looked_at() -> None:
    with pytest.raises(schema.Refused) as refused:
        schema.decode_request(b"\x80" * 11, 10)
    assert refused.value.error.code == "too_large"


def test_the_specification_has_every_request_field_and_code() -> None:
    text = (Path(inve_client.__file__).parent / "SPEC.md").read_text(encoding="utf-8")
    for kind in schema.REQUESTS:
        assert f"`{kind.__struct_config__.tag}`" in text
        for field in msgspec.structs.fields(kind):
            assert f"`{field.name}`" in text, f"{kind.__name__}.{field.name}"
    for code in errors.BY_CODE:
        assert f"`{code}`" in text


def test_a_method_is_documented_and_typed() -> None:
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("_"):
            assert method.__doc__, name
            assert "return" in method.__annotations__, name


def test_the_version_is_the_release_s() -> None:
    pyproject = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    match = re.search(r'^version = "(.+)"$', pyproject, re.MULTILINE)
    assert match is not None
    assert match[1] == inve_client.VERSION

"""EDITS.json on disk: where what it names lies, and what is written over."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from daemon_support import sketch, stroke, texture, write_picture

from inve_client import errors
from inve_core.edits import parse_stack, stack_to_builtins
from inve_core.strict import MAX_DOCUMENT_BYTES
from inve_daemon import documents, editing, keeping
from inve_daemon.keeping import StackKeeper

PICTURE = b"a picture"
ADDRESS = "sha256:" + "0a" * 32


class Textures:
    """As much of a client as an export asks for."""

    def get_texture(self, address: str) -> Any:
        return SimpleNamespace(address=address, content=PICTURE, suffix=".png")


def sign(image: str) -> dict[str, Any]:
    return {"layers": [{"name": "sign", "kind": "texture", "edits": [texture(image)]}]}


@pytest.fixture
def stack() -> dict[str, Any]:
    """With a texture, as the daemon gives it."""
    return stack_to_builtins(StackKeeper().checked(parse_stack(sign(ADDRESS)))[0])


def export(stack: dict[str, Any], path: Path) -> list[Path]:
    return documents.write_edits(Textures(), stack, path)  # type: ignore[arg-type]


def test_images_are_found_as_the_system_finds_them(tmp_path: Path) -> None:
    for folder in ("tex", "project/tex", "project/edits"):
        (tmp_path / folder).mkdir(parents=True)
    write_picture(tmp_path / "tex" / "a.png", value=1)
    write_picture(tmp_path / "project" / "tex" / "a.png", value=2)
    (tmp_path / "project" / "edits" / "e.json").write_text(json.dumps(sign("../tex/a.png")))
    (tmp_path / "current").symlink_to(tmp_path / "project" / "edits")
    (tmp_path / "e.json").symlink_to(tmp_path / "project" / "edits" / "e.json")
    (tmp_path / "through.json").write_text(json.dumps(sign("current/../tex/a.png")))
    wanted = (tmp_path / "project" / "tex" / "a.png").read_bytes()
    for name in ("project/edits/e.json", "current/e.json", "e.json", "through.json"):
        read, files = documents.read_edits(tmp_path / name)
        assert [Path(file).read_bytes() for file in files] == [wanted], name
        assert list(editing.images_of(read)) == files


def test_a_link_leads_to_what_is_written(tmp_path: Path, stack: dict[str, Any]) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "real" / "r.json")
    for _ in ("a dangling one", "one to a file"):
        (written,) = export(stack, tmp_path / "link.json")
        assert (tmp_path / "link.json").is_symlink()
        assert sorted(path.name for path in (tmp_path / "real").iterdir()) == ["r.json", "r.textures"]
        for name in ("link.json", "real/r.json"):
            (file,) = documents.read_edits(tmp_path / name)[1]
            assert Path(file).read_bytes() == PICTURE
            assert Path(file).samefile(written)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "real"]


def test_a_texture_that_is_gone_is_named_by_its_edit(tmp_path: Path, stack: dict[str, Any]) -> None:
    class Gone:
        def get_texture(self, address: str) -> Any:
            raise errors.EditError("Not here.")

    with pytest.raises(
        errors.EditError, match=r"`layers\[0\].edits\[0\].image` is 'sha256:0a0a.*with its file"
    ):
        documents.write_edits(Gone(), stack, tmp_path / "e.json")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("with_textures", [True, False])
@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("", errors.CallError, r"\. is there and is no ordinary file; choose another --out"),
        ("folder", errors.CallError, "folder is there and is no ordinary file"),
        ("pipe", errors.CallError, "pipe is there and is no ordinary file"),
        ("to-pipe", errors.CallError, "to-pipe is there and is no ordinary file"),
        ("foo.textures", errors.CallError, "must not end in .textures, as the textures' folder does"),
        ("nowhere/e.json", errors.StorageError, "nowhere/e.json could not be written: No such file"),
        ("file/e.json", errors.StorageError, "file/e.json could not be written: Not a directory"),
        ("a" * 300, errors.StorageError, "could not be written: File name too long"),
        ("loop", errors.StorageError, "loop could not be written"),
    ],
)
def test_what_cannot_be_written_to_stays_as_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stack: dict[str, Any],
    name: str,
    kind: type[Exception],
    words: str,
    with_textures: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").write_text("mine")
    os.mkfifo("pipe")
    Path("to-pipe").symlink_to("pipe")
    Path("loop").symlink_to("loop")
    before = {path.name: os.lstat(path).st_mode for path in Path().iterdir()}
    plain = (
        stack if with_textures else stack_to_builtins(StackKeeper().checked(parse_stack(sketch(stroke())))[0])
    )
    with pytest.raises(kind, match=words):
        export(plain, Path(name))
    assert {path.name: os.lstat(path).st_mode for path in Path().iterdir()} == before
    assert Path("file").read_text() == "mine"


def test_a_written_document_has_a_line_for_each_edit(tmp_path: Path) -> None:
    layers = [
        *sketch(stroke(id="a"), stroke(id="b"))["layers"],
        {"name": "é", "kind": "adjustment", "solo": True},
    ]
    stack, _ = StackKeeper().checked(parse_stack({"layers": layers}))
    for one in (stack, parse_stack({})):
        export(stack_to_builtins(one), tmp_path / "e.json")
        text = (tmp_path / "e.json").read_text(encoding="utf-8")
        assert text.count("\n") == 1 + len(one.layers) + sum(len(layer.edits) for layer in one.layers)
        assert json.loads(text) == json.loads(json.dumps(stack_to_builtins(one)))
        assert documents.read_edits(tmp_path / "e.json")[0] == one


def test_the_largest_stack_makes_a_document_that_is_read() -> None:
    # What a document has beyond a stack: longer names of textures, and a line for each edit.
    assert keeping.MAX_STACK_BYTES + 100_000 * (255 + 16) < MAX_DOCUMENT_BYTES

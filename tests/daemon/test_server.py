"""Requests and answers through a real socket, a real store and a worker process with a made-up core."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import msgpack
import numpy as np
import pytest
import zmq
from daemon_fakes import DIES, IS_BROKEN, LONG, RUNS_OUT_OF_MEMORY
from daemon_support import FRAMES, Clip, open_and_train, sketch, stroke, texture, until, write_picture

from inve_client import Client, errors
from inve_client.codec import MAX_REQUEST_BYTES, PREAMBLE
from inve_core.media.exr import read_parts
from inve_daemon import documents, editing


def test_hello_says_who_it_is(client: Client) -> None:
    said = client.hello()
    assert said["protocol"] == 1
    assert said["events"].startswith("ipc://")
    assert client.session == said["session"]


def test_its_sockets_are_its_owner_s_alone(client: Client, sockets: Path) -> None:
    client.hello()
    modes = {path.name: path.stat().st_mode & 0o777 for path in sockets.iterdir()}
    assert modes == {"store.sock": 0o600, "store-events.sock": 0o600}


def test_open_train_edit_track_render(client: Client, clip: Clip, tmp_path: Path) -> None:
    opened = client.open_shot("shot", clip.frames, [clip.mattes])
    assert (opened["frames"], opened["width"], opened["height"]) == (list(FRAMES), 32, 24)
    assert opened["video_layers"] == ["foreground", "background"]

    seen: list[dict[str, Any]] = []
    result = client.wait_job(
        client.train("shot", seed=30), on_progress=lambda job: seen.append(dict(job)), timeout_s=60
    )
    assert {
        "shot": "shot",
        "frames": 4,
        "iterations": 30,
        "flow_error_px": None,
        "preset": "fast",
        "backend": "fake",
    }.items() <= result.items()
    assert result["total_s"] > 0
    assert "learning" in [job["progress"]["stage"] for job in seen]

    put = client.put_edits("shot", sketch(stroke(), stroke(1002)))
    assert len(put["ids"]) == 2
    tracks = client.track("shot", [{"id": "p", "frame": 1001, "x": 3.0, "y": 4.0}], [1002, 1003])
    assert tracks["frames"] == [1002, 1003]

    frames = client.render("shot", [1001, 1003])
    worker = until(lambda: (now := client.status()["worker"])["backend"] and now)
    assert (worker["backend"], worker["passed_over"]) == ("fake", ["the real one is not here"])
    assert [(one.frame, one.touched) for one in frames] == [(1001, 2), (1003, 2)]
    picture = tmp_path / "got.exr"
    picture.write_bytes(frames[0].exr)
    assert read_parts(picture)["rgba"][1].shape == (24, 32, 4)

    written = client.wait_job(client.render_to("shot", str(tmp_path / "out" / "f.%04d.exr")), timeout_s=60)
    assert (written["frames"], written["backend"]) == (4, "fake")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"f.{n}.exr" for n in FRAMES]
    assert client.view_atlas("shot", "foreground", with_edits=True).startswith(b"\x76\x2f\x31\x01")
    assert client.view_atlas("shot", "foreground", frame=1003) != client.view_atlas("shot", "foreground")
    with pytest.raises(errors.MediaError, match="Frame 7 is not in shot 'shot'"):
        client.view_atlas("shot", "foreground", frame=7)


def test_the_same_call_twice_does_no_harm(client: Client, clip: Clip) -> None:
    first = client.open_shot("shot", clip.frames, [clip.mattes], request_id="one")
    assert client.open_shot("shot", clip.frames, [clip.mattes], request_id="one") == first
    assert client.open_shot("shot", clip.frames, [clip.mattes], request_id="two")["shot"] == "shot"
    revision = client.put_edits("shot", sketch(stroke()), request_id="put")["revision"]
    assert client.put_edits("shot", sketch(stroke()), request_id="put")["revision"] == revision
    assert client.describe_shot("shot")["revision"] == revision
    with pytest.raises(errors.RequestIdReused):
        client.put_edits("shot", sketch(stroke(1003)), request_id="put")


def test_an_undo_sent_twice_undoes_once(client: Client, clip: Clip) -> None:
    client.open_shot("shot", clip.frames)
    for x in (1.0, 2.0, 3.0):
        client.put_edits("shot", sketch(stroke(x=x)))
    client.undo("shot", request_id="u")
    client.undo("shot", request_id="u")
    assert _xs(client) == [2.0]
    client.undo("shot")
    assert _xs(client) == [1.0]
    client.undo("shot")
    assert _xs(client) == []
    with pytest.raises(errors.NothingToUndo):
        client.undo("shot")
    client.redo("shot")
    client.redo("shot")
    assert _xs(client) == [2.0]
    client.put_edits("shot", sketch(stroke(x=9.0)))
    with pytest.raises(errors.NothingToUndo):
        client.redo("shot")


def test_what_changes_nothing_is_no_step_to_undo(client: Client, clip: Clip) -> None:
    client.open_shot("two", clip.frames)
    start = client.open_shot("shot", clip.frames)["revision"]
    assert client.put_edits("shot", {"layers": []}) == {"revision": start, "ids": []}
    one = client.put_edits("shot", sketch(stroke(x=1.0, id="a")))
    client.copy_edits("shot", "two")
    client.put_edits("shot", sketch(stroke(x=2.0, id="a")))
    revision = client.undo("shot")["revision"]
    stack = client.describe_shot("shot", with_edits=True)["stack"]
    (edit,) = stack["layers"][0]["edits"]
    with client.events() as events:
        time.sleep(0.3)
        assert client.patch_edits("shot", revision)["revision"] == revision
        assert client.remove_edits("shot", revision)["revision"] == revision
        same = client.patch_edits("shot", revision, edits=[{"layer": "paint", "edit": edit}])
        assert same == {"revision": revision, "ids": ["a"]}
        moved = client.patch_edits("shot", revision, edits=[{"layer": "paint", "id": "a", "position": 0}])
        assert moved["revision"] == revision
        assert client.put_edits("shot", stack, request_id="p") == {"revision": revision, "ids": one["ids"]}
        assert client.put_edits("shot", stack, request_id="p")["revision"] == revision
        assert client.copy_edits("two", "shot")["revision"] == revision
        assert events.next(0.3) is None
    client.redo("shot")
    assert _xs(client) == [2.0]


def _textures_kept(folder: Path) -> int:
    return sum(path.is_file() for path in (folder / "store" / "objects").glob("*/*"))


def _keeps(folder: Path, count: int) -> None:
    """So many textures are kept, by and by: they may go just after the answer."""
    until(lambda: _textures_kept(folder) <= count)
    assert _textures_kept(folder) == count


def test_a_texture_goes_with_the_last_state_that_names_it(
    client: Client, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(shot: str, *values: int) -> None:
        for value in values:
            write_picture(tmp_path / f"{value}.png", 4, 4, value=value)
        edits = [texture(str(tmp_path / f"{value}.png")) for value in values]
        client.put_edits(shot, {"layers": [{"name": "sign", "kind": "texture", "edits": edits}]})

    for shot in ("shot", "two"):
        client.open_shot(shot, clip.frames)
    put("shot", 1, 2)
    put("two", 2)
    client.undo("shot")
    _keeps(tmp_path, 2)  # It can be redone.
    put("shot", 3)
    _keeps(tmp_path, 2)  # The other shot has one of them.
    put("two", 4)
    client.undo("two")
    client.undo("two")
    put("two", 4)
    _keeps(tmp_path, 2)  # 3 and 4.
    # States beyond the limits go too.
    monkeypatch.setattr("inve_daemon.store.history.MAX_STATES", 2)
    for value in (5, 6):
        put("shot", value)
    _keeps(tmp_path, 3)
    client.put_edits("shot", sketch())
    _keeps(tmp_path, 2)
    client.undo("shot")
    (layer,) = client.describe_shot("shot", with_edits=True)["stack"]["layers"]
    assert client.get_texture(layer["edits"][0]["image"]).content == (tmp_path / "6.png").read_bytes()


def test_a_texture_that_is_about_to_be_named_is_not_dropped(
    client: Client, clip: Clip, tmp_path: Path
) -> None:
    for shot in ("shot", "two"):
        client.open_shot(shot, clip.frames)
    for value in range(40):
        write_picture(tmp_path / f"{value}.png", 64, 64, value=value)
    images = [texture(str(tmp_path / f"{value}.png")) for value in range(40)]
    stack = {"layers": [{"name": "sign", "kind": "texture", "edits": images}]}
    first = {"layers": [{"name": "sign", "kind": "texture", "edits": images[:1]}]}
    client.put_edits("shot", first)
    with Client(client.endpoint) as other, ThreadPoolExecutor(1) as pool:
        putting = pool.submit(other.put_edits, "two", stack)
        until(lambda: client.status()["worker"]["tasks"])
        # The worker has passed the first by.
        until(lambda: _textures_kept(tmp_path) > 1)
        client.delete_shot("shot")
        assert not putting.done(), "it was too late to show anything"
        assert len(putting.result(20)["ids"]) == 40
    kept = client.describe_shot("two", with_edits=True)["stack"]["layers"][0]["edits"]
    assert client.get_texture(kept[0]["image"]).content == (tmp_path / "0.png").read_bytes()
    # What was held back goes as soon as nobody is about to name it.
    client.delete_shot("two")
    _keeps(tmp_path, 0)


def _xs(client: Client, shot: str = "shot") -> list[float]:
    stack = client.describe_shot(shot, with_edits=True)["stack"]
    return [edit["points"][0][0] for layer in stack["layers"] for edit in layer["edits"]]


def test_patches_see_each_other_through_revisions(client: Client, clip: Clip) -> None:
    start = client.open_shot("shot", clip.frames)["revision"]
    layer = {"name": "paint", "kind": "sketch"}
    first = client.patch_edits(
        "shot", start, layers=[layer], edits=[{"layer": "paint", "edit": stroke(x=1.0)}]
    )
    with pytest.raises(errors.StaleRevision) as stale:
        client.patch_edits("shot", start, edits=[{"layer": "paint", "edit": stroke(x=2.0)}])
    assert stale.value.details["revision"] == first["revision"]
    assert _xs(client) == [1.0]

    second = client.patch_edits(
        "shot",
        first["revision"],
        edits=[
            {"layer": "paint", "edit": stroke(x=2.0)},
            {"layer": "paint", "edit": stroke(x=5.0, id=first["ids"][0])},
        ],
    )
    assert _xs(client) == [5.0, 2.0]
    assert second["ids"][1] == first["ids"][0]
    client.remove_edits("shot", second["revision"], edits=[first["ids"][0]])
    assert _xs(client) == [2.0]


def test_layers_and_edits_move_by_patches(client: Client, clip: Clip) -> None:
    client.open_shot("shot", clip.frames)
    first = client.put_edits("shot", sketch(stroke(x=1.0), stroke(x=2.0)))
    made = client.patch_edits(
        "shot",
        first["revision"],
        layers=[
            {"name": "under", "kind": "sketch", "position": 0, "solo": True},
            {"name": "paint", "rename": "ink", "video_layer": "background", "position": 0},
        ],
        edits=[
            {"layer": "under", "id": first["ids"][0]},
            {"layer": "ink", "edit": stroke(x=3.0), "position": 0},
        ],
    )
    assert made["ids"][0] == first["ids"][0]
    described = client.describe_shot("shot", with_edits=True)
    ink, under = described["stack"]["layers"]
    assert (ink["name"], ink["video_layer"], under["name"], under["solo"]) == (
        "ink",
        "background",
        "under",
        True,
    )
    assert _xs(client) == [3.0, 2.0, 1.0]
    # Refused as a whole, the layer that could have been made too.
    with pytest.raises(errors.EditError, match="position"):
        client.patch_edits(
            "shot",
            made["revision"],
            layers=[{"name": "more", "kind": "sketch"}],
            edits=[{"layer": "ink", "id": first["ids"][1], "position": 2}],
        )
    with pytest.raises(errors.EditError, match="must be 'adjustment' in an adjustment layer"):
        client.patch_edits(
            "shot",
            made["revision"],
            layers=[{"name": "more", "kind": "adjustment"}],
            edits=[{"layer": "more", "id": first["ids"][1]}],
        )
    assert client.describe_shot("shot", with_edits=True) == described


def test_a_refused_patch_names_its_own_fields(client: Client, clip: Clip, tmp_path: Path) -> None:
    client.open_shot("shot", clip.frames)
    stack = sketch(stroke(id="a"), stroke(id="b"))
    stack["layers"].insert(0, {"name": "under", "kind": "sketch"})
    revision = client.put_edits("shot", stack)["revision"]
    unknown = texture("sha256:" + "0" * 64)
    for layers, edits, words in (
        ([], [{"layer": "paint", "edit": stroke(1099)}], "`edits[0].edit.frame` is 1099"),
        ([], [{"layer": "paint", "edit": stroke(x=500.0)}], "`edits[0].edit.points[0]` is at (500, 10)"),
        ([], [{"layer": "paint", "edit": stroke(point_widths=[1])}], "`edits[0].edit.point_widths` must"),
        ([{"name": "paint", "blend": "erase"}], [], "`layers[0].blend` must be 'over' or 'add' or"),
        ([{"name": "paint", "video_layer": "middle"}], [], "`layers[0].video_layer` is 'middle'"),
        (
            [{"name": "paint", "kind": "texture"}],
            [],
            "`layers[1].edits[0].type` in the stack after the patch must be 'texture' in a texture layer",
        ),
        (
            [{"name": "s", "kind": "texture"}],
            [{"layer": "s", "edit": unknown}],
            "`edits[0].edit.image` is 'sha256:000",
        ),
    ):
        with pytest.raises(errors.EditError) as refused:
            client.patch_edits("shot", revision, layers=layers, edits=edits)
        assert words in refused.value.message


def test_a_texture_that_is_gone_is_named_by_its_edit(client: Client, clip: Clip, tmp_path: Path) -> None:
    write_picture(tmp_path / "logo.png", 4, 4)
    for shot in ("shot", "two"):
        client.open_shot(shot, clip.frames)
    layers = [
        *sketch(stroke())["layers"],
        {"name": "sign", "kind": "texture", "edits": [texture(str(tmp_path / "logo.png"))]},
    ]
    client.put_edits("shot", {"layers": layers})
    (kept,) = (tmp_path / "store" / "objects").glob("*/*.png")
    kept.unlink()
    with pytest.raises(
        errors.EditError, match=r"`layers\[1\].edits\[0\].image` is .* not in the daemon's store"
    ):
        client.copy_edits("shot", "two")
    described = client.describe_shot("shot", with_edits=True)["stack"]
    with pytest.raises(
        errors.EditError, match=r"`layers\[1\].edits\[0\].image` is .* not in the daemon's store"
    ):
        documents.write_edits(client, described, tmp_path / "e.json")


def test_a_stack_is_copied_to_another_shot(client: Client, clip: Clip, tmp_path: Path) -> None:
    write_picture(tmp_path / "logo.png", 4, 4)
    client.open_shot("shot", clip.frames)
    client.open_shot("two", clip.frames, frame_range=(1002, 1004))
    client.open_shot("mattes", clip.frames, [clip.mattes])
    stack = sketch(stroke(1001), stroke(1002, x=2.0))
    stack["layers"].append(
        {"name": "sign", "kind": "texture", "edits": [texture(str(tmp_path / "logo.png"))]}
    )
    ids = client.put_edits("shot", stack)["ids"]
    mine = client.describe_shot("shot", with_edits=True)
    client.put_edits("two", sketch(stroke(1003, x=9.0)))
    before = client.describe_shot("two")["revision"]
    with pytest.raises(errors.EditError, match=r"`layers\[0\].edits\[0\].frame` is 1001, the shot has the"):
        client.copy_edits("shot", "two")
    with pytest.raises(errors.StaleRevision):
        client.copy_edits("shot", "two", base_revision=before - 1)
    assert client.describe_shot("two")["revision"] == before
    copied = client.copy_edits("shot", "two", frame_offset=1, base_revision=before, request_id="copy")
    assert client.copy_edits("shot", "two", frame_offset=1, base_revision=before, request_id="copy") == copied
    assert copied["ids"] == ids
    theirs = client.describe_shot("two", with_edits=True)
    assert theirs["revision"] == copied["revision"]
    for layer in theirs["stack"]["layers"]:
        for edit in layer["edits"]:
            edit["frame"] -= 1
    assert theirs["stack"] == mine["stack"]
    assert client.describe_shot("shot", with_edits=True) == mine
    # The texture is the copy's own too, and the copy can be taken back.
    client.delete_shot("shot")
    image = theirs["stack"]["layers"][1]["edits"][0]["image"]
    assert client.get_texture(image).content == (tmp_path / "logo.png").read_bytes()
    client.undo("two")
    assert _xs(client, "two") == [9.0]
    client.put_edits("mattes", sketch(stroke(video_layer="foreground")))
    with pytest.raises(errors.EditError, match="'foreground'"):
        client.copy_edits("mattes", "two", frame_offset=1)
    for ends in (("nobody", "two"), ("two", "nobody")):
        with pytest.raises(errors.UnknownShot, match="nobody"):
            client.copy_edits(*ends)


def test_a_stored_texture_comes_back_in_parts(
    client: Client, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inve_daemon.answers.edits.MAX_TEXTURE_PART_BYTES", 100)
    logo = tmp_path / "Logo.PNG"
    write_noise(logo)
    open_and_train(client, clip)
    client.put_edits("shot", {"layers": [{"name": "s", "kind": "texture", "edits": [texture(str(logo))]}]})
    (layer,) = client.describe_shot("shot", with_edits=True)["stack"]["layers"]
    address = layer["edits"][0]["image"]
    got = client.get_texture(address)
    assert len(got.content) > 300, "more than one part"
    assert (got.address, got.content, got.suffix) == (address, logo.read_bytes(), ".png")
    with pytest.raises(errors.BadField, match="offset"):
        client.ask("get_texture", address=address, offset=len(got.content) + 1)
    with pytest.raises(errors.EditError, match="not in the daemon's store"):
        client.get_texture("sha256:" + "0" * 64)
    # A model is addressed alike, and is no texture.
    for path in (tmp_path / "store" / "objects").glob("*/*"):
        if path.is_dir():
            model = f"sha256:{path.name}"
    with pytest.raises(errors.EditError, match="not in the daemon's store"):
        client.get_texture(model)
    layer["edits"][0]["image"] = model
    with pytest.raises(errors.EditError, match="not in the daemon's store"):
        client.put_edits("shot", {"layers": [layer]})


@pytest.mark.slow
def test_ten_thousand_long_strokes_go_out_and_come_in(client: Client, clip: Clip, tmp_path: Path) -> None:
    for shot in ("shot", "two"):
        client.open_shot(shot, clip.frames)
    value = 1.0123456789012345  # as long as numbers get
    long = stroke(
        points=[[value, value * 7]] * 100, point_widths=[value] * 100, point_opacities=[value / 2] * 100
    )
    ids = client.put_edits("shot", sketch(*[long] * 10_000))["ids"]
    described = client.describe_shot("shot", with_edits=True)
    documents.write_edits(client, described["stack"], tmp_path / "e.json")
    assert (tmp_path / "e.json").stat().st_size > 64 << 20
    stack, _ = documents.read_edits(tmp_path / "e.json")
    assert client.put_edits("two", editing.plain(stack))["ids"] == ids
    assert client.describe_shot("two", with_edits=True)["stack"] == described["stack"]
    # The limit is the same however the edits come.
    before = client.put_edits("two", sketch(*[long] * 7_000))["revision"]
    with pytest.raises(errors.TooLarge, match="may have 96 MiB, these come to 1"):
        client.patch_edits("two", before, edits=[{"layer": "paint", "edit": long}] * 7_000)
    assert client.describe_shot("two")["revision"] == before


def write_noise(path: Path) -> None:
    """A picture that does not compress."""
    assert cv2.imwrite(str(path), np.random.default_rng(1).integers(0, 255, (16, 16, 3), np.uint8))


@pytest.mark.parametrize(
    ("stack", "words"),
    [
        (sketch(stroke(1099)), ["frame", "1099"]),
        (sketch(stroke(x=500.0)), ["layers[0].edits[0].points", "outside"]),
        (sketch(stroke(x=float("nan"))), ["layers[0].edits[0].points[0]"]),
        (sketch(stroke(colour=1)), ["colour"]),
        (sketch(stroke(video_layer="middle")), ["video_layer", "middle"]),
        (sketch(stroke(id="a"), stroke(id="a")), ["id", "'a'"]),
        (sketch(texture("/x.png")), ["stroke"]),
        ({"version": 3}, ["version"]),
    ],
)
def test_a_bad_stack_is_refused_and_changes_nothing(
    client: Client, clip: Clip, stack: dict[str, Any], words: list[str]
) -> None:
    client.open_shot("shot", clip.frames, [clip.mattes])
    before = client.put_edits("shot", sketch(stroke()))["revision"]
    with pytest.raises(errors.EditError) as refused:
        client.put_edits("shot", stack)
    for word in words:
        assert word in refused.value.message
    assert client.describe_shot("shot")["revision"] == before


def test_textures_are_kept_with_the_edits(client: Client, clip: Clip, tmp_path: Path) -> None:
    logo = tmp_path / "logo.png"
    write_picture(logo, 8, 8)
    open_and_train(client, clip)
    stack = {"layers": [{"name": "sign", "kind": "texture", "edits": [texture(str(logo))]}]}
    client.put_edits("shot", stack)
    logo.unlink()
    kept = client.describe_shot("shot", with_edits=True)["stack"]
    assert kept["layers"][0]["edits"][0]["image"].startswith("sha256:")
    assert client.render("shot", [1001])[0].touched == 1
    # What came back can be put again, and what the store does not have cannot.
    client.put_edits("shot", kept)
    kept["layers"][0]["edits"][0]["image"] = "sha256:" + "0" * 64
    with pytest.raises(errors.EditError, match="not in the daemon's store"):
        client.put_edits("shot", kept)


@pytest.mark.parametrize("image", ["/etc/passwd", "logo.png", "{root}/missing.png", "{root}/text.png"])
def test_a_texture_that_cannot_be_used(client: Client, clip: Clip, tmp_path: Path, image: str) -> None:
    (tmp_path / "text.png").write_text("no picture")
    client.open_shot("shot", clip.frames)
    before = client.describe_shot("shot")["revision"]
    stack = {"layers": [{"name": "s", "kind": "texture", "edits": [texture(image.format(root=tmp_path))]}]}
    with pytest.raises((errors.PathRefused, errors.MediaError)):
        client.put_edits("shot", stack)
    assert client.describe_shot("shot")["revision"] == before


def test_frames_outside_the_roots(served: Callable[..., Client], clip: Clip, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    client = served(roots=(str(inside),))
    for pattern in (clip.frames, f"{inside}/../clip/plate.%04d.png", "plate.%04d.png"):
        with pytest.raises(errors.PathRefused):
            client.open_shot("shot", pattern)
    (inside / "door").symlink_to(clip.folder)
    with pytest.raises(errors.PathRefused):
        client.open_shot("shot", f"{inside}/door/plate.%04d.png")
    for path in clip.folder.glob("plate.*"):
        (inside / path.name).symlink_to(path)
    with pytest.raises(errors.PathRefused):
        client.open_shot("shot", f"{inside}/plate.%04d.png")
    assert client.list_shots() == []


def test_a_folder_swapped_for_a_link_is_noticed(
    served: Callable[..., Client], tmp_path: Path, clip: Clip
) -> None:
    outside = tmp_path / "outside"
    client = served(roots=(str(clip.folder),))
    open_and_train(client, clip)
    clip.folder.rename(outside)
    clip.folder.symlink_to(outside)
    with pytest.raises(errors.PathRefused):
        client.render("shot", [1001])


def test_a_pipe_is_no_picture(client: Client, tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "p.0001.png")
    with pytest.raises(errors.InveError, match=r"ordinary file|folder or a device"):
        client.open_shot("shot", f"{tmp_path}/p.%04d.png")


def test_bad_media_is_one_sentence_and_no_shot(client: Client, clip: Clip, tmp_path: Path) -> None:
    cases: list[tuple[str, Callable[[], object]]] = [
        ("1002", lambda: (clip.folder / "plate.1002.png").unlink()),
        ("32x24", lambda: write_picture(clip.folder / "plate.1002.png", 16, 16)),
        ("plate.1002.png", lambda: (clip.folder / "plate.1002.png").write_bytes(b"\x89PNG\r\n\x1a\nshort")),
    ]
    for words, spoil in cases:
        spoil()
        with pytest.raises(errors.MediaError, match=words):
            client.open_shot("shot", clip.frames)
    write_picture(clip.folder / "plate.1002.png")
    (clip.folder / "matte.1004.png").unlink()
    with pytest.raises(errors.MediaError, match="1004"):
        client.open_shot("shot", clip.frames, [clip.mattes])
    assert client.list_shots() == []


def test_a_name_belongs_to_its_pictures(client: Client, clip: Clip) -> None:
    client.open_shot("shot", clip.frames)
    with pytest.raises(errors.ShotExists, match="matte_patterns"):
        client.open_shot("shot", clip.frames, [clip.mattes])
    client.delete_shot("shot")
    client.open_shot("shot", clip.frames, [clip.mattes])


def test_unknown_things(client: Client, clip: Clip) -> None:
    for ask in (
        lambda: client.describe_shot("nobody"),
        lambda: client.train("nobody"),
        lambda: client.put_edits("nobody", sketch()),
        lambda: client.render("nobody", [1]),
        lambda: client.delete_shot("nobody"),
    ):
        with pytest.raises(errors.UnknownShot, match="nobody"):
            ask()
    with pytest.raises(errors.UnknownJob):
        client.cancel("abc")
    client.open_shot("shot", clip.frames)
    with pytest.raises(errors.NotTrained):
        client.render("shot", [1001])
    with pytest.raises(errors.BadField, match="preset"):
        client.train("shot", preset="sharpest")
    with pytest.raises(errors.MediaError, match="1009"):
        client.render_to("shot", "/x.%04d.exr", [1009])
    with pytest.raises(errors.PointError):
        client.track("shot", [{"id": "p", "frame": 1001, "x": float("inf"), "y": 0.0}])
    with pytest.raises(errors.PointError, match="outside"):
        client.track("shot", [{"id": "p", "frame": 1001, "x": 400.0, "y": 0.0}])


def test_cancel_and_go_on_from_the_checkpoint(client: Client, clip: Clip) -> None:
    client.open_shot("shot", clip.frames)
    job = client.train("shot", seed=LONG)
    assert client.train("shot", seed=LONG) == job
    with pytest.raises(errors.Busy):
        client.train("shot", seed=7)
    with pytest.raises(errors.Busy):
        client.delete_shot("shot")
    until(lambda: client.describe_shot("shot")["trained"])
    # Short requests are answered while it learns.
    assert client.track("shot", [{"id": "p", "frame": 1001, "x": 1.0, "y": 1.0}])["iteration"] > 0
    started = time.monotonic()
    assert client.status(timeout_s=1.0)["jobs"]["running"] == 1
    assert time.monotonic() - started < 0.5
    assert client.cancel(job)["state"] in ("cancelling", "cancelled")
    with pytest.raises(errors.Cancelled):
        client.wait_job(job, timeout_s=20)
    assert client.cancel(job)["state"] == "cancelled"

    again = client.train("shot", seed=LONG)
    assert again != job
    reached = until(lambda: client.describe_job(again)["progress"]["iteration"])
    assert reached > 5, "it went on from the checkpoint"
    client.cancel(again)


def test_a_queued_job_waits_and_can_be_cancelled(client: Client, clip: Clip) -> None:
    client.open_shot("one", clip.frames)
    client.open_shot("two", clip.frames)
    first, second = client.train("one", seed=LONG), client.train("two", seed=5)
    assert client.describe_job(second)["state"] == "queued"
    client.cancel(second)
    assert client.describe_job(second)["state"] == "cancelled"
    third = client.train("two", seed=6)
    client.cancel(first)
    assert client.wait_job(third, timeout_s=30)["iterations"] == 6


def test_a_dying_worker_fails_its_job_and_is_replaced(client: Client, clip: Clip) -> None:
    client.open_shot("shot", clip.frames)
    job = client.train("shot", seed=DIES)
    with pytest.raises(errors.WorkerDied, match="exit code 9"):
        client.wait_job(job, timeout_s=30)
    assert client.wait_job(client.train("shot", seed=5), timeout_s=30)["iterations"] == 5
    assert client.status()["worker"]["deaths"] == 1
    until(lambda: client.status()["worker"]["backend"] == "fake")


def test_what_goes_wrong_in_the_worker_has_a_type(client: Client, clip: Clip) -> None:
    client.open_shot("shot", clip.frames)
    with pytest.raises(errors.OutOfMemory):
        client.wait_job(client.train("shot", seed=RUNS_OUT_OF_MEMORY), timeout_s=30)
    with pytest.raises(errors.InternalError, match="a mistake in the fake"):
        client.wait_job(client.train("shot", seed=IS_BROKEN), timeout_s=30)
    assert client.status()["worker"]["deaths"] == 0


def test_rendering_does_not_replace_the_plate(client: Client, clip: Clip, tmp_path: Path) -> None:
    open_and_train(client, clip)
    (tmp_path / "f.1001.exr").symlink_to(clip.folder / "plate.1001.png")
    for out, kind in (
        (f"{tmp_path}/f.%04d.exr", errors.PathRefused),
        (f"{tmp_path}/f.%04d.png", errors.MediaError),
    ):
        with pytest.raises(kind):
            client.wait_job(client.render_to("shot", out), timeout_s=30)
    with pytest.raises(errors.PathRefused):
        client.render_to("shot", "/elsewhere/f.%04d.exr")


def test_an_answer_brings_a_bounded_number_of_frames(client: Client, tmp_path: Path) -> None:
    for frame in range(65):
        write_picture(tmp_path / f"long.{frame:04d}.png")
    client.open_shot("shot", f"{tmp_path}/long.%04d.png")
    client.wait_job(client.train("shot", seed=2), timeout_s=30)
    with pytest.raises(errors.TooLarge, match="65"):
        client.render("shot", range(65))
    assert len(client.render("shot", range(64))) == 64


def test_events_are_numbered_and_tell_of_changes(client: Client, clip: Clip) -> None:
    with client.events() as events:
        time.sleep(0.3)
        client.open_shot("shot", clip.frames)
        client.put_edits("shot", sketch(stroke()))
        job = client.train("shot", seed=3)
        got = []
        while not any(e.kind == "job" and e.body["job"]["state"] == "done" for e in got):
            event = events.next(10.0)
            assert event is not None
            got.append(event)
    assert [e.seq for e in got] == list(range(got[0].seq, got[0].seq + len(got)))
    assert not events.missed
    changes = [e.body["change"] for e in got if e.kind == "shot"]
    assert changes[:2] == ["opened", "edits"]
    assert {e.body["job"]["id"] for e in got if e.kind == "job"} == {job}


# What comes from a socket that speaks no client


@pytest.fixture
def raw(client: Client) -> Any:
    context = zmq.Context()
    sock = context.socket(zmq.DEALER)
    sock.set(zmq.LINGER, 0)
    sock.connect(str(client.endpoint))
    yield sock
    sock.close(0)
    context.term()


def ask_raw(sock: Any, *frames: bytes) -> dict[str, Any]:
    sock.send_multipart(frames)
    assert sock.poll(5000), "the daemon did not answer"
    preamble, body = sock.recv_multipart()
    assert preamble == PREAMBLE
    return dict(msgpack.unpackb(body))


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b""], "bad_message"),
        ([b"GET / HTTP/1.1"], "bad_message"),
        ([PREAMBLE], "bad_message"),
        ([PREAMBLE, b"\xc1"], "bad_message"),
        ([PREAMBLE, b""], "bad_message"),
        ([PREAMBLE, b"\x91" * 1_000_000], "bad_message"),
        (
            [PREAMBLE, b"\x83\xa4kind\xa6status\xa2id\xa11\xa1x" + b"\x91" * 1_000_000 + b"\xc0"],
            "bad_message",
        ),
        ([PREAMBLE, b"\xdd\x00\x80\x00\x00" + b"\x80" * (8 << 20)], "bad_message"),
        ([PREAMBLE, msgpack.packb({"kind": "format_disk", "id": "1"})], "unknown_request"),
        ([PREAMBLE, msgpack.packb({"kind": "status", "id": "1", "more": 1})], "bad_field"),
        ([PREAMBLE, msgpack.packb({"kind": "train", "id": "1", "shot": 5})], "bad_field"),
        ([PREAMBLE, msgpack.packb({"kind": "train", "id": "1", "shot": "../../x"})], "bad_field"),
        ([PREAMBLE, msgpack.packb({"kind": "status", "id": ""})], "bad_field"),
        ([PREAMBLE, msgpack.packb({"kind": "status", "id": "1"}), b"more"], "bad_message"),
        ([PREAMBLE, b"x" * (MAX_REQUEST_BYTES + 1)], "too_large"),
        ([PREAMBLE] + [b"x"] * 600, "bad_message"),
        ([b"INVE/7", msgpack.packb({"kind": "hello"})], "version_mismatch"),
    ],
)
def test_any_bytes_get_a_typed_error(raw: Any, client: Client, frames: list[bytes], code: str) -> None:
    answer = ask_raw(raw, *frames)
    assert answer["error"]["code"] == code
    assert answer["error"]["message"].endswith(".")
    assert client.status()["pid"]


def test_a_frame_beyond_the_line_s_limit_costs_the_sender_its_connection(raw: Any, client: Client) -> None:
    raw.send_multipart([PREAMBLE, b"x" * (MAX_REQUEST_BYTES + (1 << 20))])
    assert not raw.poll(500)
    assert client.status()["pid"]
    # The sender is connected anew by then.
    assert ask_raw(raw, PREAMBLE, b"")["error"]["code"] == "bad_message"


def test_a_request_sent_twice_at_once_is_done_once(raw: Any, client: Client, clip: Clip) -> None:
    client.open_shot("shot", clip.frames)
    revision = client.describe_shot("shot")["revision"]
    body = msgpack.packb({"kind": "put_edits", "id": "same", "shot": "shot", "stack": sketch(stroke())})
    for _ in range(2):
        raw.send_multipart([PREAMBLE, body])
    answers = []
    while raw.poll(1000):
        answers.append(msgpack.unpackb(raw.recv_multipart()[1])["result"])
    assert answers
    assert all(answer == answers[0] for answer in answers)
    assert client.describe_shot("shot")["revision"] == revision + 1

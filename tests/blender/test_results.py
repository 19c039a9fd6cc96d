"""What comes back from the daemon, in real Blenders: the strip above the source, at each step of its life."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import OpenImageIO
import pytest
from blender_support import Blender
from daemon_support import Clip, Daemon

COLORS = [[1.5, 0.25, 0.0, 1.0], [0.0, 2.0, -0.125, 1.0], [0.25, 0.25, 4.0, 1.0]]
BLINK_MS = 16.0


def read(path: str) -> np.ndarray:
    return OpenImageIO.ImageInput.open(path).read_image("float")[..., :4]


def test_a_result_through_its_life(blender: Blender, painting: Daemon, clip: Clip) -> None:
    told = blender.run("results.py", 240, endpoint=painting.endpoint, clip=clip.folder, colors=COLORS)
    assert "must be prepared" in told["unprepared"]

    first, second = told["first"], told["second"]
    # Channel 2 is taken on a part of the frames.
    assert (first["channel"], first["first"], first["end"]) == (3, 1, 5)
    assert first["look"] == ["Linear Rec.709", "PREMUL", "ALPHA_OVER"]
    assert all(first["there"])
    assert told["first_there"][0] == 2, "the current frame comes first"
    assert told["progress"][1] == 4
    assert told["unchanged"] == {}, "the source is as it was"
    assert told["active_result"]
    assert told["sentence"] == "The result shows all edits."
    assert [name.split(".")[-2] for name in first["files"]] == ["1001", "1002", "1003", "1004"]

    # Blender's own picture is the file's, and off the stroke the plate's.
    for shown, files, index, color in (
        (told["shown"], first, 1, COLORS[0]),
        (told["shown_last"], first, 3, COLORS[0]),
        (told["shown_second"], second, 1, COLORS[1]),
    ):
        rendered = read(shown)
        if files is second:
            np.testing.assert_allclose(rendered[10, 9], color, atol=1e-3)
        else:
            np.testing.assert_allclose(rendered[10, 8 + index], color, atol=1e-3)
        np.testing.assert_allclose(rendered[20:], read(told["plain"])[20:], atol=1e-3)

    assert not set(first["files"]) & set(second["files"]), "no name shows two pictures"
    assert told["left_over"] == []
    assert told["kept"]
    assert told["gone"]

    moved = told["moved"]
    assert all(moved["there"])
    assert (moved["first"], moved["end"]) == (6, 9)
    assert [name.split(".")[-2] for name in moved["files"]] == ["1003", "1002", "1001"]
    assert moved["place"] == [3.0, 1.5, 2, True]
    assert told["animated"][0] == pytest.approx(told["animated"][1])
    assert 0 < told["animated"][0] < 8
    assert told["above"][0] == 5
    assert told["above"][1] > 5
    assert told["back"] == [True, 0.0]
    assert told["cautions"] == ["The result lies over 'title'; move that to a channel above it."]
    assert told["cancelled"][0] == ""
    assert "must be rendering to be cancelled" in told["cancelled"][1]
    assert len(told["twice"]) == 1

    assert told["copied"] == {"links": 2, "own": True, "first": 20, "there": [True] * 4}
    assert told["orphaned"][0] == "The source of this result was removed."
    assert "source" in told["orphaned"][1]
    assert all(told["anew"])
    assert told["undone"] == [True, True, True]
    assert told["kept_released"]

    assert told["offline_says"] == "Offline: the last result is shown."
    assert "press Connect" in told["offline_refusal"]
    assert all(told["offline_state"]["there"])
    np.testing.assert_array_equal(read(told["offline"]), read(told["online"]))
    own = [one for one in told["operator_ms"] if "render" in one[1]]
    assert max(one[3] for one in own) < BLINK_MS, own[:5]


def test_a_movie(blender: Blender, painting: Daemon, tmp_path: Path) -> None:
    movie = tmp_path / "movie.mp4"
    writer = cv2.VideoWriter(str(movie), cv2.VideoWriter_fourcc(*"mp4v"), 24, (64, 48))
    ramp = np.linspace(0, 220, 64)[None, :, None] * np.ones((48, 1, 3)) * [1, 0.6, 0.3]
    for index in range(6):
        writer.write((ramp + 5 * index).astype(np.uint8))
    writer.release()
    told = blender.run("movie.py", endpoint=painting.endpoint, movie=movie)
    assert told["span"] == [2, 7], "the first frame is hidden by the source's handle"
    assert [name.split(".")[-2] for name in told["files"]] == ["0001", "0002", "0003", "0004", "0005"]
    assert told["cautions"] == []
    plain, edited = read(told["plain"]), read(told["edited"])
    # The scene's frame 3 is the movie's 2, on which the square has gone two pixels.
    np.testing.assert_allclose(edited[10, 10], [1, 0, 0, 1], atol=1e-3)
    # Two decoders: the next frame would be off by some 0.02 everywhere.
    assert np.abs(plain - edited)[20:].max() < 0.02
    assert np.abs(plain - edited)[20:].mean() < 0.004

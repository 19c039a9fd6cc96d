"""Flow that is given: read from files, turned into each layer's own, and learned from in the place of DIS."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest

from inve_core.clip import load_clip
from inve_core.errors import MediaError
from inve_core.measures import measure
from inve_core.media.vectors import check_vectors, read_vectors
from inve_core.motion.flow import gaps_for
from inve_core.motion.flow_jobs import flow_over_gaps
from inve_core.motion.given_flow import at_working_size, of_layer
from inve_core.source import ShotSource, open_source
from inve_core.synthetic import make_clip, pixel_centres
from inve_core.synthetic_flow import CHANNELS, motion, write_flow, write_vectors
from inve_core.training import Trainer

FRAMES, WIDTH, HEIGHT = 8, 160, 96


def write_parts(path: Path, *parts: tuple[str, tuple[str, ...], np.ndarray], window=None) -> Path:
    """An EXR of parts (name, channels, [h, w, c]); `window` is the display's x, y, width and height."""
    headers = []
    for name, channels, pixels in parts:
        header = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], "float")
        header.channelnames = channels
        header.attribute("oiio:subimagename", name)
        if window is not None:
            header.full_x, header.full_y, header.full_width, header.full_height = window
        headers.append(header)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), tuple(headers)), output.geterror()
    for number, (_, _, pixels) in enumerate(parts):
        assert not number or output.open(str(path), headers[number], "AppendSubimage")
        assert output.write_image(np.ascontiguousarray(pixels, np.float32))
    assert output.close()
    return path


def field(height: int = 6, width: int = 8, count: int = 4) -> np.ndarray:
    """Values that tell where they stand: channel * 100 + row * 10 + column."""
    row, column, channel = np.ogrid[:height, :width, :count]
    return (channel * 100 + row * 10 + column).astype(np.float32)


class TestReading:
    def test_v_counts_upward_in_the_file_and_downward_here(self, tmp_path):
        path = write_parts(tmp_path / "a.exr", ("rgba", CHANNELS, field()))
        assert check_vectors(path, ("forward", "backward")) == (8, 6)
        ahead, behind = read_vectors(path, ("forward", "backward"))
        assert ahead.dtype == np.float32
        assert ahead[2, 3].tolist() == [23, -123]
        assert behind[2, 3].tolist() == [223, -323]

    @pytest.mark.parametrize(
        "parts",
        [
            [("rgba", ("R", "G", "B", "A", *CHANNELS), (9, 9, 9, 9, 0, 1, 2, 3))],
            [("rgba", ("backward.v", "backward.u", "forward.v", "Z", "forward.u"), (3, 2, 1, 9, 0))],
            [("rgba", tuple(f"motion.{name}" for name in CHANNELS), (0, 1, 2, 3))],
            [
                ("rgba", ("R", "G", "B"), (9, 9, 9)),
                ("forward", ("u", "v"), (0, 1)),
                ("backward", ("u", "v"), (2, 3)),
            ],
            [("forward", ("forward.U", "forward.V"), (0, 1)), ("b", ("backward.u", "backward.v"), (2, 3))],
            [("u", ("forward.u", "backward.u"), (0, 2)), ("v", ("forward.v", "backward.v"), (1, 3))],
            # One that has the very name goes before one of another view.
            [("left", ("forward.u", "forward.v"), (9, 9)), ("rgba", CHANNELS, (0, 1, 2, 3))],
        ],
    )
    def test_the_channels_are_found_wherever_they_are(self, tmp_path, parts):
        values = np.concatenate((field(), np.full((6, 8, 6), 999.0, np.float32)), 2)
        path = write_parts(
            tmp_path / "a.exr",
            *((name, names, values[..., list(channels)]) for name, names, channels in parts),
        )
        check_vectors(path, ("forward", "backward"))
        if parts[0][0] == "left":
            assert read_vectors(path, ["backward"])[0][2, 3].tolist() == [223, -323]
            return
        assert read_vectors(path, ["forward"])[0][2, 3].tolist() == [23, -123]
        assert read_vectors(path, ["backward"])[0][2, 3].tolist() == [223, -323]

    def test_outside_the_data_window_nothing_is_known(self, tmp_path):
        # The file's pixels lie at (0, 0) to (8, 6) of a display window that begins at (2, -1).
        path = write_parts(tmp_path / "a.exr", ("rgba", CHANNELS, field()), window=(2, -1, 12, 9))
        assert check_vectors(path, ()) == (12, 9)
        vectors = read_vectors(path, ["forward"])[0]
        assert vectors.shape == (9, 12, 2)
        assert vectors[1, 0].tolist() == [2, -102]
        known = np.isfinite(vectors).all(-1)
        assert known[1:7, :6].all()
        assert known.sum() == 36

    def test_what_is_no_number_of_pixels_is_not_known(self, tmp_path):
        values = field()
        values[0, 0, 0], values[1, 1, 1], values[2, 2, 0], values[3, 3, 1] = np.nan, np.inf, 1e6, -1e30
        vectors = read_vectors(write_parts(tmp_path / "a.exr", ("rgba", CHANNELS, values)), ["forward"])[0]
        unknown = [(0, 0), (1, 1), (2, 2), (3, 3)]
        assert list(zip(*np.nonzero(np.isnan(vectors).all(-1)), strict=True)) == unknown
        assert np.isnan(vectors).any(-1).sum() == 4
        values[..., 2] = np.nan
        path = write_parts(tmp_path / "b.exr", ("rgba", CHANNELS, values))
        with pytest.raises(MediaError, match=r"b\.exr' has no backward vector that is a number of pixels"):
            read_vectors(path, ["backward"])[0]

    def test_a_file_without_a_direction_is_refused(self, tmp_path):
        only = write_parts(tmp_path / "a.exr", ("rgba", CHANNELS[:2], field(count=2)))
        assert check_vectors(only, ("forward",)) == (8, 6)
        with pytest.raises(
            MediaError,
            match=r"has the channels forward\.u, forward\.v and no backward\.u and backward\.v, which",
        ):
            check_vectors(only, ("forward", "backward"))
        other = write_parts(tmp_path / "b.exr", ("rgba", ("motion.u", "motion.v"), field(count=2)))
        with pytest.raises(
            MediaError, match=r"motion\.u, motion\.v and no forward\.u and forward\.v.*`motion`"
        ):
            read_vectors(other, ["forward"])[0]

    def test_other_formats_and_damaged_files_are_refused(self, tmp_path):
        assert cv2.imwrite(str(tmp_path / "a.png"), np.zeros((6, 8, 3), np.uint8))
        with pytest.raises(MediaError, match=r"is a png file; motion vectors are read from EXR"):
            check_vectors(tmp_path / "a.png", ())
        path = tmp_path / "b.exr"
        write_vectors(path, np.random.default_rng(0).normal(size=(64, 64, 4)))
        path.write_bytes(path.read_bytes()[:-3000])
        with pytest.raises(MediaError, match=r"b\.exr' is truncated or damaged"):
            read_vectors(path, ["backward"])[0]


class TestWorkingSize:
    def test_vectors_shrink_with_the_picture(self):
        vectors = np.zeros((60, 80, 2), np.float32) + np.array([8.0, -3.0], np.float32)
        small = at_working_size(vectors, (40, 20))
        assert small.shape == (20, 40, 2)
        np.testing.assert_allclose(small, np.broadcast_to([4.0, -1.0], (20, 40, 2)), rtol=1e-6)
        assert at_working_size(vectors, (80, 60)) is vectors

    def test_what_is_not_known_spoils_no_neighbour(self):
        vectors = np.zeros((8, 8, 2), np.float32) + np.array([2.0, 6.0], np.float32)
        vectors[0, 0] = np.nan  # a quarter of a pixel: the rest tells
        vectors[4:6, 4:6] = np.nan  # all of one
        small = at_working_size(vectors, (4, 4))
        assert np.argwhere(np.isnan(small).any(-1)).tolist() == [[2, 2]]
        small[2, 2] = 1, 3
        np.testing.assert_allclose(small, np.broadcast_to([1.0, 3.0], (4, 4, 2)), rtol=1e-6)


class TestLayers:
    def test_each_layer_carries_its_own_vectors_outward(self):
        share = np.zeros((40, 40), np.float32)
        share[10:30, 10:30] = 1
        vectors = np.where(share[..., None] > 0, np.float32(5), np.float32(-7)) * np.ones(2, np.float32)
        # At the outline both are mixed, as in a picture that was made smaller.
        mixed = cv2.blur(vectors, (3, 3))
        assert (of_layer(mixed, share, 40) == 5).all()
        assert (of_layer(mixed, 1 - share, 40) == -7).all()

    def test_what_is_not_known_of_a_layer_leads_out_of_the_picture(self):
        share = np.ones((20, 30), np.float32)
        share[:, 20:] = 0
        vectors = np.ones((20, 30, 2), np.float32)
        vectors[5:8, 3:6] = np.nan
        result = of_layer(vectors, share, 30)
        assert (result[5:8, 3:6, 0] >= 30).all()
        rest = np.ones((20, 30), bool)
        rest[5:8, 3:6] = False
        assert (result[rest] == 1).all()
        nothing = of_layer(np.full((20, 30, 2), np.nan, np.float32), share, 30)
        assert np.isfinite(nothing).all()
        assert (nothing[..., 0] >= 30).all()


@pytest.fixture(scope="module")
def truth():
    return make_clip(frames=FRAMES, width=WIDTH, height=HEIGHT)


def given_of(truth):
    def given(i: int):
        ahead = motion(truth.scene, i, i + 1) if i + 1 < len(truth.rgb) else None
        return ahead, motion(truth.scene, i, i - 1) if i else None

    return given


def flows_of(truth, given=None, device=None):
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in truth.rgb])
    mattes = truth.mattes[:, None].astype(np.float32)
    return flow_over_gaps(grey, mattes, gaps_for(len(grey), 8), device=device, given=given)


def errors_of(truth, flow) -> np.ndarray:
    """Distance, in pixels, of all forward vectors that count from the truth."""
    start = pixel_centres(WIDTH, HEIGHT).reshape(-1, 2)
    found = []
    for i in range(len(flow.forward)):
        moved = start + np.asarray(flow.forward[i], np.float32).reshape(-1, 2)
        for layer in ("foreground", "background"):
            here = np.asarray(flow.forward_valid[i]).ravel() & truth.visible(layer, i, start)
            found.append(
                np.linalg.norm(moved[here] - truth.position(layer, i, start[here], i + flow.gap), axis=1)
            )
    return np.concatenate(found)


@pytest.mark.parametrize("device", [None, "cpu"])
def test_exact_flow_stays_exact_over_all_gaps_and_covers_no_less(truth, device):
    computed, given = flows_of(truth), flows_of(truth, given_of(truth), device)
    assert [flow.gap for flow in given] == [1, 2, 4]
    # What half precision rounds off, and the smoothing of an object's flow near its outline.
    for dis, exact in zip(computed, given, strict=True):
        errors = errors_of(truth, exact)
        assert np.median(errors) < 0.01
        assert np.mean(errors) < 0.2 * np.mean(errors_of(truth, dis))
        assert np.asarray(exact.forward_valid).mean() > np.asarray(dis.forward_valid).mean() - 0.01


def test_vectors_that_are_not_known_do_not_count_and_the_others_do(truth):
    def given(i: int):
        ahead, behind = given_of(truth)(i)
        if ahead is not None and i == 2:
            ahead[20:60, :30] = np.nan
        return ahead, behind

    whole, holed = flows_of(truth, given_of(truth)), flows_of(truth, given)
    hole = np.zeros((HEIGHT, WIDTH), bool)
    hole[20:60, :30] = True
    # What is smoothed, an object's flow, is bridged where the way back bears it out; the ground's is not.
    hole &= truth.mattes[2] < 0.5
    assert whole[0].forward_valid[2][hole].mean() > 0.8
    assert not holed[0].forward_valid[2][hole].any()
    assert not holed[1].forward_valid[2][hole].any()
    assert np.isfinite(np.asarray(holed[2].forward, np.float32)).all()
    elsewhere = np.ones((HEIGHT, WIDTH), bool)
    elsewhere[18:62, :32] = False
    assert (whole[0].forward_valid[2] == holed[0].forward_valid[2])[elsewhere].all()
    assert np.array_equal(whole[0].forward_valid[4], holed[0].forward_valid[4])


@pytest.fixture(scope="module")
def folder(truth, tmp_path_factory) -> Path:
    """The clip of the `shot` fixture with its motion vectors."""
    path: Path = tmp_path_factory.mktemp("given")
    truth.write(path)
    write_flow(truth, path)
    return path


def open_with(folder: Path, flow: str) -> ShotSource:
    return open_source(str(folder / "frames"), [str(folder / "mattes")], flow=flow)


def test_a_clip_has_the_flow_of_its_files(folder, truth):
    source = open_with(folder, str(folder / "flow"))
    clip = load_clip(source, WIDTH, longest_gap=4)
    exact = flows_of(truth, given_of(truth))
    for mine, theirs in zip(clip.flows, exact, strict=True):
        # Mattes came through 8 bits, vectors through half precision.
        assert (mine.forward_valid == theirs.forward_valid).mean() > 0.995
        both = mine.forward_valid & theirs.forward_valid
        apart = np.abs(mine.forward[both].astype(np.float32) - theirs.forward[both])
        assert np.percentile(apart, 99.9) < 0.1
        assert (mine.backward_valid == theirs.backward_valid).mean() > 0.995
    small = load_clip(source, WIDTH // 2, longest_gap=1)
    ground = clip.flows[0].forward_valid[3, ::2, ::2] & small.flows[0].forward_valid[3]
    halved = clip.flows[0].forward[3, ::2, ::2][ground].astype(np.float32) / 2
    assert np.abs(small.flows[0].forward[3][ground] - halved).mean() < 0.05


@pytest.mark.long
def test_learning_from_exact_flow_is_better_than_from_computed(folder, shot, quick):
    """Measured against exact flow, over one frame and over the longest gap."""
    source = open_with(folder, str(folder / "flow"))
    trainer = Trainer(load_clip(source, WIDTH, longest_gap=4), quick, device="cpu", seed=1)
    for _ in trainer.run():
        pass
    ours = measure(trainer.model.eval(), trainer.sampler, fine=True)
    theirs = measure(shot.model, trainer.sampler, fine=True)
    print(
        f"learned flow is off by {ours.flow_error_px:.4f} px over a frame and {ours.far_flow_error_px:.4f} "
        f"over four with exact flow, {theirs.flow_error_px:.4f} and {theirs.far_flow_error_px:.4f} with DIS"
    )
    assert ours.flow_error_px < 0.5 * theirs.flow_error_px
    assert ours.far_flow_error_px < 0.5 * theirs.far_flow_error_px
    assert ours.psnr_db > theirs.psnr_db - 3


@pytest.mark.long
def test_another_flow_is_learned_otherwise(folder, shot, quick, tmp_path):
    """Vectors that hold a moving clip still are followed, though every picture says otherwise."""
    for path in (folder / "flow").iterdir():
        write_vectors(tmp_path / path.name, np.zeros((HEIGHT, WIDTH, 4), np.float32))
    still = load_clip(open_with(folder, str(tmp_path)), WIDTH, longest_gap=4)
    assert not np.median(np.abs(still.flows[2].forward[still.flows[2].forward_valid]))
    settings = dataclasses.replace(quick, iterations=100, least_iterations=100, inverse_iterations=10)
    trainer = Trainer(still, settings, device="cpu", seed=1)
    for _ in trainer.run():
        pass
    model = trainer.model.eval()
    by_the_pictures = measure(model, shot.trainer.sampler, fine=True).far_flow_error_px
    assert measure(model, trainer.sampler, fine=True).far_flow_error_px < 0.5 * by_the_pictures
    assert by_the_pictures > 3 * measure(shot.model, shot.trainer.sampler, fine=True).far_flow_error_px


class TestSources:
    def test_a_source_with_flow_survives_being_plain_data(self, folder):
        source = open_with(folder, str(folder / "flow"))
        assert source.flow_pattern == str(folder / "flow")
        again = ShotSource.from_dict(source.to_dict())
        assert again == source
        ahead, behind = again.read_flow(1003)
        assert ahead is not None
        assert behind is not None
        assert np.array_equal(ahead, read_vectors(folder / "flow" / "1003.exr", ["forward"])[0])
        assert again.read_flow(1001)[1] is None
        assert again.read_flow(1008)[0] is None

    def test_one_without_is_stored_as_ever(self, folder):
        source = open_source(str(folder / "frames"))
        assert "flow_pattern" not in source.to_dict()
        assert ShotSource.from_dict(source.to_dict()).flow_pattern is None

    def test_the_ends_need_only_what_leads_into_the_shot(self, folder, tmp_path):
        for path in (folder / "flow").iterdir():
            (tmp_path / path.name).symlink_to(path)
        for frame, kept in ((1001, slice(0, 2)), (1008, slice(2, 4))):
            (tmp_path / f"{frame}.exr").unlink()
            write_parts(tmp_path / f"{frame}.exr", ("rgba", CHANNELS[kept], field(HEIGHT, WIDTH, 2)))
        open_with(folder, str(tmp_path))
        (tmp_path / "1002.exr").unlink()
        write_parts(tmp_path / "1002.exr", ("rgba", CHANNELS[:2], field(HEIGHT, WIDTH, 2)))
        with pytest.raises(MediaError, match=r"1002\.exr' has the channels .* and no backward\.u"):
            open_with(folder, str(tmp_path))

    def test_missing_frames_other_sizes_and_movies_are_refused(self, folder, tmp_path):
        for path in (folder / "flow").iterdir():
            (tmp_path / path.name).symlink_to(path)
        (tmp_path / "1005.exr").unlink()
        with pytest.raises(
            MediaError, match=r"must cover frames 1001-1008, got 1001-1008 without 1005; add frame 1005"
        ):
            open_with(folder, str(tmp_path))
        # Outside of the shot nobody misses it.
        span = open_source(str(folder / "frames"), frame_range=(1006, 1008), flow=str(tmp_path))
        assert span.read_flow(1006)[0] is not None
        write_vectors(tmp_path / "1005.exr", np.zeros((HEIGHT // 2, WIDTH // 2, 4)))
        with pytest.raises(
            MediaError,
            match=r"must be 160x96 like the frames, got 80x48 at frame 1005; render it at the plate",
        ):
            open_with(folder, str(tmp_path))
        with pytest.raises(MediaError, match=r"1001\.png' is a png file"):
            open_with(folder, str(folder / "frames"))

    def test_a_file_that_was_swapped_for_another_size_is_noticed(self, folder, tmp_path):
        for path in (folder / "flow").iterdir():
            (tmp_path / path.name).symlink_to(path)
        source = open_with(folder, str(tmp_path))
        (tmp_path / "1004.exr").unlink()
        write_vectors(tmp_path / "1004.exr", np.zeros((HEIGHT, WIDTH // 2, 4)))
        with pytest.raises(MediaError, match=r"1004\.exr' must be 160x96 like the frames; it was when"):
            load_clip(source, WIDTH, longest_gap=1)
